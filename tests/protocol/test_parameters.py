"""Each parameter that a client can send is heeded, named as ignored, or refused; docs/api.md says which."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from openai.types import completion_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params
from pydantic import BaseModel, ValidationError

from mlxhub.protocol.anthropic.messages import Conversation, MessagesRequest
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.openai.completions import CompletionRequest
from mlxhub.protocol.openai.responses import ResponsesRequest
from mlxhub.protocol.parameters import Ignored, Refused, ignored_header, ignored_parameters
from tests.worker.test_http_bad_requests import GOOD as CHAT

API = Path(__file__).parents[2] / "docs" / "api.md"
REQUESTS: dict[str, type[BaseModel]] = {
    "Chat": ChatRequest,
    "Completions": CompletionRequest,
    "Messages: Anthropic's API": MessagesRequest,
    "Responses": ResponsesRequest,
}


def documented(kind: Any) -> set[str]:
    return set(kind.__annotations__)


@pytest.mark.parametrize(
    ("request_model", "client"),
    [
        (ChatRequest, documented(chat_create_params.CompletionCreateParamsBase)),
        (CompletionRequest, documented(completion_create_params.CompletionCreateParamsBase)),
        (ResponsesRequest, documented(response_create_params.ResponseCreateParamsBase)),
        (MessagesRequest, documented(message_create_params.MessageCreateParamsBase)),
        (Conversation, documented(message_count_tokens_params.MessageCountTokensParams)),
    ],
)
def test_every_parameter_of_the_client_is_known(request_model: type[BaseModel], client: set[str]) -> None:
    """A new one fails here: heed it, or say that it is ignored or refused."""
    assert client - request_model.model_fields.keys() == set()


def is_marked(request_model: type[BaseModel], name: str, mark: type[Ignored | Refused]) -> bool:
    return any(isinstance(each, mark) for each in request_model.model_fields[name].metadata)


def marked(request_model: type[BaseModel], mark: type[Ignored | Refused]) -> Iterator[str]:
    """Also those of options within a parameter, as `reasoning.summary`."""
    for name, field in request_model.model_fields.items():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from (f"{name}.{inner}" for inner in marked(part, mark))
        if is_marked(request_model, name, mark):
            yield name


def rows(section: str) -> list[tuple[list[str], str]]:
    """The names in the first column of its table, and the second."""
    _, _, rest = API.read_text().partition(f"### {section}\n")
    table = rest.partition("| --- | --- |\n")[2].partition("\n\n")[0]
    cells = [re.fullmatch(r"\| (.+?) \| ?(.*)\|", line) for line in table.replace(r"\|", "/").splitlines()]
    return [(re.findall(r"`([a-z_.]+)", cell[1]), cell[2]) for cell in cells if cell]


@pytest.mark.parametrize("section", REQUESTS)
def test_the_document_has_them_all_and_says_what_becomes_of_each(section: str) -> None:
    request_model = REQUESTS[section]
    told = rows(section)
    assert {name.partition(".")[0] for names, _ in told for name in names} >= {*request_model.model_fields}
    for mark, word in ((Ignored, "ignored"), (Refused, "400")):
        (names,) = (names for names, said in told if said.startswith(word))
        assert sorted(names) == sorted(marked(request_model, mark))


def test_the_document_has_none_that_are_not_there() -> None:
    for section, request_model in REQUESTS.items():
        top = {name.partition(".")[0] for names, _ in rows(section) for name in names}
        # What Anthropic's API has within its tool_choice.
        assert top - request_model.model_fields.keys() <= {"disable_parallel_tool_use", "stop_sequence"}


def ask(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({**CHAT, **fields})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, []),
        ({"user": None, "metadata": None, "store": None}, []),
        ({"user": "me"}, ["user"]),
        ({"user": ""}, ["user"]),
        ({"store": False, "service_tier": "auto", "verbosity": "medium"}, []),
        ({"store": True, "service_tier": "flex"}, ["service_tier", "store"]),
        ({"store": 0}, ["store"]),
        ({"reasoning_effort": "none"}, []),
        ({"reasoning_effort": "high"}, ["reasoning_effort"]),
        ({"stream_options": {"include_usage": True}}, []),
        ({"stream_options": {"include_obfuscation": True}}, ["stream_options.include_obfuscation"]),
        ({"no_such_parameter": 1, "x\r\ny": 1}, []),
    ],
)
def test_what_asks_for_something_that_is_ignored_is_named(fields: Any, named: list[str]) -> None:
    assert sorted(ignored_parameters(ask(**fields))) == named


def test_the_header_names_them_and_nothing_the_client_made_up() -> None:
    said = ResponsesRequest.model_validate(
        {"model": "m", "input": "x", "user": "x\r\ny", "reasoning": {"summary": "auto", "x": 1}, "y": 1}
    )
    assert ignored_header(said) == {"x-mlxhub-ignored": "reasoning.summary, user"}
    assert ignored_header(ask()) == {}


@pytest.mark.parametrize(
    ("request_model", "fields"),
    [
        (ChatRequest, {"audio": {}}),
        (ChatRequest, {"modalities": ["text", "audio"]}),
        (ChatRequest, {"functions": [{"name": "f"}]}),
        (ChatRequest, {"function_call": {"name": "f"}}),
        (ChatRequest, {"moderation": {"model": "x"}}),
        (ChatRequest, {"web_search_options": {}}),
        (CompletionRequest, {"suffix": "x"}),
        (ResponsesRequest, {"background": True}),
        (ResponsesRequest, {"background": 0}),
        (ResponsesRequest, {"conversation": "conv_1"}),
        (ResponsesRequest, {"moderation": {"model": "x"}}),
        (ResponsesRequest, {"prompt": {"id": "x"}}),
        (MessagesRequest, {"container": "x"}),
        (MessagesRequest, {"mcp_servers": [{}]}),
    ],
)
def test_what_cannot_be_ignored_is_refused_by_name(
    request_model: type[BaseModel], fields: dict[str, Any]
) -> None:
    own = {CompletionRequest: {"prompt": "x"}, ResponsesRequest: {"input": "x"}}.get(request_model, {})
    with pytest.raises(ValidationError) as refused:
        request_model.model_validate({**CHAT, **own, **fields})
    assert [error["loc"] for error in refused.value.errors()] == [tuple(fields)]


def test_a_value_that_asks_for_what_is_done_anyway_is_no_reason_to_refuse() -> None:
    ask(modalities=["text"], functions=[], function_call="none", audio=None)
    CompletionRequest.model_validate({"model": "m", "prompt": "x", "suffix": ""})
    ResponsesRequest.model_validate({"model": "m", "input": "x", "background": False, "prompt": None})
