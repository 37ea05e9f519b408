"""Which texts go through a model together."""

from hypothesis import given
from hypothesis import strategies as st

from mlxhub.worker.engines.text_batches import Chosen, TextBatches

REQUESTS = st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=20), min_size=1, max_size=6)


def drained(batches: TextBatches) -> list[list[Chosen]]:
    return list(iter(batches.next, []))


@given(requests=REQUESTS, budget=st.integers(1, 200))
def test_every_text_is_chosen_once_and_no_batch_is_over_the_budget(
    requests: list[list[int]], budget: int
) -> None:
    batches = TextBatches(budget)
    for handle, lengths in enumerate(requests):
        batches.add(handle, lengths)
    chosen = drained(batches)
    told = sorted(each for batch in chosen for each in batch)
    assert told == [
        (handle, index) for handle, lengths in enumerate(requests) for index in range(len(lengths))
    ]
    for batch in chosen:
        lengths_of = [requests[handle][index] for handle, index in batch]
        assert len(batch) == 1 or max(lengths_of) * len(batch) <= budget


def test_texts_of_a_length_go_together() -> None:
    batches = TextBatches(40)
    batches.add(1, [10, 2, 10, 2])
    assert drained(batches) == [[(1, 2), (1, 0), (1, 3), (1, 1)]]
    batches.add(1, [20, 2, 20, 2])
    assert drained(batches) == [[(1, 2), (1, 0)], [(1, 3), (1, 1)]]


def test_a_short_request_waits_for_one_batch_of_a_long_one() -> None:
    batches = TextBatches(10)
    batches.add(1, [10] * 100)
    batches.next()
    batches.add(2, [10])
    first, second = batches.next(), batches.next()
    assert (2, 0) in first + second
    assert batches.is_done(2)
    assert not batches.is_done(1)


def test_who_has_left_is_not_chosen() -> None:
    batches = TextBatches(10)
    batches.add(1, [5])
    batches.add(2, [5])
    batches.remove(1)
    assert drained(batches) == [[(2, 0)]]
