"""What is kept of responses stays within its bounds, and of what fits the least recently used goes first."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mlxhub.worker.response_store import OVERHEAD_BYTES, KeptResponse, ResponseStore


def response(name: str, size: int = 0, previous: KeptResponse | None = None) -> KeptResponse:
    return KeptResponse(name, b"i" * (size // 2), b"r" * (size - size // 2), previous)


def reachable(responses: list[KeptResponse]) -> dict[str, KeptResponse]:
    return {each.id: each for kept in responses for each in kept.conversation}


class Store(RuleBasedStateMachine):
    """Beside a list that does the same the slow way."""

    @initialize(entries=st.integers(0, 6), size=st.integers(0, 8000))
    def begin(self, entries: int, size: int) -> None:
        self.most_entries, self.most_bytes = entries, size
        self.store = ResponseStore(entries, size)
        self.made: list[KeptResponse] = []
        self.kept: list[KeptResponse] = []

    @rule(data=st.data(), size=st.integers(0, 3000))
    def keep(self, data: st.DataObject, size: int) -> None:
        """After any that ever was: it may have gone while the answer was made."""
        previous = data.draw(st.sampled_from([None, *self.made]))
        new = response(f"r{len(self.made)}", size, previous)
        self.made.append(new)
        fits = self.most_entries > 0 and sum(each.own_bytes for each in new.conversation) <= self.most_bytes
        assert self.store.keep(new) is fits
        if fits:
            self.kept.append(new)
            while len(self.kept) > self.most_entries or self.used() > self.most_bytes:
                self.kept.pop(0)

    @rule(number=st.integers(0, 30))
    def find(self, number: int) -> None:
        expected = [each for each in self.kept if each.id == f"r{number}"]
        found = self.store.find(f"r{number}")
        assert ([] if found is None else [found]) == expected
        self.kept = [each for each in self.kept if each not in expected] + expected

    @rule(number=st.integers(0, 30))
    def remove(self, number: int) -> None:
        remaining = [each for each in self.kept if each.id != f"r{number}"]
        assert self.store.remove(f"r{number}") is (len(remaining) < len(self.kept))
        self.kept = remaining

    def used(self) -> int:
        return sum(each.own_bytes for each in reachable(self.kept).values())

    @invariant()
    def within_bounds(self) -> None:
        assert len(self.store) == len(self.kept) <= self.most_entries
        assert self.store.used_bytes == self.used() <= self.most_bytes


Store.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestStore = Store.TestCase


@given(st.integers(1, 2000))
def test_a_conversation_takes_as_much_as_its_turns(turns: int) -> None:
    """Not each turn as much as all before it."""
    store = ResponseStore(5000, 10**9)
    last = None
    for turn in range(turns):
        last = response(f"r{turn}", 100, last)
        store.keep(last)
    assert last is not None
    assert store.used_bytes == last.total_bytes == turns * (100 + OVERHEAD_BYTES)
    assert [each.id for each in last.conversation] == [f"r{turn}" for turn in range(turns)]


def test_the_turns_of_a_conversation_are_kept_also_where_only_its_last_can_be_asked_for() -> None:
    store = ResponseStore(1, 10_000)
    first = response("first", 100)
    second = response("second", 100, first)
    assert (store.keep(first), store.keep(second)) == (True, True)
    assert (store.find("first"), store.find("second")) == (None, second)
    assert store.used_bytes == first.own_bytes + second.own_bytes
    store.remove("second")
    assert store.used_bytes == 0


def test_what_is_larger_than_all_may_be_drives_nothing_out() -> None:
    store = ResponseStore(5, 2 * OVERHEAD_BYTES + 200)
    small = response("small", 100)
    store.keep(small)
    assert not store.keep(response("large", 1000))
    assert not store.keep(response("long", 101, small))
    assert store.find("small") is small


def test_without_entries_nothing_is_kept() -> None:
    store = ResponseStore(0, 10_000)
    assert not store.is_on
    assert not store.keep(response("one"))
