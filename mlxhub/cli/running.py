"""Bring processes up and down from the command line, also where no controller is there to ask."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from mlxhub.cli.local_hub import LocalHub, controller_address, launchd_of
from mlxhub.clients.hub import HubAddress, HubClient
from mlxhub.clients.upstream import Trust
from mlxhub.clients.worker import WorkerClient
from mlxhub.core.agents import controller_label, generation_of, is_eager, model_of
from mlxhub.core.config import HubConfig
from mlxhub.core.paths import Paths
from mlxhub.core.repair import Repair, repair_for
from mlxhub.core.restarts import CONTROLLER
from mlxhub.errors import ControllerDown, MlxhubError, PortHeld
from mlxhub.files.machine import Machine
from mlxhub.files.ports import port_holder
from mlxhub.files.runs import make_new_beginning, parked_reason
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.processes import how_it_ended, start_process, stop_job
from mlxhub.launchd.contract import Launchd
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.hub import ActionResult

CONTROLLER_SECONDS = 30.0
T = TypeVar("T")
_ASK_EVERY_SECONDS = 0.1


def start_controller(local: LocalHub, launchd: Launchd) -> ActionResult:
    """Start it if it does not run; return when it answers. Raises MlxhubError that says why it does not."""
    label = local.hub.controller_label
    plist = local.paths.plist(label)
    if not plist.is_file():
        raise MlxhubError("Nothing is installed yet. Install the hub with: mlxhub install")
    state = launchd.inspect(label)
    if state.pid is None:
        make_new_beginning(local.paths.run_files(CONTROLLER))
    if not state.loaded:
        launchd.enable(label)
        launchd.bootstrap(plist, label, generation_of(plist.read_bytes()) or "")
    if state.pid is None:
        launchd.kickstart(label)
    controller_runs(local, launchd)
    return controller_started(local)


def controller_started(local: LocalHub) -> ActionResult:
    """Of one that is known to answer."""
    return ActionResult(name="controller", ok=True, message=f"The controller runs at {local.controller.url}")


def worker_started(model: HubModel) -> ActionResult:
    """Of one that is known to answer."""
    return ActionResult(name=model.name, ok=True, message=_runs_at(model))


def _runs_at(model: HubModel) -> str:
    return f'Model "{model.name}" runs at http://127.0.0.1:{model.port}/v1'


def reach_controller(machine: Machine, config: HubConfig) -> HubAddress:
    """Where it is. One that should run and that launchd does not start is started first.

    In a domain that holds starts back nobody else would do it. Whoever asks there finds out whether
    it answers. Raises NoSession.
    """
    address = controller_address(config, machine.paths)
    client = HubClient(address)
    if not client.answers() and revive_controller(machine.paths, config, launchd_of(machine)):
        deadline = time.monotonic() + CONTROLLER_SECONDS
        while not client.answers() and time.monotonic() < deadline:
            time.sleep(_ASK_EVERY_SECONDS)
    return address


def revive_controller(paths: Paths, config: HubConfig, launchd: Launchd) -> bool:
    """Whether it should run, did not, and was started."""
    label = controller_label(config)
    repair = repair_for(launchd.inspect(label), down_seconds=math.inf, reinstalled=False)
    if repair is None:
        return False
    if repair is Repair.REINSTALL:
        plist = paths.plist(label)
        launchd.bootout(label)
        launchd.bootstrap(plist, label, generation_of(plist.read_bytes()) or "")
    launchd.kickstart(label)
    return True


def controller_runs(local: LocalHub, launchd: Launchd) -> None:
    """Return when the controller that launchd runs answers. Raises MlxhubError that says why it does not."""
    deadline = time.monotonic() + CONTROLLER_SECONDS
    client = HubClient(local.controller)
    while True:
        agent = launchd.inspect(local.hub.controller_label)
        if agent.has_no_process:
            raise _controller_fault(local, how_it_ended(agent))
        with contextlib.suppress(ControllerDown, RemoteError):
            if client.status().controller.pid == agent.pid:
                return
        if time.monotonic() >= deadline:
            raise _controller_fault(local, f"did not answer within {CONTROLLER_SECONDS:g} s.")
        time.sleep(_ASK_EVERY_SECONDS)


def _controller_fault(local: LocalHub, what: str) -> MlxhubError:
    parked = parked_reason(local.paths.run_files(CONTROLLER))
    if parked is not None:
        return MlxhubError(parked)
    holder = port_holder(local.config.port, local.config.host)
    if holder is not None:
        return PortHeld(local.config.port, holder.pid, holder.command)
    return MlxhubError(f"The controller {what} Its log: {local.paths.log('controller')}")


async def workers_run(models: Iterable[HubModel], launchd: Launchd, trust: Trust) -> list[ActionResult]:
    """Start what does not run; done when each answers on its port or has failed."""

    async def run(model: HubModel) -> str:
        client = WorkerClient(model.name, model.port, trust)
        try:
            await start_process(model, launchd=launchd, ask=client.status, holder_of=port_holder, enable=True)
        finally:
            client.close()
        return _runs_at(model)

    return await _each({model.name: model for model in models}, run)


async def jobs_stop(plists: Mapping[str, Path], launchd: Launchd) -> list[ActionResult]:
    """By label, so that agents stop too whose model has left hub.yaml. The plists are as installed."""

    async def stop(label: str) -> str:
        name = model_of(label)
        what = "The controller" if name is None else f'Model "{name}"'
        plist = plists[label]
        eager = not plist.is_file() or is_eager(plist.read_bytes())
        stopped = await stop_job(label, launchd=launchd, eager=eager)
        return f"{what} is stopped." if stopped else f"{what} was not running."

    return await _each({model_of(label) or "controller": label for label in plists}, stop)


async def _each(targets: Mapping[str, T], act: Callable[[T], Awaitable[str]]) -> list[ActionResult]:
    async def one(name: str, target: T) -> ActionResult:
        try:
            return ActionResult(name=name, ok=True, message=await act(target))
        except MlxhubError as error:
            return ActionResult(name=name, ok=False, message=str(error))

    return list(await asyncio.gather(*(one(name, target) for name, target in targets.items())))
