"""A row that is alone decodes without a batch, until another joins it."""

from collections.abc import Sequence

from mlxhub.worker.engines.lone_row import LoneRow
from mlxhub.worker.engines.mlx_lm_batch import Batch
from mlxhub.worker.engines.read_prompts import Read
from mlxhub.worker.engines.rows import Decodable, Row, SampledToken, Step


class LoneOrBatch:
    """Rows, in a batch where there are several: a batch of one is slower by 10 % on a CPU, 30 % on a GPU.

    Whoever joins a row that has begun, or has itself begun elsewhere, begins to read a step later than the
    row that was alone is in the batch: while both have not begun there, memory would be taken for the longer
    of them twice, and copied.
    """

    def __init__(self, decodable: Decodable, max_rows: int, largest_chunk: int) -> None:
        self._lone = LoneRow(decodable)
        self._batch = Batch(decodable, max_rows, largest_chunk)
        self._joining: dict[int, tuple[Row, Read | None]] = {}

    def insert(self, row: Row, known: Read | None = None) -> None:
        if len(self._lone) and (self._lone.has_begun or known is not None or self._joining):
            self._joining[row.handle] = (row, known)
        elif len(self._lone):
            self._hand_over()
            self._batch.insert(row)
        elif len(self._batch):
            self._batch.insert(row, known)
        else:
            self._lone.insert(row, known)

    def next(self, chunk: int) -> Step:
        if not len(self._lone):
            self._let_join()
        if not len(self._lone):
            return self._batch.next(chunk)
        if not self._joining:
            return self._lone.next(chunk)
        told = self._hand_over()
        step = self._batch.next(chunk) if len(self._batch) else Step()
        self._let_join()
        return step if told is None else Step(step.ready, step.at_boundary, [told, *step.sampled])

    def read(self, handles: Sequence[int]) -> dict[int, Read]:
        return self._lone.read(handles) | self._batch.read(handles)

    def remove(self, handles: Sequence[int]) -> None:
        for handle in handles:
            self._joining.pop(handle, None)
        self._lone.remove(handles)
        self._batch.remove(handles)

    def close(self) -> None:
        self._joining.clear()
        self._batch.close()
        self._lone.close()

    def _hand_over(self) -> SampledToken | None:
        """What was sampled of the lone row and not told yet."""
        told, rest = self._lone.hand_over()
        if rest is not None:
            self._batch.insert(*rest)
        return told

    def _let_join(self) -> None:
        joining, self._joining = self._joining, {}
        for row, known in joining.values():
            self.insert(row, known)
