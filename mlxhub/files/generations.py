"""What was applied, the last few times: the way back, and what to go by while hub.yaml is broken."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from mlxhub.core.paths import Paths
from mlxhub.files.locks import hold_lock
from mlxhub.files.state import read_state, remove_leftovers, write_state

KEPT = 5


class Generation(BaseModel):
    """One hub.yaml that was in force. `after`: the number of the one before it, None for the first.

    `definitions` are the hashes of its agents by label; `good`: all that should run with them was ready.
    `time` is in Unix seconds, for people.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    after: int | None
    time: float
    hub_yaml: str
    definitions: dict[str, str]
    good: bool


class History(BaseModel):
    """The oldest first. `current`: the number of the one that was applied last, None before the first.

    `heading_for`: of the one that hub.yaml was put back to, until that or another is applied.
    """

    model_config = ConfigDict(frozen=True)

    current: int | None = None
    heading_for: int | None = None
    generations: tuple[Generation, ...] = ()

    @property
    def in_force(self) -> Generation | None:
        return self.find(self.current)

    def find(self, number: int | None) -> Generation | None:
        return next((each for each in self.generations if each.number == number), None)

    def line(self) -> list[Generation]:
        """The one in force, the one before it, and so on: not those that were gone back from."""
        return self._line_from(self.in_force)

    def _line_from(self, current: Generation | None) -> list[Generation]:
        line: list[Generation] = []
        while current is not None:
            line.append(current)
            current = self.find(current.after)
        return line

    @property
    def proven(self) -> dict[str, str]:
        """The definitions with which last everything was ready."""
        return next((each.definitions for each in self.line() if each.good), {})

    def before(self, hub_yaml: str) -> Generation | None:
        """Where a step back from this hub.yaml leads: the last good one on the line that is another.

        From one that was gone back to and could not be applied, it leads further back.
        """
        start = self._goal(hub_yaml) or self.in_force
        return next(
            (each for each in self._line_from(start) if each.good and each.hub_yaml != hub_yaml), None
        )

    def applied(self, hub_yaml: str, definitions: Mapping[str, str], *, good: bool, time: float) -> "History":
        """The same text again is the same generation; one that was good stays so until it is good anew."""
        goal = self._goal(hub_yaml)
        if goal is not None or self.heading_for is not None:
            arrived = self.current if goal is None else goal.number
            history = self.model_copy(update={"current": arrived, "heading_for": None})
            return history.applied(hub_yaml, definitions, good=good, time=time)
        current = self.in_force
        if current is not None and current.hub_yaml == hub_yaml:
            if current.good and not good:
                return self
            seen = current.model_copy(update={"definitions": dict(definitions), "good": good})
            others = tuple(seen if each.number == seen.number else each for each in self.generations)
            return self.model_copy(update={"generations": others})
        number = max((each.number for each in self.generations), default=0) + 1
        new = Generation(
            number=number,
            after=self.current,
            time=round(time, 3),
            hub_yaml=hub_yaml,
            definitions=dict(definitions),
            good=good,
        )
        return _bounded(History(current=number, generations=(*self.generations, new)))

    def returning(self, number: int) -> "History":
        """This one is in force again as soon as its text is applied. What lies after it stays."""
        return self.model_copy(update={"heading_for": number})

    def _goal(self, hub_yaml: str) -> Generation | None:
        goal = self.find(self.heading_for)
        return goal if goal is not None and goal.hub_yaml == hub_yaml else None


_HISTORY = TypeAdapter(History)


def read_history(paths: Paths) -> History:
    """Raises StateUnreadable."""
    return read_state(_file(paths), _HISTORY, History())


def remember(paths: Paths, hub_yaml: str, definitions: Mapping[str, str], *, good: bool, time: float) -> None:
    """This hub.yaml is in force now. `time` in Unix seconds.

    For who carried it out and still holds the hub's lock: else an older one may be written over a newer one.
    Raises StateUnreadable and StateUnwritable.
    """
    _change(paths, lambda history: history.applied(hub_yaml, definitions, good=good, time=time))


def prove(paths: Paths, hub_yaml: str, definitions: Mapping[str, str], *, time: float) -> None:
    """All of it runs with these definitions; says nothing where another hub.yaml is in force by now.

    Takes the hub's lock. Raises LockTimeout, StateUnreadable and StateUnwritable.
    """

    def proven(history: History) -> History:
        current = history.in_force
        if current is None or current.hub_yaml != hub_yaml:
            return history
        return history.applied(hub_yaml, definitions, good=True, time=time)

    with hold_lock(paths.lock):
        _change(paths, proven)


def return_to(paths: Paths, number: int) -> None:
    """hub.yaml is that generation's again, and about to be applied.

    Takes the hub's lock. Raises LockTimeout, StateUnreadable and StateUnwritable.
    """
    with hold_lock(paths.lock):
        _change(paths, lambda history: history.returning(number))


def _change(paths: Paths, change: Callable[[History], History]) -> None:
    before = read_history(paths)
    after = change(before)
    if after != before:
        remove_leftovers(_file(paths))
        write_state(_file(paths), _HISTORY, after)


def _file(paths: Paths) -> Path:
    return paths.generations / "history.json"


def _bounded(history: History) -> History:
    """The newest, but first of all the one in force and the last good one. None comes after one that left."""
    good = next((each for each in history.line() if each.good), None)
    wanted = [history.in_force, good, *reversed(history.generations)]
    numbers = list(dict.fromkeys(each.number for each in wanted if each is not None))[:KEPT]

    def before(generation: Generation) -> int | None:
        earlier = history.find(generation.after)
        while earlier is not None and earlier.number not in numbers:
            earlier = history.find(earlier.after)
        return None if earlier is None else earlier.number

    kept = (each for each in history.generations if each.number in numbers)
    return History(
        current=history.current,
        generations=tuple(each.model_copy(update={"after": before(each)}) for each in kept),
    )
