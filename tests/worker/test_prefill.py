"""How much of the prompts is read in one step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.worker.engines.prefill import Prefill

PREFILL = Prefill(alone=2048, shared=128)


def test_a_lone_prompt_is_read_fast_and_others_are_not_kept_waiting() -> None:
    assert [PREFILL.chunk(rows) for rows in (1, 2, 8)] == [2048, 128, 128]
    assert Prefill(alone=64, shared=128).chunk(2) == 64


@pytest.mark.parametrize(
    ("reading", "coming", "others_decode", "has_room"),
    [
        ([], 100_000, True, True),
        ([100_000], 20, True, True),
        ([100_000], 100_000, True, True),
        ([100_000, 20], 20, True, False),
        ([20] * 11, 20, True, True),
        ([20] * 12, 20, True, False),
        ([100_000] * 15, 100_000, False, True),
        ([100_000] * 16, 100_000, False, False),
    ],
)
def test_who_may_be_read_as_well(
    reading: list[int], coming: int, others_decode: bool, has_room: bool
) -> None:
    assert PREFILL.has_room(reading, coming, others_decode=others_decode) is has_room


@given(
    st.integers(16, 16_384),
    st.integers(16, 16_384),
    st.lists(st.integers(1, 100_000), max_size=30),
    st.booleans(),
)
def test_a_step_is_never_more_than_two_chunks_beside_an_answer_or_a_lone_request(
    alone: int, shared: int, lengths: list[int], others_decode: bool
) -> None:
    prefill = Prefill(alone, shared)
    reading: list[int] = []
    for length in lengths:
        if prefill.has_room(reading, length, others_decode=others_decode):
            reading.append(length)
    assert reading or not lengths, "somebody is always read"
    rows = len(reading) + others_decode
    padded = len(reading) * max([min(length, prefill.chunk(rows)) for length in reading], default=0)
    most = 2 * min(alone, shared)
    assert padded <= (most if others_decode else max(alone, most))
