"""Look at a hub once, for all checks: files, launchd, workers. Nothing changes, every look has a limit."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mlxhub import demo
from mlxhub.clients.upstream import Trust
from mlxhub.clients.worker import WorkerClient
from mlxhub.core.agents import RenderedAgent
from mlxhub.core.model_type import ModelType
from mlxhub.core.observed import AgentState
from mlxhub.core.paths import Paths, model_location
from mlxhub.errors import Fault, LaunchctlTimeout, MlxhubError
from mlxhub.files.huggingface import cache_directory
from mlxhub.files.keys import WorkerTrust
from mlxhub.files.machine import Machine
from mlxhub.files.ports import port_holder
from mlxhub.files.probes import CheckpointSeen, look_at_checkpoints
from mlxhub.fleet.doctor.agent_files import AgentFiles, read_agent_files, read_records
from mlxhub.fleet.doctor.asking import LeavingThreads, answer_within, begin
from mlxhub.fleet.doctor.found import AgentFound, Answers, Found
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.hub import Hub, HubModel
from mlxhub.fleet.observation import look
from mlxhub.launchd.contract import Launchd
from mlxhub.registry.intake_probe import Candidate, refusals

LAUNCHD_SECONDS = 15.0
WORKERS_SECONDS = 15.0
CONTROLLER_SECONDS = 8.0
CHECKPOINT_SECONDS = 5.0
INTAKE_SECONDS = 15.0
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
    """`disabled` is None where it does not say that."""

    fault: str | None
    states: Mapping[str, AgentState]
    disabled: frozenset[str] | None


@dataclass(slots=True)
class _ModelsSaid:
    """By model, as the answers come: what was seen, and which looks broke."""

    facts: dict[str, ModelFacts] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def gather(
    machine: Machine, read: HubRead, launchd: Launchd, *, ask_controller: Callable[[], int | None]
) -> Found:
    """`ask_controller`: the pid that answers as our controller, None where none does."""
    records = read_records(machine.paths)
    labels = list(dict.fromkeys([*read.agents, *records.installed]))
    silence = _LaunchdSaid(f"launchd does not answer within {LAUNCHD_SECONDS:g} s.", {}, None)
    said = answer_within(LAUNCHD_SECONDS, begin(lambda: _ask_launchd(labels, launchd)), silence)
    models = list(read.hub.models.values()) if read.hub is not None else []
    trust = WorkerTrust(read.paths.keys)
    answers = _ask_all(models if said.fault is None else [], launchd, trust, ask_controller)
    files = read_agent_files(labels, read.paths, records)
    # The engine of tests has nothing on disk, and what a command serves is its own affair.
    elsewhere = (ModelType.ECHO, ModelType.COMMAND)
    on_disk = [model for model in models if model.config.model_type not in elsewhere]
    named = {model.name: _named(model, machine) for model in on_disk}
    seen = _refuse(on_disk, _look_at_checkpoints(named, machine))
    return Found(
        machine=machine,
        paths=read.paths,
        faults=read.faults,
        config=None if read.hub is None else read.hub.config,
        hub=read.hub,
        agents=tuple(_agent(label, read, files[label], said) for label in labels),
        state_fault=read.state_fault or records.fault,
        launchd_fault=said.fault,
        answers=answers(),
        locations={name: seen[name].directory or place for name, place in named.items()},
        checkpoints={name: each for name, each in seen.items() if each.directory or each.fault},
    )


def _ask_all(
    models: list[HubModel], launchd: Launchd, trust: Trust, ask_controller: Callable[[], int | None]
) -> Callable[[], Answers]:
    """Workers and controller at once: one that hangs costs its limit, not one limit after the other."""
    said = _ModelsSaid()
    models_later = begin(lambda: asyncio.run(_look_at_all(models, launchd, trust, said)))
    controller_later = begin(ask_controller)

    def answers() -> Answers:
        broken: list[str] = []
        _wait(models_later, WORKERS_SECONDS, "the models", broken)
        facts, faults = dict(said.facts), dict(said.broken)
        broken += faults.values()
        broken += [
            f'Looking at model "{model.name}" did not end within {WORKERS_SECONDS:g} s.'
            for model in models
            if model.name not in facts and model.name not in faults
        ]
        return Answers(
            facts, _wait(controller_later, CONTROLLER_SECONDS, "the controller", broken), tuple(broken)
        )

    return answers


def _wait(answer: Future[T], seconds: float, whom: str, broken: list[str]) -> T | None:
    try:
        return answer_within(seconds, answer, None)
    except Exception as error:  # noqa: BLE001 - a look that breaks is a finding, and spoils no other
        broken.append(f"Asking {whom} broke: {type(error).__name__}: {error}")
        return None


def _ask_launchd(labels: list[str], launchd: Launchd) -> _LaunchdSaid:
    deadline = time.monotonic() + LAUNCHD_SECONDS

    def ask(label: str) -> AgentState:
        """Once it is too late nobody waits for the rest."""
        if time.monotonic() >= deadline:
            raise LaunchctlTimeout("Asking launchd", LAUNCHD_SECONDS)
        return launchd.inspect(label)

    try:
        launchd.require_session()
        disabled = launchd.disabled_labels()
        states = LeavingThreads(_CONCURRENT_LOOKS).map(ask, labels)
        return _LaunchdSaid(None, dict(zip(labels, states, strict=True)), disabled)
    except MlxhubError as error:
        return _LaunchdSaid(str(error), {}, None)


async def _look_at_all(models: list[HubModel], launchd: Launchd, trust: Trust, said: _ModelsSaid) -> None:
    """One that hangs keeps no other's answer from being heard."""
    asyncio.get_running_loop().set_default_executor(LeavingThreads(_CONCURRENT_LOOKS))
    async with asyncio.TaskGroup() as looks:
        for model in models:
            looks.create_task(_look(model, launchd, trust, said))


