"""From a request for a response to what the chat request would be."""

from collections.abc import Sequence
from typing import Any

from mlxhub.protocol.openai.chat import MAX_MESSAGES, ChatRequest
from mlxhub.protocol.openai.responses import (
    AllowedFunctions,
    FunctionCallItem,
    FunctionCallOutputItem,
    FunctionChoice,
    FunctionTool,
    InputImage,
    InputItem,
    InputSound,
    InputText,
    MessageItem,
    OutputText,
    ReasoningItem,
    ResponseJsonSchema,
    ResponsePlainText,
    ResponsesRequest,
)
from mlxhub.protocol.openai.responses_items import input_items
from mlxhub.refusals import InvalidRequest

# By which names its clients know the parameters of a chat request.
PARAMETERS = {
    ".function.parameters": ".parameters",
    "response_format.json_schema": "text.format",
    "response_format": "text.format",
    "messages": "input",
    "max_tokens": "max_output_tokens",
}


def chat_of_response(asked: ResponsesRequest, earlier: Sequence[InputItem] = ()) -> ChatRequest:
    """`earlier`: the items of the response that it goes on from. Raises InvalidRequest."""
    items = [*earlier, *input_items(asked.input)]
    if len(items) > MAX_MESSAGES:
        raise InvalidRequest(
            f"input: with what it goes on from, it has {len(items)} items. At most {MAX_MESSAGES} are taken.",
            "input",
        )
    messages = _messages(items)
    if not messages:
        raise InvalidRequest("input: there is nothing to answer in it.", "input")
    fields: dict[str, Any] = {
        "model": asked.model,
        "messages": [*_instructions(asked.instructions), *messages],
        "max_tokens": asked.max_output_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "stream": asked.stream,
        "tools": [_tool(tool) for tool in asked.functions] or None,
        "tool_choice": _tool_choice(asked.tool_choice),
        "parallel_tool_calls": asked.parallel_tool_calls,
        "response_format": _response_format(asked),
        "logprobs": asked.wants_logprobs,
        "top_logprobs": asked.top_logprobs,
        "reasoning_effort": None if asked.reasoning is None else asked.reasoning.effort,
    }
    return ChatRequest.model_validate(fields)


def _instructions(instructions: str | None) -> list[dict[str, Any]]:
    return [{"role": "system", "content": instructions}] if instructions else []


def _messages(items: Sequence[InputItem]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for item in items:
        match item:
            case MessageItem(role="assistant"):
                _assistant(messages, "content")["content"] = _content(item.content)
            case MessageItem(role=role):
                messages.append({"role": role, "content": _content(item.content)})
            case FunctionCallItem():
                _assistant(messages).setdefault("tool_calls", []).append(_call(item))
            case FunctionCallOutputItem(call_id=call_id, output=output):
                messages.append({"role": "tool", "tool_call_id": call_id, "content": _content(output)})
            case ReasoningItem() if item.text:
                _assistant(messages, "content", "tool_calls", "reasoning_content")["reasoning_content"] = (
                    item.text
                )
    return messages


def _assistant(messages: list[dict[str, Any]], *unless: str) -> dict[str, Any]:
    """The last message, if the next item belongs to it: the assistant's, and with none of these fields."""
    last = messages[-1] if messages else {}
    if last.get("role") != "assistant" or any(field in last for field in unless):
        last = {"role": "assistant"}
        messages.append(last)
    return last


def _content(
    content: str | Sequence[InputText | InputImage | InputSound | OutputText],
) -> str | list[dict[str, Any]]:
    """As of a chat's message."""
    if isinstance(content, str):
        return content
    texts = [part.text for part in content if isinstance(part, InputText | OutputText)]
    return "\n".join(texts) if len(texts) == len(content) else [_part(part) for part in content]


def _part(part: InputText | InputImage | InputSound | OutputText) -> dict[str, Any]:
    match part:
        case InputImage(image_url=url):
            return {"type": "image_url", "image_url": {"url": url}}
        case InputSound(input_audio=audio):
            return {"type": "input_audio", "input_audio": audio.model_dump(exclude_none=True)}
        case InputText(text=text) | OutputText(text=text):
            return {"type": "text", "text": text}


def _call(item: FunctionCallItem) -> dict[str, Any]:
    return {
        "id": item.call_id,
        "type": "function",
        "function": {"name": item.name, "arguments": item.arguments},
    }


def _tool(tool: FunctionTool) -> dict[str, Any]:
    function = tool.model_dump(include={"name", "description", "parameters", "strict"}, exclude_none=True)
    return {"type": "function", "function": function}


def _tool_choice(choice: str | FunctionChoice | AllowedFunctions | None) -> str | dict[str, Any] | None:
    match choice:
        case FunctionChoice():
            return _named(choice)
        case AllowedFunctions(mode=mode, tools=tools):
            allowed = {"mode": mode, "tools": [_named(tool) for tool in tools]}
            return {"type": "allowed_tools", "allowed_tools": allowed}
        case _:
            return choice


def _named(function: FunctionChoice) -> dict[str, Any]:
    return {"type": "function", "function": {"name": function.name}}


def _response_format(asked: ResponsesRequest) -> dict[str, Any] | None:
    wanted = None if asked.text is None else asked.text.format
    match wanted:
        case None | ResponsePlainText():
            return None
        case ResponseJsonSchema():
            schema = wanted.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
            return {"type": "json_schema", "json_schema": schema}
        case _:
            return {"type": wanted.type}
