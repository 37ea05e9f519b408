"""Look at a hub once, for all checks: files, launchd, workers. Nothing changes, every look has a limit."""

import asyncio
import os
import plistlib
import queue
import stat
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.parsers.expat import ExpatError

from mlxhub import demo
from mlxhub.clients.worker import WorkerClient
from mlxhub.core.agents import RenderedAgent, model_of
from mlxhub.core.observed import AgentState
from mlxhub.core.paths import Paths, model_location
from mlxhub.core.restarts import CONTROLLER
from mlxhub.errors import Fault, LaunchctlTimeout, MlxhubError, StateUnreadable
from mlxhub.files.huggingface import cache_directory, cached_snapshot
from mlxhub.files.machine import Machine
from mlxhub.files.manifest import WrittenFile, installed_agents, plist_ownership, written_files
from mlxhub.files.ports import port_holder
from mlxhub.files.probes import look_at_checkpoints
from mlxhub.files.runs import parked_reason
from mlxhub.fleet.doctor.found import AgentFound, Answers, Found, PlistFile
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.hub import Hub, HubModel
from mlxhub.fleet.observation import look
from mlxhub.launchd.contract import Launchd

LAUNCHD_SECONDS = 15.0
WORKERS_SECONDS = 15.0
CONTROLLER_SECONDS = 8.0
CHECKPOINT_SECONDS = 5.0
_CONCURRENT_LOOKS = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HubRead:
    """What hub.yaml gave: faults, and a hub with its agents, which with faults is the one last applied."""

    paths: Paths
    faults: tuple[Fault, ...]
    hub: Hub | None
    agents: Mapping[str, RenderedAgent]
    state_fault: str | None


@dataclass(frozen=True, slots=True)
class _LaunchdSaid:
    fault: str | None
    states: Mapping[str, AgentState]
    disabled: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class _Records:
    """What mlxhub wrote down of what it installed, plists by label; `fault`: why that cannot be read."""

    installed: Mapping[str, Path]
    written: tuple[WrittenFile, ...]
    fault: str | None


def gather(
    machine: Machine, read: HubRead, launchd: Launchd, *, ask_controller: Callable[[], int | None]
) -> Found:
    """`ask_controller`: the pid that answers as our controller, None where none does."""
    records = _read_records(machine.paths)
    labels = list(dict.fromkeys([*read.agents, *records.installed]))
    silence = _LaunchdSaid(f"launchd does not answer within {LAUNCHD_SECONDS:g} s.", {}, {})
    said = begin(lambda: _ask_launchd(labels, launchd))(LAUNCHD_SECONDS, silence)
    models = list(read.hub.models.values()) if read.hub is not None else []
    locations = {model.name: _location(model, machine) for model in models}
    directories = {name: place for name, place in locations.items() if place.startswith("/")}
    answers = _ask_all(models if said.fault is None else [], launchd, ask_controller)
    seen = look_at_checkpoints(list(directories.values()), CHECKPOINT_SECONDS)
    return Found(
        machine=machine,
        paths=read.paths,
        faults=read.faults,
        config=None if read.hub is None else read.hub.config,
        hub=read.hub,
        agents=tuple(_agent(label, read, records, said) for label in labels),
        state_fault=read.state_fault or records.fault,
        launchd_fault=said.fault,
        answers=answers(),
        locations=locations,
        checkpoints={name: seen[place] for name, place in directories.items()},
    )


def begin(ask: Callable[[], T]) -> Callable[[float, T], T]:
    """Ask now; call what is returned to wait so many seconds, after which the answer is its second argument.

    What was asked goes on in a thread that keeps nobody from ending. Waiting raises what `ask` raised.
    """
    answer: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            answer.put(error)

    def wait(seconds: float, otherwise: T) -> T:
        try:
            got = answer.get(timeout=seconds)
        except queue.Empty:
            return otherwise
        if isinstance(got, BaseException):
            raise got
        return got

    threading.Thread(target=work, name="doctor", daemon=True).start()
    return wait


