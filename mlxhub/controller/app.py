"""The controller's parts put together, and the ASGI app in front of them."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mlxhub.controller.access import TABLE, access_policy, authenticator
from mlxhub.controller.collaborators import Collaborators
from mlxhub.controller.current_status import CurrentStatus
from mlxhub.controller.dashboard.views import dashboard_routes
from mlxhub.controller.discoveries import Discoveries
from mlxhub.controller.dispatcher import SILENT_SECONDS, Dispatcher
from mlxhub.controller.event_plugins import plugin_sinks
from mlxhub.controller.events import EventLog, log_event
from mlxhub.controller.frozen import FrozenProcesses
from mlxhub.controller.history import History
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.controller.operation_log import OperationLog
from mlxhub.controller.operations import Operations
from mlxhub.controller.pulls import Pulls
from mlxhub.controller.repairs import INTERVAL_SECONDS as REPAIR_EVERY_SECONDS
from mlxhub.controller.repairs import Repairs
from mlxhub.controller.routes.discovered import discovered_routes
from mlxhub.controller.routes.events import event_routes
from mlxhub.controller.routes.health import health_routes
from mlxhub.controller.routes.hub import hub_routes
from mlxhub.controller.routes.model_details import model_detail_routes
from mlxhub.controller.routes.openai import openai_routes
from mlxhub.controller.routes.operations import operation_routes
from mlxhub.controller.routes.pulls import pull_routes
from mlxhub.controller.routes.unlocking import unlocking_routes
from mlxhub.controller.scheduling import Scheduling
from mlxhub.controller.sessions import Sessions
from mlxhub.controller.settings import ControllerSettings
from mlxhub.core.lifecycle import ProcessState
from mlxhub.files.keys import WorkerTrust
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.happenings import CONTROLLER_STARTED, CONTROLLER_STOPPING, Happening, happenings
from mlxhub.fleet.hub import Hub
from mlxhub.fleet.workers import Workers
from mlxhub.protocol.hub import ControllerView
from mlxhub.protocol.model_routes import FOR_MODELS
from mlxhub.web.forwarding import Forwarder
from mlxhub.web.guard import Guard
from mlxhub.web.request_id import RequestIdMiddleware
from mlxhub.web.responses import UnexpectedErrors, install_error_handlers
from mlxhub.web.streams import KEEPALIVE_SECONDS


@dataclass(frozen=True, slots=True)
class Controller:
    app: ASGIApp
    observer: Observer
    dispatcher: Dispatcher
    scheduling: Scheduling
    operations: Operations
    operation_log: OperationLog
    events: EventLog
    repairs: Repairs
    frozen: FrozenProcesses
    discoveries: Discoveries
    pulls: Pulls

    async def run(self) -> None:
        """Until cancelled: what goes on without being asked."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.observer.run())
            tasks.create_task(self.dispatcher.watch())
            tasks.create_task(self.repairs.run())
            tasks.create_task(self.frozen.run())

    def begin_drain(self) -> None:
        """Answers that exist run on; nothing new is taken, and who follows events is told the last one."""
        self.dispatcher.begin_drain()
        self.scheduling.end_waiting()
        self.events.emit(Happening(CONTROLLER_STOPPING, "The controller ends. Its models serve on."))
        self.events.close()

    def stop_waiting(self) -> None:
        """The process ends: what launchd and workers are doing, they do without it."""
        self.scheduling.cancel()
        self.operations.cancel()
        self.operation_log.cancel()
        self.discoveries.cancel()
        self.pulls.end()


def make_controller(
    settings: ControllerSettings,
    hub: Hub,
    collaborators: Collaborators,
    tasks: asyncio.TaskGroup,
    shut_down: Callable[[], None],
    silent_seconds: float = SILENT_SECONDS,
    warnings: tuple[str, ...] = (),
    clock: Callable[[], float] = time.monotonic,
    repair_every_seconds: float = REPAIR_EVERY_SECONDS,
    keepalive_seconds: float = KEEPALIVE_SECONDS,
) -> Controller:
    """`tasks` outlives the app: what it starts for requests runs there. `silent_seconds` as of Dispatcher.

    `warnings`: what is wrong with this hub, until a reload. `clock` is monotonic.
    """
    in_use = HubInUse(hub, warnings)
    trust = WorkerTrust(settings.keys)
    workers = Workers(trust)
    events = EventLog([log_event, *plugin_sinks()])
    observer = Observer(in_use, collaborators, workers, clock)
    observer.add_listener(partial(_tell_happenings, events))
    history = History()
    observer.add_listener(history.on_look)
    operations = Operations(in_use, observer, workers, collaborators, settings, tasks, events.emit)
    operation_log = OperationLog(tasks, events.emit)
    scheduling = Scheduling(in_use, observer, operations, tasks, clock)
    discoveries = Discoveries(collaborators.catalogue.discover, tasks)
    pulls = Pulls(collaborators.catalogue.begin_pull, events.emit, discoveries.begin_anew, tasks, clock)
    dispatcher = Dispatcher(in_use, observer, scheduling, workers, trust, silent_seconds)
    status = CurrentStatus(in_use, observer, _controller_view(settings, hub))

    sessions = Sessions(clock)
    api = Starlette(
        routes=[
            *openai_routes(status),
            *hub_routes(status, observer.ask_all, operations, shut_down),
            *operation_routes(operations, operation_log),
            *event_routes(events),
            *model_detail_routes(in_use, history, lambda: events.is_closed),
            *discovered_routes(discoveries, collaborators.catalogue),
            *pull_routes(pulls),
            *unlocking_routes(sessions),
            *health_routes(lambda: observer.has_seen_all),
            *dashboard_routes(lambda: in_use.value.config.enable_status_page),
        ],
        middleware=[Middleware(UnexpectedErrors)],
    )
    install_error_handlers(api)
    guard = Guard(
        _by_path(Forwarder(dispatcher, keepalive_seconds), api),
        table=TABLE,
        policy=access_policy(in_use, settings),
        authenticate=authenticator(settings.keys, sessions),
    )
    app = RequestIdMiddleware(UnexpectedErrors(guard))
    repairs = Repairs(in_use, observer, operations, clock, repair_every_seconds)
    frozen = FrozenProcesses(observer, operations)
    begun = f"The controller begins at http://{settings.host}:{settings.port} with {len(hub.models)} models."
    events.emit(Happening(CONTROLLER_STARTED, begun))
    return Controller(
        app,
        observer,
        dispatcher,
        scheduling,
        operations,
        operation_log,
        events,
        repairs,
        frozen,
        discoveries,
        pulls,
    )


def _by_path(forwarder: ASGIApp, api: ASGIApp) -> ASGIApp:
    """Requests for models go past the framework, which costs more than the whole way to the worker."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in FOR_MODELS:
            await forwarder(scope, receive, send)
        else:
            await api(scope, receive, send)

    return app


def _tell_happenings(
    events: EventLog, name: str, last: ModelFacts | None, facts: ModelFacts, _began: float
) -> None:
    for happening in happenings(name, last, facts):
        events.emit(happening)


def _controller_view(settings: ControllerSettings, hub: Hub) -> ControllerView:
    return ControllerView(
        process=ProcessState.RUNNING,
        pid=os.getpid(),
        host=settings.host,
        port=settings.port,
        label=hub.controller_label,
        started_at=round(time.time(), 3),
    )
