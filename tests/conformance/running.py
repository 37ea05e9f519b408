"""Run scenarios together, each in a thread, and keep what each one came to."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tests.conformance.answers import Answers, Recorded
from tests.conformance.driver import Launchd
from tests.conformance.scenario import Scenario

# The longest scenario takes some 80 of launchd's seconds; and for a busy machine, these real ones.
LIMIT_SECONDS = 240
MERCY_SECONDS = 30
# Of real seconds in which a scenario that was stopped ends; only a launchctl that hangs takes longer.
STOP_SECONDS = 10
# Of real seconds between two beginnings, so that not all processes start at once.
STAGGER_SECONDS = 0.01


@dataclass(slots=True)
class Result:
    scenario: Scenario
    answers: Answers
    launchd: Launchd
    failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.scenario.run(self.launchd, self.answers)
        except BaseException as failure:  # noqa: BLE001 - raised again by check, in the thread that reports
            self.failure = failure

    def check(self) -> None:
        """Raise what the scenario raised, with what the stand-in wrote about its jobs."""
        if self.failure is None:
            return
        if self.launchd.journal is not None:
            label = f" {self.launchd.prefix}.{self.scenario.number}"
            lines = self.launchd.journal.read_text().splitlines()
            mine = [line for line in lines if f"{label}:" in line or f"{label}." in line]
            self.failure.add_note("\n".join(["The stand-in wrote:", *mine[-40:]]))
        raise self.failure


def run_together(
    scenarios: Iterable[Scenario],
    launchd_for: Callable[[Scenario], Launchd],
    expected: Mapping[str, str] | None = None,
    limit_seconds: float = LIMIT_SECONDS,
    mercy_seconds: float = MERCY_SECONDS,
) -> list[Result]:
    """`expected` are the answers that a stand-in must give; a real launchd may give any listed one.

    What is not done within the limit, in launchd's seconds, is stopped and has failed.
    """
    results = [Result(each, Answers(each.measures, expected), launchd_for(each)) for each in scenarios]
    threads = [threading.Thread(target=result.run, daemon=True) for result in results]
    for thread in threads:
        thread.start()
        time.sleep(STAGGER_SECONDS)
    slowest = min(result.launchd.scale for result in results)
    _join(threads, limit_seconds / slowest + mercy_seconds)
    late = [result for thread, result in zip(threads, results, strict=True) if thread.is_alive()]
    for result in late:
        result.launchd.over.set()
    _join(threads, STOP_SECONDS)
    for result in late:
        result.failure = TimeoutError(f"scenario {result.scenario.number} is not done")
    return results


def _join(threads: Iterable[threading.Thread], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def recorded(results: Iterable[Result]) -> dict[str, Recorded]:
    return {
        name: Recorded(" and ".join(seen), result.scenario.number)
        for result in results
        for name, seen in result.answers.seen.copy().items()
    }
