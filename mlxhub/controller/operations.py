"""What a person asks of the hub: start, stop, restart, load and unload models, and reload hub.yaml."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from loguru import logger

from mlxhub.controller.collaborators import Collaborators, ReloadOutcome
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.controller.rollout import Rollout
from mlxhub.controller.settings import ControllerSettings
from mlxhub.controller.single_flight import SingleFlight
from mlxhub.core.agents import BY_HAND
from mlxhub.core.observed import AgentState
from mlxhub.core.repair import Repair
from mlxhub.errors import ConfigError, Fault, MlxhubError
from mlxhub.files.runs import make_new_beginning
from mlxhub.fleet.happenings import RELOADED, Happening
from mlxhub.fleet.hub import Hub, HubModel
from mlxhub.fleet.processes import refuse_parked, start_process, stop_process
from mlxhub.fleet.workers import Workers
from mlxhub.protocol.hub import ActionResult, BulkResult, ModelAction, ReloadResult
from mlxhub.protocol.worker import WorkerStatus

# Interpreters start at the speed of the cores; more at once only make all of them late.
CONCURRENT_ACTIONS = 8


class Operations:
    """At most one process change of a model at a time; loads hold nothing up."""

    def __init__(
        self,
        hub: HubInUse,
        observer: Observer,
        workers: Workers,
        collaborators: Collaborators,
        settings: ControllerSettings,
        tasks: asyncio.TaskGroup,
        emit: Callable[[Happening], None],
    ) -> None:
        """`tasks` outlives requests: what they start goes on there when they leave. `emit`: of reloads."""
        self._hub = hub
        self._observer = observer
        self._workers = workers
        self._outside = collaborators
        self._settings = settings
        self._emit = emit
        self._starts: SingleFlight[WorkerStatus] = SingleFlight(tasks)
        self._loads: SingleFlight[None] = SingleFlight(tasks)
        self._changing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._reloading = asyncio.Lock()
        self._taken_away: set[str] = set()

    def cancel(self) -> None:
        """The process ends: starts and loads are waited for no more."""
        self._starts.cancel()
        self._loads.cancel()

    def name_of(self, name: str) -> str:
        """The same, where there is such a model. Raises UnknownModel."""
        return self._hub.value.named(name).name

    async def act(self, name: str, action: ModelAction) -> ActionResult:
        """Returns when it is done; raises UnknownModel or what went wrong."""
        self._hub.value.named(name)
        match action:
            case "start":
                status = await self.start(name, enable=True)
                message = f'Model "{name}" runs (pid {status.pid}).'
            case "stop":
                message = await self._stop(name)
            case "restart":
                message = await self._restart(name)
            case "load":
                message = await self._load(name)
            case "unload":
                message = await self._unload(name)
        return ActionResult(name=name, ok=True, message=message)

    async def act_on_all(self, action: ModelAction) -> BulkResult:
        """Every model, concurrently. A model that fails says so in its result."""
        begun = time.monotonic()
        places = asyncio.Semaphore(CONCURRENT_ACTIONS)

        async def attempt(name: str) -> ActionResult:
            async with places:
                try:
                    return await self.act(name, action)
                except MlxhubError as error:
                    logger.warning('{} of model "{}" failed: {}', action, name, error)
                    return ActionResult(name=name, ok=False, message=str(error))

        results = await asyncio.gather(*(attempt(name) for name in self._hub.value.models))
        return BulkResult(
            started=sum(result.ok for result in results),
            total=len(results),
            startup_time_seconds=round(time.monotonic() - begun, 3),
            results=results,
        )

    async def start(self, name: str, *, enable: bool) -> WorkerStatus:
        """Once for all who ask at the same time. `enable`: a person asked for it."""
        return await self._starts.run((name, enable), lambda: self._start(name, enable))

    async def load(self, name: str) -> None:
        """Of a process that runs; once for all who ask at the same time."""
        await self._loads.run(name, lambda: self._load_now(name))

    async def make_room(self, name: str) -> None:
        """Out of memory with it, unless somebody is faster: RemoteError, `model_busy`."""
        try:
            await self._workers.of(self._hub.value.named(name)).unload(if_idle=True)
            logger.info('Model "{}" left memory to make room for another.', name)
        finally:
            await self._observer.ask(name)

    def was_taken_away(self, name: str) -> bool:
        """Whether a repair booted it out and could not load it again, and nobody stopped it since."""
        return name in self._taken_away

    def is_back(self, name: str) -> None:
        """It runs, whoever brought it back."""
        self._taken_away.discard(name)

    async def repair(self, name: str, decide: Callable[[AgentState], Repair | None]) -> int | None:
        """The pid it runs with then; None where nothing was to be done. Raises what `start_process` does.

        `decide` gets what launchd says while nothing else changes the model: a person may have stopped it
        since it was last looked at.
        """
        async with self._changing[name]:
            model = self._hub.value.named(name)
            agent = await asyncio.to_thread(self._outside.launchd.inspect, model.label)
            repair = decide(agent)
            if repair is None:
                return None
            await refuse_parked(model)
            if repair is Repair.REINSTALL:
                self._taken_away.add(name)
                await asyncio.to_thread(self._outside.launchd.bootout, model.label)
            return (await self._start_now(model, enable=False)).pid

    async def kill(self, name: str, pid: int) -> bool:
        """Without drain; false where it ended by itself meanwhile, or somebody stopped it."""
        async with self._changing[name]:
            model = self._hub.value.named(name)
            agent = await asyncio.to_thread(self._outside.launchd.inspect, model.label)
            if agent.pid != pid:
                return False
            await asyncio.to_thread(self._outside.launchd.kill, model.label, "SIGKILL")
            return True

    async def reload(self) -> ReloadResult:
        """One model after the other where processes restart, each ready before the next.

        Requests find a model as it was until it is changed under launchd. Raises ConfigError and changes
        nothing where hub.yaml has faults or another label_prefix, and PlanRefused where a file in the way is
        not ours.
        """
        async with self._reloading:
            hub = await asyncio.to_thread(self._outside.load_hub)
            _refuse_other_labels(self._hub.value, hub)
            agent_changed = await asyncio.to_thread(self._own_agent_changed, hub)
            rollout = Rollout(
                hub,
                self._hub,
                launchd=self._outside.launchd,
                changing=self._changing,
                look=self._observer.look,
            )
            outcome = await asyncio.to_thread(self._outside.reconcile_workers, hub, rollout.during)
            rollout.finish([*(failure.name for failure in outcome.failed), *outcome.not_begun])
        await self._observer.look_at_all()
        self._emit(Happening(RELOADED, _reload_message(outcome)))
        return _reload_result(outcome, agent_changed)

    def _own_agent_changed(self, hub: Hub) -> bool:
        """Whether an install would give the controller another plist than it was started from."""
        if self._settings.generation == BY_HAND:
            return False
        return self._outside.controller_generation(hub) != self._settings.generation

    async def _start(self, name: str, enable: bool) -> WorkerStatus:
        async with self._changing[name]:
            return await self._start_now(self._hub.value.named(name), enable)

    async def _start_now(self, model: HubModel, enable: bool) -> WorkerStatus:
        try:
            status = await start_process(
                model,
                launchd=self._outside.launchd,
                ask=self._workers.of(model).status,
                holder_of=self._outside.holder_of,
                enable=enable,
            )
            self.is_back(model.name)
            return status
        finally:
            await self._observer.look(model.name)

    async def _stop(self, name: str) -> str:
        async with self._changing[name]:
            stopped = await self._stop_now(self._hub.value.named(name))
        return f'Model "{name}" is stopped.' if stopped else f'Model "{name}" was not running.'

    async def _stop_now(self, model: HubModel) -> bool:
        self._taken_away.discard(model.name)
        try:
            return await stop_process(model, launchd=self._outside.launchd)
        finally:
            await self._observer.look(model.name)

    async def _restart(self, name: str) -> str:
        async with self._changing[name]:
            model = self._hub.value.named(name)
            # What would keep it from starting keeps it from being stopped for that.
            await asyncio.to_thread(make_new_beginning, model.run_files)
            await self._stop_now(model)
            status = await self._start_now(model, enable=True)
        return f'Model "{name}" runs again (pid {status.pid}).'

    async def _load(self, name: str) -> str:
        """Starts the process first where it is down."""
        await self.start(name, enable=True)
        await self.load(name)
        return f'Model "{name}" is in memory.'

    async def _load_now(self, name: str) -> None:
        try:
            await self._workers.of(self._hub.value.named(name)).load()
        finally:
            await self._observer.ask(name)

    async def _unload(self, name: str) -> str:
        await self._observer.ask(name)
        if not self._observer.is_serving(name):
            return f'Model "{name}" is not running, so nothing of it is in memory.'
        try:
            await self._workers.of(self._hub.value.named(name)).unload()
        finally:
            await self._observer.ask(name)
        return f'Model "{name}" is out of memory.'


def _refuse_other_labels(old: Hub, new: Hub) -> None:
    """The agents of the old labels would run on beside the new ones, on the same ports."""
    before, after = old.config.label_prefix, new.config.label_prefix
    if before != after:
        message = f'label_prefix changed from "{before}" to "{after}". Apply that with: mlxhub install'
        raise ConfigError((Fault("hub.yaml", None, message),))


def _reload_result(outcome: ReloadOutcome, agent_changed: bool) -> ReloadResult:
    warnings = list(outcome.warnings)
    if agent_changed:
        warnings.append(
            "hub.yaml changes the controller itself (address, log level or log path). "
            "Apply that with: mlxhub install"
        )
    for failure in outcome.failed:
        logger.error('Reload of model "{}" failed: {}', failure.name, failure.message)
    if outcome.not_begun:
        logger.error("Not begun after that: {}.", _listed(outcome.not_begun))
    return ReloadResult(
        started=list(outcome.started),
        stopped=list(outcome.stopped),
        restarted=list(outcome.restarted),
        unchanged=list(outcome.unchanged),
        defined=list(outcome.defined),
        failed=list(outcome.failed),
        not_begun=list(outcome.not_begun),
        warnings=warnings,
    )


def _reload_message(outcome: ReloadOutcome) -> str:
    started, stopped, restarted, defined = map(
        _listed, (outcome.started, outcome.stopped, outcome.restarted, outcome.defined)
    )
    return (
        f"hub.yaml reloaded: started {started}, stopped {stopped}, restarted {restarted}, defined {defined}, "
        f"unchanged {len(outcome.unchanged)}."
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
