"""A row's logits processors as one that never raises: in a batch, an exception costs every row."""

from collections.abc import Sequence
from typing import Any

from loguru import logger

from mlxhub.errors import MlxhubError
from mlxhub.refusals import GenerationFailed
from mlxhub.worker.engines.sampling import Processor


class GuardedProcessors:
    """After a fault the row's logits are left as they are, until somebody ends it."""

    def __init__(self, processors: Sequence[Processor]) -> None:
        self._processors = processors
        self.fault: MlxhubError | None = None

    def __call__(self, tokens: Any, logits: Any) -> Any:
        if self.fault is not None:
            return logits
        changed = logits
        try:
            for processor in self._processors:
                changed = processor(tokens, changed)
        except MlxhubError as error:
            self.fault = error
        except Exception:  # noqa: BLE001 - processors of libraries raise anything
            logger.exception("A row's logits processor failed")
            self.fault = GenerationFailed("a logits processor broke. The worker's log says more.")
        else:
            return changed
        return logits
