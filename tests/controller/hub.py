"""A whole hub for a test: the controller on a real port, fake workers on real ports, launchd in memory."""

import asyncio
import plistlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from mlxhub.clients.hub import HubAddress
from mlxhub.controller.app import Controller, make_controller
from mlxhub.controller.collaborators import Collaborators, ReloadOutcome
from mlxhub.controller.settings import ControllerSettings
from mlxhub.core.agents import GENERATION_OPTION
from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.limits import NO_LIMITS, HubLimits
from mlxhub.core.observed import PortHolder
from mlxhub.core.paths import Paths
from mlxhub.files.keys import current_key, make_keys
from mlxhub.files.owner_socket import bind_owner_socket
from mlxhub.files.ports import port_holder
from mlxhub.fleet.holdings import Holdings
from mlxhub.fleet.hub import Hub, HubModel
from mlxhub.launchd.carry_out import During
from mlxhub.protocol.hub import HubStatus, ModelView
from mlxhub.web.protocol import LIMITS, Limits
from mlxhub.web.server import bind_socket, serve
from tests.fakes.catalogue import FakeCatalogue
from tests.fakes.launchd import FakeLaunchd
from tests.fakes.ports import free_ports
from tests.fakes.run_files import run_files_in
from tests.fakes.worker import FakeWorker, WorkerProgram

WAIT_SECONDS = 5.0

ALPHA = ModelConfig(name="alpha", model_path="builtin:demo", aliases=("gpt-4o-mini", "org/alpha"))
BETA = ModelConfig(name="beta", model_path="builtin:demo")


@dataclass
class RunningHub:
    """`next_hub` is what a reload reads; `outcome` what comes of it, else nothing changes.

    `carry_out` takes the plan's stages instead, on a thread.
    """

    settings: ControllerSettings
    url: str
    port: int
    client: httpx.AsyncClient
    controller: Controller
    launchd: FakeLaunchd
    workers: dict[str, FakeWorker]
    programs: dict[str, WorkerProgram]
    hub: Hub
    next_hub: Callable[[], Hub]
    catalogue: FakeCatalogue
    reconciled: list[Hub] = field(default_factory=list)
    outcome: ReloadOutcome | Exception | None = None
    carry_out: Callable[[Hub, During], ReloadOutcome] | None = None

    @property
    def address(self) -> HubAddress:
        return HubAddress(self.settings.socket, self.url)

    def label(self, name: str) -> str:
        return self.hub.models[name].label

    async def post(self, path: str) -> httpx.Response:
        """Answered when it is done."""
        return await self.client.post(path, params={"wait": 1}, json={})

    async def chat(self, model: str, **more: object) -> httpx.Response:
        return await self.client.post("/v1/chat/completions", json={"model": model, **more})

    async def view(self, name: str) -> ModelView:
        status = HubStatus.model_validate_json((await self.client.get("/hub/status")).content)
        return next(view for view in status.models if view.name == name)

    async def until(self, name: str, is_so: Callable[[ModelView], bool]) -> ModelView:
        """The first view of which that is so."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not is_so(view := await self.view(name)):  # noqa: ASYNC110  it is another process's fact
                await asyncio.sleep(0.02)
        return view

    async def kill_worker(self, name: str) -> None:
        """As kill -9 and launchd's answer to it."""
        await self.workers[name].die()
        await asyncio.to_thread(self.launchd.end, self.label(name), "signal Killed")


def controller_settings(directory: Path, port: int = 8000, **more: Any) -> ControllerSettings:
    """The directories of pytest are longer than a socket's address may be."""
    paths = Paths(*(directory / name for name in ("hub.yaml", "state", "logs", "agents", "bin", "launchd")))
    return ControllerSettings(port=port, keys=paths.keys, socket=paths.socket, **more)


def write_plist(directory: Path, label: str, generation: str = "g1") -> Path:
    path = directory / f"{label}.plist"
    arguments = ["mlxhub", GENERATION_OPTION, generation]
    properties = {"Label": label, "ProgramArguments": arguments, "KeepAlive": {"SuccessfulExit": False}}
    path.write_bytes(plistlib.dumps(properties))
    return path


def make_test_hub(
    directory: Path,
    *models: ModelConfig,
    config: HubConfig | None = None,
    generations: Mapping[str, str] | None = None,
) -> Hub:
    """`generations` are what hub.yaml asks for, by name, where that is not g1, which every plist has."""
    places = {}
    for model in models:
        assert model.port is not None
        label = f"io.mlxhub.worker.{model.name}"
        places[model.name] = HubModel(
            config=model,
            port=model.port,
            label=label,
            plist=write_plist(directory, label),
            generation=(generations or {}).get(model.name, "g1"),
            run_files=run_files_in(directory, model.name),
        )
    return Hub(
        config=config or HubConfig(models=models),
        controller_label="io.mlxhub.controller",
        models=places,
        names={model_id: model.name for model in models for model_id in model.ids},
    )


