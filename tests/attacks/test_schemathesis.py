"""What the OpenAPI documents promise holds on the wire, for good and for bad requests, with a key and without."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from mlxhub.controller.openapi import controller_openapi
from mlxhub.worker.openapi import worker_openapi
from tests.attacks.conftest import Target
from tests.attacks.place import Program

SECONDS = 30.0
# What takes models and the controller from those who share this hub.
FATAL = r"^/hub/(shutdown|reload|start-all|stop-all|models/.*)$"

Targets = dict[Program, Target]


def load(document: dict[str, Any]) -> Any:
    return schemathesis.openapi.from_dict(document, config=SchemathesisConfig())


CONTROLLER = load(controller_openapi())
WORKER = load(worker_openapi())

bounded = settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@CONTROLLER.exclude(path_regex=FATAL).parametrize()
@bounded
def test_the_controller_with_a_key(case: Any, locked_targets: Targets, session: requests.Session) -> None:
    check(case, locked_targets[Program.CONTROLLER], session, with_key=True)


@CONTROLLER.parametrize()
@bounded
def test_the_controller_without_a_key(case: Any, locked_targets: Targets, session: requests.Session) -> None:
    check(case, locked_targets[Program.CONTROLLER], session, with_key=False)


@WORKER.parametrize()
@bounded
def test_a_worker_with_a_key(case: Any, locked_targets: Targets, session: requests.Session) -> None:
    check(case, locked_targets[Program.WORKER], session, with_key=True)


@WORKER.parametrize()
@bounded
def test_a_worker_without_a_key(case: Any, locked_targets: Targets, session: requests.Session) -> None:
    check(case, locked_targets[Program.WORKER], session, with_key=False)


def check(case: Any, target: Target, session: requests.Session, *, with_key: bool) -> None:
    headers = {}
    if with_key:
        name, _, value = target.place.auth.partition(": ")
        headers[name] = value
    case.call_and_validate(
        base_url=f"http://{target.place.host}", session=session, headers=headers, timeout=SECONDS
    )
