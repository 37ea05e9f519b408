"""What a row's positions are, as it is merged, cut and taken out like all that it has read."""

from hypothesis import given
from hypothesis import strategies as st

from mlxhub.worker.engines.position_shift import PositionShift

PICTURE = ((10, -3), (20, -7))


def test_a_row_without_pictures_counts_its_tokens() -> None:
    shift = PositionShift()
    shift.advance(100)
    assert shift.shifts == [0]


def test_behind_each_picture_positions_are_other_than_tokens() -> None:
    shift = PositionShift.after(5, PICTURE)
    assert shift.shifts == [0]
    shift.advance(5)
    assert shift.shifts == [-3]
    shift.advance(20)
    assert shift.shifts == [-7]
    shift.trim(15)
    assert shift.shifts == [-3]
    shift.trim(6)
    assert shift.shifts == [0]


def test_rows_keep_their_own_in_a_batch() -> None:
    batch = PositionShift.merge([PositionShift.after(12, PICTURE), PositionShift()])
    batch.extend(PositionShift.after(25, PICTURE))
    assert batch.shifts == [-3, 0, -7]
    batch.advance(1)
    batch.filter([0, 2])
    assert batch.shifts == [-3, -7]
    assert batch.extract(1).shifts == [-7]


def test_the_padding_of_a_shorter_prompt_is_no_part_of_it() -> None:
    batch = PositionShift.merge([PositionShift.after(8, PICTURE), PositionShift.after(8, PICTURE)])
    batch.prepare(lengths=[1, 4], right_padding=[3, 0])
    batch.advance(4)
    batch.finalize()
    assert batch.shifts == [0, -3]
    batch.finalize()
    assert batch.shifts == [0, -3]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(0, 20), st.integers(0, 20))
def test_forward_and_back_is_where_it_was(sizes: list[int], tokens: int, more: int) -> None:
    batch = PositionShift.merge([PositionShift.after(size, PICTURE) for size in sizes])
    before = batch.shifts
    batch.advance(tokens)
    batch.advance(more)
    batch.trim(tokens + more)
    assert batch.shifts == before
