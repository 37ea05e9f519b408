"""The files of a model that needs more than mlx-lm, and what it will take of memory."""

from dataclasses import dataclass
from pathlib import Path

from mlxhub.core.memory import MemoryNeed, estimate_task
from mlxhub.core.model_type import ModelType
from mlxhub.errors import LoadFailed
from mlxhub.registry.checkpoint_size import read_checkpoint
from mlxhub.registry.refused import IntakeRefused
from mlxhub.worker.engines.checkpoint import find_checkpoint


@dataclass(frozen=True, slots=True)
class ModelSource:
    """As hub.yaml says it. `name`: of the model, for errors."""

    name: str
    model_path: str
    model_type: ModelType
    trust_remote_code: bool = False

    def find(self) -> Path:
        """The directory, once it has been checked. Raises LoadFailed."""
        return find_checkpoint(
            self.name,
            self.model_path,
            model_type=self.model_type,
            trust_remote_code=self.trust_remote_code,
        )

    def measure(self, directory: Path, batch_tokens: int = 0) -> MemoryNeed:
        """`batch_tokens`: that are computed together. Raises LoadFailed."""
        from mlxhub.worker.engines.device import has_slow_halves  # noqa: PLC0415 - imports MLX

        try:
            found = read_checkpoint(directory, self.model_type)
        except IntakeRefused as refused:
            raise LoadFailed(self.name, str(refused)) from None
        return estimate_task(found, self.model_type, batch_tokens=batch_tokens, slow_halves=has_slow_halves())