async def _look(model: HubModel, launchd: Launchd, trust: Trust, said: _ModelsSaid) -> None:
    client = WorkerClient(model.name, model.port, trust)
    try:
        said.facts[model.name] = await look(
            model, None, launchd=launchd, ask=client.status, holder_of=port_holder
        )
    except Exception as error:  # noqa: BLE001 - a look that breaks is a finding, and spoils no other
        said.broken[model.name] = f'Looking at model "{model.name}" broke: {type(error).__name__}: {error}'
    finally:
        client.close()


def _agent(label: str, read: HubRead, files: AgentFiles, said: _LaunchdSaid) -> AgentFound:
    return AgentFound(
        label=label,
        desired=read.agents.get(label),
        file=files.file,
        state=said.states.get(label),
        disabled=None if said.disabled is None else label in said.disabled,
        parked=files.parked,
        ownership=files.ownership,
        unread=files.unread,
    )


def _look_at_checkpoints(named: Mapping[str, str], machine: Machine) -> dict[str, CheckpointSeen]:
    """By model, of what hub.yaml names."""
    cache = cache_directory(machine.runtime.environment, machine.home)
    seen = look_at_checkpoints(list(named.values()), cache, CHECKPOINT_SECONDS)
    return {name: seen[place] for name, place in named.items()}


def _refuse(models: list[HubModel], seen: Mapping[str, CheckpointSeen]) -> dict[str, CheckpointSeen]:
    """With what a worker would say that loads them."""
    candidates = {
        model.name: Candidate(directory, model.config.model_type, model.config.trust_remote_code)
        for model in models
        if (directory := seen[model.name].directory) is not None and seen[model.name].fault is None
    }
    refused = refusals(list(candidates.values()), INTAKE_SECONDS)
    found = {name: refused[candidate] for name, candidate in candidates.items()}
    return {
        name: each if (why := found.get(name)) is None else replace(each, fault=why.what, remedy=why.remedy)
        for name, each in seen.items()
    }


def _named(model: HubModel, machine: Machine) -> str:
    """A directory, or a repo id."""
    named = model_location(model.config.model_path or "", home=machine.home, base=machine.paths.config.parent)
    return str(demo.find(named) or named)
