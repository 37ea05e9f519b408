"""Who is in memory: never more than is allowed, and nothing of those who are gone."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlxhub.core.limits import (
    GroupLimit,
    Holder,
    HubLimits,
    ModelLimit,
    refuse_full_group,
    refuse_short_memory,
)
from mlxhub.core.memory import MemoryNeed
from mlxhub.errors import LoadNotBegun, LoadRefused, StateUnreadable
from mlxhub.files.ledger import Entry, Judge, Ledger

NAMES = ("a", "b", "c", "d")
LOAD = """
import sys, time
from pathlib import Path
from mlxhub.files.ledger import Ledger
entry = Ledger(Path(sys.argv[1])).take("a", lambda others: None)
entry.reserve(7, lambda others: None)
print("held", flush=True)
time.sleep(60)
"""
NEED = MemoryNeed(weights_bytes=1, row_bytes=1, rows=1, context_tokens=1, kept_bytes=0)


def let(_others: Sequence[Holder]) -> None:
    """Everybody may."""


def test_an_entry_says_what_its_holder_reserved_until_it_is_given_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    entry = ledger.take("a", let)
    assert ledger.holders() == (Holder("a", 0),)
    entry.reserve(1234567, let)
    entry.reserve(89, let)
    assert ledger.holders() == (Holder("a", 89),)
    entry.give_back()
    assert ledger.holders() == ()


def test_the_entry_of_a_killed_process_counts_for_nothing_and_can_be_taken(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", LOAD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    ledger = Ledger(tmp_path)
    assert ledger.holders() == (Holder("a", 7),)
    with pytest.raises(LoadNotBegun, match="another process of it"):
        ledger.take("a", let)
    process.kill()
    process.wait(10)
    process.stdout.close()
    assert ledger.holders() == ()
    ledger.take("a", let).give_back()


def test_two_who_come_at_once_do_not_both_find_the_last_place(tmp_path: Path) -> None:
    seen: list[tuple[Holder, ...]] = []

    def look(others: Sequence[Holder]) -> None:
        seen.append(tuple(others))

    second = Thread(target=lambda: Ledger(tmp_path).take("b", look).give_back())

    def let_the_second_come(_others: Sequence[Holder]) -> None:
        second.start()
        second.join(0.5)
        assert seen == [], "it looked while the first was about to take its place"

    first = Ledger(tmp_path).take("a", let_the_second_come)
    second.join(10)
    assert seen == [(Holder("a", 0),)]
    first.give_back()


def test_the_turnstile_lets_one_pass_at_a_time(tmp_path: Path) -> None:
    first = Ledger(tmp_path).try_turnstile()
    assert first is not None
    assert Ledger(tmp_path).try_turnstile() is None
    with open(first):  # noqa: PTH123 - a descriptor, closed by this
        pass
    second = Ledger(tmp_path).try_turnstile()
    assert second is not None
    with open(second):  # noqa: PTH123 - likewise
        pass


def test_a_ledger_that_nobody_used_is_empty_and_looking_leaves_nothing(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "locks").holders() == ()
    assert list(tmp_path.iterdir()) == []


def test_an_entry_that_makes_no_sense_is_not_taken_for_nothing(tmp_path: Path) -> None:
    entry = Ledger(tmp_path).take("a", let)
    (tmp_path / "loaded" / "a").write_text("much")
    with pytest.raises(StateUnreadable, match="does not say how much"):
        Ledger(tmp_path).holders()
    entry.give_back()


class Hub(RuleBasedStateMachine):
    """Workers that load, unload and die, each with a ledger of its own, while limits change under them."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = TemporaryDirectory()
        self.loaded: dict[str, Entry] = {}
        self.limits = HubLimits(None, (), {})

    def ledger(self) -> Ledger:
        return Ledger(Path(self._directory.name))

    @initialize(memory=st.integers(1, 20), most=st.integers(1, 4))
    def begin(self, memory: int, most: int) -> None:
        self.reload(memory, most)

    @rule(memory=st.integers(1, 20), most=st.integers(1, 4))
    def reload(self, memory: int, most: int) -> None:
        """Nobody is thrown out."""
        grouped = {name: ModelLimit("g", None, pinned=False) for name in NAMES}
        self.limits = HubLimits(memory, (GroupLimit("g", most, None),), grouped)

    @rule(name=st.sampled_from(NAMES), size=st.integers(1, 20))
    def load(self, name: str, size: int) -> None:
        if name in self.loaded:
            return
        before = {holder.name: holder.reserved_bytes for holder in self.ledger().holders()}
        fits = len(before) < self.limits.groups[0].max_loaded
        fits = fits and sum(before.values()) + size <= (self.limits.memory_bytes or 0)
        try:
            entry = self.ledger().take(name, self._judge(name))
        except LoadRefused:
            assert not fits
            return
        try:
            entry.reserve(size, self._short(name, size))
        except LoadRefused:
            assert not fits
            entry.give_back()
            return
        assert fits
        self.loaded[name] = entry

    @precondition(lambda self: self.loaded)
    @rule(data=st.data())
    def unload_or_die(self, data: st.DataObject) -> None:
        """For others both are the same: the kernel frees the lock."""
        self.loaded.pop(data.draw(st.sampled_from(sorted(self.loaded)))).give_back()

    @invariant()
    def the_ledger_tells_who_is_there_and_nobody_else(self) -> None:
        held = {holder.name: holder.reserved_bytes for holder in self.ledger().holders()}
        assert held == {name: entry.reserved_bytes for name, entry in self.loaded.items()}

    def teardown(self) -> None:
        for entry in self.loaded.values():
            entry.give_back()
        self._directory.cleanup()

    def _judge(self, name: str) -> Judge:
        return lambda others: refuse_full_group(name, self.limits, [holder.name for holder in others])

    def _short(self, name: str, size: int) -> Callable[[Sequence[Holder]], None]:
        return lambda others: refuse_short_memory(name, size, NEED, self.limits, others)


TestHub = Hub.TestCase
TestHub.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
