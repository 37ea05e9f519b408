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

ANSWER_SECONDS = 30.0
# What takes models or the controller from the other tests that share this hub.
FATAL = r"^/hub/(shutdown|reload|start-all|stop-all|models/.*)$"
# No document knows the vocabulary of a model.
VOCABULARY = 640
MOST_TOKENS = 4

Targets = dict[Program, Target]
deterministic = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def load(document: dict[str, Any]) -> Any:
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    schema.hook("map_body")(towards_the_model)
    return schema


def towards_the_model(_context: object, body: Any) -> Any:
    """Most of what is random names no model, and most texts are answered at length."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return body
    changed = body | {"model": "demo" if len(body["model"]) < 8 else body["model"]}
    for limit in ("max_tokens", "max_completion_tokens"):
        given = body.get(limit)
        if given is None or (type(given) is int and given > MOST_TOKENS):
            changed[limit] = MOST_TOKENS
    if isinstance(biases := body.get("logit_bias"), dict):
        changed["logit_bias"] = {in_vocabulary(token): bias for token, bias in biases.items()}
    if isinstance(prompt := body.get("prompt"), list):
        changed["prompt"] = [in_vocabulary(part) for part in prompt]
    return changed


def in_vocabulary(part: Any) -> Any:
    match part:
        case bool():
            return part
        case int() if part >= 0:
            return part % VOCABULARY
        case str() if part.isdecimal() and len(part) < 10:
            return str(int(part) % VOCABULARY)
        case list():
            return [in_vocabulary(each) for each in part]
        case _:
            return part


CONTROLLER = load(controller_openapi())
WORKER = load(worker_openapi())


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@CONTROLLER.exclude(path_regex=FATAL).parametrize()
@deterministic
def test_the_controller_with_its_key(case: Any, locked_targets: Targets, session: requests.Session) -> None:
    target = locked_targets[Program.CONTROLLER]
    call(case, target, session, target.place.auth)


@CONTROLLER.parametrize()
@deterministic
def test_the_controller_without_a_key(case: Any, open_targets: Targets, session: requests.Session) -> None:
    call(case, open_targets[Program.CONTROLLER], session)


@WORKER.parametrize()
@deterministic
def test_a_worker_with_its_key(case: Any, locked_targets: Targets, session: requests.Session) -> None:
    target = locked_targets[Program.WORKER]
    call(case, target, session, target.place.auth)


@WORKER.parametrize()
@deterministic
def test_a_worker_without_a_key(case: Any, open_targets: Targets, session: requests.Session) -> None:
    call(case, open_targets[Program.WORKER], session)


def call(case: Any, target: Target, session: requests.Session, authorization: str = "") -> None:
    name, _, value = authorization.partition(": ")
    case.call_and_validate(
        base_url=f"http://{target.place.host}",
        session=session,
        headers={name: value} if name else {},
        timeout=ANSWER_SECONDS,
    )