@asynccontextmanager
async def running_hub(
    directory: Path,
    *models: ModelConfig,
    stopped: tuple[str, ...] = (),
    config: HubConfig | None = None,
    silent_seconds: float = 30.0,
    generation: str = "",
    warnings: tuple[str, ...] = (),
    clock: Callable[[], float] = time.monotonic,
    repair_every_seconds: float = 2.0,
    keepalive_seconds: float = 10.0,
    launchd: FakeLaunchd | None = None,
    limits: Limits = LIMITS,
    hub_limits: HubLimits = NO_LIMITS,
) -> AsyncIterator[RunningHub]:
    """Models without a port get a free one. Those not in `stopped` ran before the controller began.

    `limits` are those of connections, `hub_limits` those of models.
    """
    ports = free_ports(len(models) + 1)
    placed = [
        model.model_copy(update={"port": model.port or port})
        for model, port in zip(models, ports[1:], strict=True)
    ]
    hub = make_test_hub(directory, *placed, config=config)
    loop = asyncio.get_running_loop()
    catalogue = FakeCatalogue()
    settings = controller_settings(directory, ports[0], generation=generation or f"port {ports[0]}")
    make_keys(settings.keys)
    secret = current_key(settings.keys, "worker")
    workers = {name: FakeWorker(name, model.port, secret) for name, model in hub.models.items()}
    programs = {name: WorkerProgram(worker, loop) for name, worker in workers.items()}
    launchd = launchd or FakeLaunchd()
    launchd.programs = {hub.models[name].label: program for name, program in programs.items()}
    for name, model in hub.models.items():
        running = name not in stopped
        await asyncio.to_thread(launchd.install, model.label, model.plist, "g1", running=running)

    def load_hub() -> Hub:
        return running.next_hub()

    def reconcile_workers(wanted: Hub, during: During) -> ReloadOutcome:
        running.reconciled.append(wanted)
        if running.carry_out is not None:
            return running.carry_out(wanted, during)
        if isinstance(running.outcome, Exception):
            raise running.outcome
        return running.outcome or ReloadOutcome(unchanged=tuple(wanted.models))

    def holder_of(port: int) -> PortHolder | None:
        """A fake worker has the pid its launchd gave it; this process is what the system would name."""
        ours = next((worker for worker in workers.values() if worker.port == port and worker.is_open), None)
        return port_holder(port) if ours is None else PortHolder(ours.pid, "fake worker")

    collaborators = Collaborators(
        load_hub=load_hub,
        launchd=launchd,
        reconcile_workers=reconcile_workers,
        controller_generation=lambda hub: f"port {hub.config.port}",
        catalogue=catalogue,
        holder_of=holder_of,
        holdings=lambda: Holdings(hub_limits),
    )
    if hub.config.port != ports[0]:
        hub = replace(hub, config=hub.config.model_copy(update={"port": ports[0]}))
    stop = asyncio.Event()
    url = f"http://127.0.0.1:{ports[0]}"
    async with asyncio.TaskGroup() as tasks:
        controller = make_controller(
            settings,
            hub,
            collaborators,
            tasks,
            stop.set,
            silent_seconds,
            warnings,
            clock=clock,
            repair_every_seconds=repair_every_seconds,
            keepalive_seconds=keepalive_seconds,
        )
        background = tasks.create_task(controller.run())
        serving = tasks.create_task(
            serve(
                controller.app,
                bind_socket("127.0.0.1", ports[0]),
                begin_drain=controller.begin_drain,
                is_idle=lambda: True,
                owner_socket=bind_owner_socket(settings.socket),
                limits=limits,
                stop=stop,
            )
        )
        headers = {"authorization": f"Bearer {current_key(settings.keys, 'admin')}"}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=15, trust_env=False, verify=False
        ) as client:
            running = RunningHub(
                settings,
                url,
                ports[0],
                client,
                controller,
                launchd,
                workers,
                programs,
                hub,
                next_hub=lambda: hub,
                catalogue=catalogue,
            )
            try:
                await _until_ready(client)
                yield running
            finally:
                stop.set()
                controller.stop_waiting()
                background.cancel()
                for worker in workers.values():
                    await worker.die()
        await serving


async def _until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110  as a person would
            await asyncio.sleep(0.01)
