"""What the OpenAPI documents promise holds on the wire: good requests and bad, with a key and without."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from mlxhub.controller.openapi import controller_openapi
from mlxhub.worker.openapi import worker_openapi
from tests.attacks.conftest import Target
from tests.attacks.place import Program
from tests.conftest import SEED

ANSWER_SECONDS = 30.0
# What takes models or the controller from the other tests that share this hub, and what may go on for ever.
FATAL = r" /hub/(shutdown|reload|start-all|stop-all|models/.*|events)$"
# No document knows the vocabulary of a model.
VOCABULARY = 640
MOST_TOKENS = 4

# Nor does one know how much text a model holds, whether a tool that is to be called is there, what is a
# schema that can be enforced, which options belong together, and that some items of an input say nothing.
UNTOLD = (
    b'"context_length_exceeded"',
    b"This model's maximum context",
    b"tool_choice: it requires a call",
    b"top_logprobs: it needs",
    b"echo: ",
    b"previous_response_id: ",
    b"input: there is nothing to answer",
    b"tool_choice: no tool is named",
    b"input: list should have at least 1 item",
    b"this schema cannot be enforced",
    b"this model reads text only",
    b'"wrong_model_type"',
)

Targets = dict[Program, Target]
deterministic = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def load(document: dict[str, Any]) -> Any:
    # What is unknown in a query or a body is ignored, as OpenAI's clients need it.
    config = SchemathesisConfig.from_dict({"generation": {"allow-extra-parameters": False}})
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.hook("map_body")(towards_the_model)
    return schema


def towards_the_model(_context: object, body: Any) -> Any:
    """What is random names no model, or is answered at length; and some faults no document can rule out."""
    is_for_a_model = isinstance(body, dict) and any(key in body for key in ("messages", "prompt", "input"))
    if not is_for_a_model or not isinstance(body.get("model"), str):
        return body
    changed = {name: whole(value) for name, value in body.items()}
    if len(body["model"]) < 8:
        changed["model"] = "demo"
    for limit in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        given = changed.get(limit)
        if given is None or (type(given) is int and given > MOST_TOKENS):
            changed[limit] = MOST_TOKENS
    if type(changed.get("best_of")) is int and changed["best_of"] >= 1:  # what is wrong stays so
        changed["best_of"] = changed.get("n") or 1
    if isinstance(biases := body.get("logit_bias"), dict):
        changed["logit_bias"] = {in_vocabulary(token): bias for token, bias in biases.items()}
    if isinstance(messages := body.get("messages"), list) and messages and is_the_assistants(messages[-1]):
        changed["messages"] = [*messages, {"role": "user", "content": "ping"}]
    if isinstance(prompt := body.get("prompt"), list):
        changed["prompt"] = [in_vocabulary(part) for part in prompt]
    return changed


def is_the_assistants(message: Any) -> bool:
    """Anthropic's API refuses it as the last one."""
    return isinstance(message, dict) and message.get("role") == "assistant"


def whole(value: Any) -> Any:
    """JSON Schema takes 3.0 for an integer; OpenAI's API and ours do not."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def in_vocabulary(part: Any) -> Any:
    match whole(part):
        case bool():
            return part
        case int(token) if token >= 0:
            return token % VOCABULARY
        case str(token) if token.isdecimal() and len(token) < 10:
            return str(int(token) % VOCABULARY)
        case list(parts):
            return [in_vocabulary(each) for each in parts]
        case _:
            return part


CONTROLLER = controller_openapi()
WORKER = worker_openapi()


def operations(document: dict[str, Any], turn: int) -> list[str]:
    """As schemathesis calls them: every fourth one, and with the next seeds the others."""
    named = [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    return named[(int(SEED) + turn) % 4 :: 4]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize(
    "operation", [each for each in operations(CONTROLLER, 0) if not re.search(FATAL, each)]
)
def test_the_controller_with_its_key(
    operation: str, locked_targets: Targets, session: requests.Session
) -> None:
    target = locked_targets[Program.CONTROLLER]
    play(CONTROLLER, operation, lambda case: call(case, target, session, target.place.auth))


@pytest.mark.parametrize("operation", operations(CONTROLLER, 1))
def test_the_controller_without_a_key(
    operation: str, open_targets: Targets, session: requests.Session
) -> None:
    target = open_targets[Program.CONTROLLER]
    play(CONTROLLER, operation, lambda case: call(case, target, session))


@pytest.mark.parametrize("operation", operations(WORKER, 1))
def test_a_worker_with_its_key(operation: str, locked_targets: Targets, session: requests.Session) -> None:
    target = locked_targets[Program.WORKER]
    play(WORKER, operation, lambda case: call(case, target, session, target.place.auth))


@pytest.mark.parametrize("operation", operations(WORKER, 0))
def test_a_worker_without_a_key(operation: str, open_targets: Targets, session: requests.Session) -> None:
    target = open_targets[Program.WORKER]
    play(WORKER, operation, lambda case: call(case, target, session))


def play(document: dict[str, Any], operation: str, send: Callable[[Any], None]) -> None:
    """Some examples, and each value at the edge of what the document says.

    These are thousands: schemathesis' own decorator makes them wherever tests are collected, by each process.
    """

    @deterministic
    def send_each(case: Any) -> None:
        send(case)

    schema = load(document)  # anew, for it keeps in mind which methods it has tried on a path
    tried = schema.find_operation_by_label(operation)
    options = HypothesisTestConfig(
        project=schema.config,
        modes=[*HypothesisTestMode],
        settings=schema.config.get_hypothesis_settings(operation=tried, phase="fuzzing"),
    )
    create_test(operation=tried, test_func=send_each, config=options)()


def call(case: Any, target: Target, session: requests.Session, authorization: str = "") -> None:
    name, _, value = authorization.partition(": ")
    headers = {name: value} if name else {}
    response = case.call(
        base_url=f"http://{target.place.host}", session=session, headers=headers, timeout=ANSWER_SECONDS
    )
    excluded = [positive_data_acceptance] if any(each in response.content for each in UNTOLD) else []
    if response.status_code == 413:
        excluded.append(negative_data_rejection)
    case.validate_response(
        response,
        headers=headers,
        excluded_checks=excluded,
        transport_kwargs={"session": session, "timeout": ANSWER_SECONDS},
    )
