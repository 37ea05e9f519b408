"""Compares what the hub says of its models, all the time, with what is."""

import threading
import time
from collections import deque
from dataclasses import dataclass

import httpx

from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.protocol.hub import HubStatus, ModelView
from tests.chaos.exchanges import CONTROLLER
from tests.chaos.place import Place

_SAMPLE_SECONDS = 0.25
_ASK_EVERY_SECONDS = 1.0
# What the hub says may be this old, and false for so much longer until it looks again: five seconds in all.
OLD_SECONDS = 3.0
FALSE_SECONDS = 2.0
# A busy machine is slow; a controller that waits for something is slower.
QUICK_SECONDS = 3.0
_DOWN = frozenset(
    {ProcessState.NOT_INSTALLED, ProcessState.STOPPED, ProcessState.THROTTLED, ProcessState.FAILED}
)


@dataclass(frozen=True, slots=True)
class Truth:
    """Of one model at a moment. `memory`: what its worker says of itself; None: it does not answer."""

    at: float
    pids: frozenset[int]
    memory: ModelState | None


def claims(view: ModelView) -> dict[str, object]:
    return {"process": view.process, "pid": view.pid, "memory": view.memory}


def is_true(what: str, claim: object, truth: Truth) -> bool:
    match what, claim:
        case "process", ProcessState.UNKNOWN:
            return True
        case "process", ProcessState.RUNNING:
            return truth.memory is not None
        case "process", state:
            return bool(truth.pids) is (state not in _DOWN)
        case "pid", None:
            return not truth.pids
        case "pid", pid:
            return pid in truth.pids
        case _:
            return claim == truth.memory


class Oracle:
    """`wrong`: what was found so far."""

    def __init__(self, place: Place) -> None:
        self.wrong: list[str] = []
        self.comparisons = 0
        self.slowest_seconds = 0.0
        self._place = place
        self._truths: dict[str, deque[Truth]] = {name: deque() for name in place.ports}
        self._false_since: dict[tuple[str, str], float] = {}

    def watch_until(self, over: threading.Event) -> None:
        asked_at = time.monotonic()
        while not over.wait(_SAMPLE_SECONDS):
            self._sample()
            if time.monotonic() - asked_at >= _ASK_EVERY_SECONDS:
                asked_at = time.monotonic()
                self._ask()

    def _sample(self) -> None:
        census = self._place.census()
        now = time.monotonic()
        for name, truths in self._truths.items():
            worker = self._place.worker(name)
            # Who answers lives, though the census may have come before its birth.
            pids = census[name] if worker is None else census[name] | {worker.pid}
            truths.append(Truth(now, pids, None if worker is None else worker.model_status))
            while truths[0].at < now - OLD_SECONDS:
                truths.popleft()
        for name, pids in census.items():
            # Looked at again: an orphan that is about to become another program is there for a moment.
            if len(pids) > 1 and len(pids & self._place.census()[name]) > 1:
                self.wrong.append(f"{name} runs twice: {sorted(pids)}")

    def _ask(self) -> None:
        before = self._place.census()[CONTROLLER]
        began = time.monotonic()
        try:
            self._place.http.get(f"{self._place.hub.url}/health").raise_for_status()
            status = self._place.status()
        except httpx.TransportError:
            status = None
        took = time.monotonic() - began
        if status is None or self._place.census()[CONTROLLER] != before:
            # It was killed, and the next one says first that it does not know.
            self._false_since.clear()
            return
        self.slowest_seconds = max(self.slowest_seconds, took)
        if took > QUICK_SECONDS:
            self.wrong.append(f"/health and /hub/status took {took:.1f} s")
        self._compare(status)

    def _compare(self, status: HubStatus) -> None:
        now = time.monotonic()
        self.comparisons += 1
        for view in status.models:
            for what, claim in claims(view).items():
                key = view.name, what
                if any(is_true(what, claim, truth) for truth in self._truths[view.name]):
                    self._false_since.pop(key, None)
                elif now - self._false_since.setdefault(key, now) > FALSE_SECONDS:
                    truth = self._truths[view.name][-1]
                    self.wrong.append(f"{view.name}: {what} is {claim}, and the truth was {truth}")
