"""The answers that one scenario saw to what is uncertain about launchd."""

import json
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.uncertain import UNCERTAIN

Answer = bool | int | str


def answer_text(answer: Answer) -> str:
    """`yes`, `SIGTERM`, `37`: as in the table."""
    match answer:
        case bool():
            return "yes" if answer else "no"
        case signal.Signals():
            return answer.name
        case _:
            return str(answer)


class Answers:
    """`may_see` are the ids that the scenario says it measures; `expected` what a stand-in has drawn."""

    def __init__(self, may_see: Iterable[str], expected: Mapping[str, str] | None) -> None:
        self.seen: dict[str, list[str]] = {}
        self._may_see = frozenset(may_see)
        self._expected = expected

    def take(self, behaviour: str, answer: Answer) -> None:
        assert behaviour in self._may_see, f"the scenario does not say that it measures {behaviour}"
        text = answer_text(answer)
        seen = self.seen.setdefault(behaviour, [])
        if text not in seen:
            seen.append(text)
        assert text in UNCERTAIN[behaviour].answers, f"{behaviour}: {text} was never reported"
        if self._expected is not None:
            assert text == self._expected[behaviour], (
                f"{behaviour}: the seed drew {self._expected[behaviour]}"
            )


@dataclass(frozen=True, slots=True)
class Recorded:
    answer: str
    scenario: int


def save(path: Path, recorded: Mapping[str, Recorded]) -> None:
    rows = {name: {"answer": row.answer, "scenario": row.scenario} for name, row in sorted(recorded.items())}
    path.write_text(json.dumps(rows, indent=2) + "\n")


def load(path: Path) -> dict[str, Recorded]:
    return {name: Recorded(**row) for name, row in json.loads(path.read_text()).items()}