def _ask_all(
    models: list[HubModel], launchd: Launchd, ask_controller: Callable[[], int | None]
) -> Callable[[], Answers]:
    """Workers and controller at once: one that hangs costs its limit, not one limit after the other."""
    facts_later = begin(lambda: asyncio.run(_look_at_all(models, launchd)))
    controller_later = begin(ask_controller)

    def answers() -> Answers:
        faults = []
        facts: Mapping[str, ModelFacts] = {}
        controller_pid = None
        try:
            facts = facts_later(WORKERS_SECONDS, {})
            if len(facts) < len(models):
                faults.append(f"Asking the models did not end within {WORKERS_SECONDS:g} s.")
        except Exception as error:  # noqa: BLE001 - a look that breaks is a finding, and spoils no other
            faults.append(f"Asking the models broke: {type(error).__name__}: {error}")
        try:
            controller_pid = controller_later(CONTROLLER_SECONDS, None)
        except Exception as error:  # noqa: BLE001 - as above
            faults.append(f"Asking the controller broke: {type(error).__name__}: {error}")
        return Answers(facts, controller_pid, tuple(faults))

    return answers


def _read_records(paths: Paths) -> _Records:
    try:
        return _Records(installed_agents(paths), written_files(paths), None)
    except StateUnreadable as error:
        return _Records({}, (), str(error))


def _ask_launchd(labels: list[str], launchd: Launchd) -> _LaunchdSaid:
    deadline = time.monotonic() + LAUNCHD_SECONDS

    def ask(label: str) -> tuple[AgentState, bool]:
        """Once it is too late, nobody waits for the rest: it would keep this process from ending."""
        if time.monotonic() >= deadline:
            raise LaunchctlTimeout("Asking launchd", LAUNCHD_SECONDS)
        return launchd.inspect(label), launchd.is_disabled(label)

    try:
        launchd.require_session()
        with ThreadPoolExecutor(_CONCURRENT_LOOKS, "doctor") as threads:
            answers = dict(zip(labels, threads.map(ask, labels), strict=True))
    except MlxhubError as error:
        return _LaunchdSaid(str(error), {}, {})
    return _LaunchdSaid(
        None,
        {label: state for label, (state, _) in answers.items()},
        {label: disabled for label, (_, disabled) in answers.items()},
    )


async def _look_at_all(models: list[HubModel], launchd: Launchd) -> dict[str, ModelFacts]:
    facts = await asyncio.gather(*(_look(model, launchd) for model in models))
    return {model.name: seen for model, seen in zip(models, facts, strict=True)}


async def _look(model: HubModel, launchd: Launchd) -> ModelFacts:
    client = WorkerClient(model.name, model.port)
    try:
        return await look(model, None, launchd=launchd, ask=client.status, holder_of=port_holder)
    finally:
        client.close()


def _agent(label: str, read: HubRead, records: _Records, said: _LaunchdSaid) -> AgentFound:
    path = records.installed.get(label) or read.paths.plist(label)
    return AgentFound(
        label=label,
        desired=read.agents.get(label),
        file=_plist(path),
        state=said.states.get(label),
        disabled=said.disabled.get(label),
        parked=parked_reason(read.paths.run_files(model_of(label) or CONTROLLER)),
        ownership=plist_ownership(read.paths, path, records.written),
    )


def _plist(path: Path) -> PlistFile | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    content = _content(path)
    return PlistFile(
        path=path,
        content=content,
        properties=_properties(content),
        mode=status.st_mode,
        owner=status.st_uid,
        is_regular=stat.S_ISREG(status.st_mode),
    )


def _content(path: Path) -> bytes | None:
    try:
        # A pipe in its place must not hold us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()
    except OSError:
        return None


def _properties(content: bytes | None) -> dict[str, object]:
    try:
        properties = plistlib.loads(content or b"")
    except (ValueError, ExpatError):
        return {}
    return properties if isinstance(properties, dict) else {}


def _location(model: HubModel, machine: Machine) -> str:
    """A directory, or the repo id of what is in no cache."""
    named = model_location(model.config.model_path, home=machine.home, base=machine.paths.config.parent)
    if named == demo.MODEL_REFERENCE:
        return str(demo.model_directory())
    if named.startswith("/"):
        return named
    snapshot = cached_snapshot(cache_directory(machine.runtime.environment, machine.home), named)
    return named if snapshot is None else str(snapshot)
