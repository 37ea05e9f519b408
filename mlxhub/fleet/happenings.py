"""What happens to models, as differences between two looks at them: pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.status import process_state

LOAD_FAILED = "model.load_failed"
RELOADED = "hub.reloaded"
CONTROLLER_STARTED = "controller.started"
CONTROLLER_STOPPING = "controller.stopping"
OPERATION_BEGAN = "operation.running"
PULL_BEGAN, PULL_CAME = "pull.running", "pull.progress"
PULL_ENDED, PULL_FAILED = "pull.done", "pull.failed"


@dataclass(frozen=True, slots=True)
class Happening:
    """`kind` is one of those that docs/api.md lists, `message` for people. `model` None: the whole hub.

    The others are of the model then: what is None is not known, or not there. `operation`: its id.
    """

    kind: str
    message: str
    model: str | None = None
    process: ProcessState | None = None
    memory: ModelState | None = None
    pid: int | None = None
    last_exit: str | None = None
    operation: str | None = None


def happenings(name: str, last: ModelFacts | None, now: ModelFacts) -> Iterator[Happening]:
    """In the order in which people would tell them. `last` None: it was not looked at before."""
    if (said := _of_process(name, last, now)) is not None:
        yield _with_facts(f"model.{process_state(now)}", said, name, now)
    before, after = _last_memory(last, now), _memory(now)
    if after is not None and after is not before:
        yield _with_facts(f"model.{after}", f'Model "{name}": {_IN_WORDS[after]}.', name, now)
    error = _load_error(now)
    if error is not None and error != _load_error(last):
        yield _with_facts(LOAD_FAILED, error, name, now)


_IN_WORDS = {
    ModelState.UNLOADED: "out of memory",
    ModelState.LOADING: "is being loaded",
    ModelState.READY: "is in memory",
    ModelState.UNLOADING: "is being unloaded",
}


def _of_process(name: str, last: ModelFacts | None, now: ModelFacts) -> str | None:
    before = ProcessState.UNKNOWN if last is None else process_state(last)
    state = process_state(now)
    was_pid = None if last is None else last.pid
    if state is before and now.pid == was_pid:
        return None
    if last is None and not now.silent:
        return f'Model "{name}": adopted its running process (pid {now.pid}).'
    ended = "" if now.agent is None or now.agent.last_exit is None else f", last {now.agent.last_exit}"
    return f'Model "{name}": process {state} (pid {now.pid}{ended}).'


def _memory(facts: ModelFacts | None) -> ModelState | None:
    return None if facts is None or facts.silent or facts.worker is None else facts.worker.model_status


def _last_memory(last: ModelFacts | None, now: ModelFacts) -> ModelState:
    """Of the same process, whether it has been silent meanwhile or not; a new one begins with nothing."""
    worker = None if last is None else last.worker
    if worker is None or now.worker is None or worker.pid != now.worker.pid:
        return ModelState.UNLOADED
    return worker.model_status


def _load_error(facts: ModelFacts | None) -> str | None:
    return None if facts is None or facts.silent or facts.worker is None else facts.worker.error


def _with_facts(kind: str, message: str, name: str, facts: ModelFacts) -> Happening:
    return Happening(
        kind=kind,
        message=message,
        model=name,
        process=process_state(facts),
        memory=_memory(facts),
        pid=facts.pid,
        last_exit=None if facts.agent is None else facts.agent.last_exit,
    )
