"""A11: every route of both programs has its row, and every row its route."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from mlxhub.controller.access import TABLE as CONTROLLER_TABLE
from mlxhub.controller.app import Controller
from mlxhub.core.access import Need, RouteTable
from mlxhub.core.config import WorkerSettings
from mlxhub.protocol.model_routes import FOR_MODELS
from mlxhub.worker.access import TABLE as WORKER_TABLE
from mlxhub.worker.app import build_app
from mlxhub.worker.model_service import ModelService
from tests.attacks.place import ROUTES, Program
from tests.controller.hub import running_hub
from tests.worker.fake_engine import FakeEngine

TABLES = {Program.CONTROLLER: CONTROLLER_TABLE, Program.WORKER: WORKER_TABLE}


def worker_app() -> Starlette:
    settings = WorkerSettings(name="demo", model_path="x", port=1)
    return build_app(ModelService(settings, FakeEngine(), lambda: None), "g")


def framework_of(controller: Controller) -> Starlette:
    """Behind the guard and others, and the fork between framework and forwarder, which is a closure."""
    app: Any = controller.app
    while not inspect.isfunction(app):
        app = app._app
    parts = inspect.getclosurevars(app).nonlocals.values()
    (framework,) = [part for part in parts if isinstance(part, Starlette)]
    return framework


def declared(routes: Iterable[BaseRoute]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for route in routes:
        assert isinstance(route, Route), f"a kind of route unknown to this test: {route}"
        found |= {(method, route.path) for method in route.methods or () if method != "HEAD"}
    return found


def needs(table: RouteTable) -> dict[tuple[str, str], Need]:
    return {(route.method, route.path): route.need for route in table.routes}


def test_every_route_of_the_worker_is_published_and_none_besides() -> None:
    assert declared(worker_app().routes) == ROUTES[Program.WORKER].keys()


@pytest.mark.anyio
async def test_every_route_of_the_controller_is_published_and_none_besides(tmp_path: Path) -> None:
    async with running_hub(tmp_path) as running:
        routes = declared(framework_of(running.controller).routes)
    assert routes | {("POST", path) for path in FOR_MODELS} == ROUTES[Program.CONTROLLER].keys()


@pytest.mark.parametrize("program", Program)
def test_the_guard_asks_for_what_is_published(program: Program) -> None:
    asked = {route: need.value for route, need in needs(TABLES[program]).items()}
    assert asked == {route: shown.value for route, shown in ROUTES[program].items()}


@pytest.mark.parametrize("program", Program)
def test_what_changes_something_takes_json_and_only_the_shell_is_a_page(program: Program) -> None:
    for route in TABLES[program].routes:
        assert (route.method == "POST") == (route.body.value != "none"), route
        assert route.is_page == (route.path == "/hub"), route
