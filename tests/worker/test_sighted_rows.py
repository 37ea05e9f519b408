"""A prompt with pictures that its model breaks at is over; the rows beside it go on."""

from typing import Any

import mlx.core as mx

from mlxhub.refusals import GenerationFailed
from mlxhub.worker.engines.rows import Row, SampledToken, Step
from mlxhub.worker.engines.seen import Place, Seen
from mlxhub.worker.engines.sighted_rows import SightedRows


class _Others:
    """Rows of one text."""

    def __init__(self) -> None:
        self.inserted: list[int] = []

    def insert(self, row: Row, known: object = None) -> None:
        self.inserted.append(row.handle)

    def next(self, chunk: int) -> Step:
        return Step(sampled=[SampledToken(handle, 5, None) for handle in self.inserted])


class _Broken:
    model: Any

    def __init__(self) -> None:
        self.model = self

    def get_input_embeddings(self, *given: object, **more: object) -> object:
        raise IndexError("deep within")


def test_a_prompt_that_the_model_breaks_at_costs_no_other_answer() -> None:
    others = _Others()
    rows = SightedRows(others, _Broken())  # type: ignore[arg-type]
    seen = Seen({"input_ids": mx.array([[1, 2, 3]])}, (1, 700, 3), (Place("image", 1, 2),))
    rows.insert(Row(1, (9, 9), 4, sampler=lambda _: mx.array(0)))
    rows.insert(Row(2, seen.keys, 4, sampler=lambda _: mx.array(0), seen=seen))
    text, broken = rows.next(16).sampled
    assert (text.handle, text.token, text.fault) == (1, 5, None)
    assert broken.handle == 2
    assert isinstance(broken.fault, GenerationFailed)
    assert "deep" not in str(broken.fault)
    assert [sampled.handle for sampled in rows.next(16).sampled] == [1]
