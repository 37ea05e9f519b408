"""What a checkpoint that has been found will take of memory."""

from mlxhub.core.memory import MemoryNeed, Use, estimate
from mlxhub.core.model_type import ModelType
from mlxhub.errors import LoadFailed
from mlxhub.registry.checkpoint_size import read_adapter, read_checkpoint
from mlxhub.registry.refused import IntakeRefused
from mlxhub.worker.engines.checkpoint import LoadOptions


def measure(found: LoadOptions, use: Use) -> MemoryNeed:
    """Raises LoadFailed."""
    try:
        return estimate(
            read_checkpoint(found.directory, found.model_type),
            use,
            adapter=None if found.adapter is None else read_adapter(found.adapter),
            draft=None if found.draft is None else read_checkpoint(found.draft, ModelType.LM),
        )
    except IntakeRefused as refused:
        raise LoadFailed(found.name, str(refused)) from None
