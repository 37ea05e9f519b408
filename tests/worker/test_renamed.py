"""What is wrong in a chat request is told to other APIs' clients by their own names."""

import pytest

from mlxhub.protocol.anthropic.translation import PARAMETERS as ANTHROPIC
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.openai.responses_translation import PARAMETERS as RESPONSES
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.routes.renamed import renamed


@pytest.mark.parametrize(
    ("param", "anthropic", "responses"),
    [
        ("messages", "messages", "input"),
        ("response_format", "output_config.format", "text.format"),
        ("response_format.json_schema.schema", "output_config.format.schema", "text.format.schema"),
        ("tools[3].function.parameters", "tools[3].input_schema", "tools[3].parameters"),
        ("tool_choice", "tool_choice", "tool_choice"),
        ("stop", "stop_sequences", "stop"),
    ],
)
def test_a_parameter_has_the_clients_name(param: str, anthropic: str, responses: str) -> None:
    for names, expected in ((ANTHROPIC, anthropic), (RESPONSES, responses), ({}, param)):
        with pytest.raises(InvalidRequest) as told, renamed(names):
            raise InvalidRequest(f"{param}: wrong.", param)
        assert (str(told.value), told.value.param) == (f"{expected}: wrong.", expected)


def test_what_pydantic_finds_and_what_has_no_name_are_told_too() -> None:
    with pytest.raises(InvalidRequest) as told, renamed(RESPONSES):
        ChatRequest.model_validate({"model": "m", "messages": []})
    assert told.value.param == "input"
    with pytest.raises(InvalidRequest, match="The prompt is empty") as told, renamed(ANTHROPIC):
        raise InvalidRequest("The prompt is empty.")
    assert told.value.param is None
