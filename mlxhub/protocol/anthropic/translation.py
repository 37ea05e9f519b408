"""From Anthropic's requests to what OpenAI's chat request would be."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from mlxhub.protocol.anthropic.messages import (
    AnyChoice,
    AssistantMessage,
    ClientTool,
    Conversation,
    ImageBlock,
    Message,
    MessagesRequest,
    NamedChoice,
    TextBlock,
    ThinkingBlock,
    ToolChoice,
    ToolResultBlock,
    ToolUseBlock,
)
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.refusals import InvalidRequest, ThreadUnsupported

# By which names its clients know the parameters of a chat request.
PARAMETERS = {
    ".function.parameters": ".input_schema",
    "response_format.json_schema": "output_config.format",
    "response_format": "output_config.format",
    "stop": "stop_sequences",
}


def chat_of_conversation(asked: Conversation, **sampling: Any) -> ChatRequest:
    """Raises InvalidRequest."""
    choice = asked.tool_choice
    fields: dict[str, Any] = {
        "model": asked.model,
        "messages": [*_system(asked.system), *_messages(asked.messages)],
        "tools": [_tool(tool) for tool in asked.tools or ()] or None,
        "tool_choice": None if choice is None else _tool_choice(choice),
        "parallel_tool_calls": not (choice and choice.disable_parallel_tool_use),
        **sampling,
    }
    if asked.thinking is not None:
        fields["chat_template_kwargs"] = {"enable_thinking": asked.thinking.type != "disabled"}
    if asked.output_config is not None and asked.output_config.format is not None:
        schema = {"name": "answer", "schema": asked.output_config.format.schema_, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return ChatRequest.model_validate(fields)


def chat_of_messages(asked: MessagesRequest) -> ChatRequest:
    """Raises InvalidRequest."""
    if asked.thread is not None:
        raise ThreadUnsupported
    if isinstance(asked.messages[-1], AssistantMessage):
        raise InvalidRequest(
            "messages: the last message must be the user's. To continue one of the assistant is not "
            "supported.",
            "messages",
        )
    return chat_of_conversation(
        asked,
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=asked.stop_sequences,
        stream=asked.stream,
    )


def _system(system: str | Sequence[TextBlock] | None) -> list[dict[str, Any]]:
    return [{"role": "system", "content": _text(system)}] if system else []


def _messages(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """Neighbours of one role are one turn, as they are at Anthropic's."""
    for role, turn in groupby(messages, key=lambda message: message.role):
        blocks = [block for message in turn for block in _blocks(message)]
        match role:
            case "assistant":
                yield _assistant(blocks)
            case "system":
                yield {"role": "system", "content": _text(blocks)}
            case _:
                yield from _user(blocks)


def _blocks(message: Message) -> Sequence[Any]:
    if isinstance(message.content, str):
        return [TextBlock(type="text", text=message.content)]
    return message.content


def _assistant(blocks: Sequence[Any]) -> dict[str, Any]:
    calls = [
        {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": block.input}}
        for block in blocks
        if isinstance(block, ToolUseBlock)
    ]
    thoughts = [block.thinking for block in blocks if isinstance(block, ThinkingBlock)]
    return {
        "role": "assistant",
        "content": _text([block for block in blocks if isinstance(block, TextBlock)]),
        "tool_calls": calls or None,
        "reasoning_content": "\n".join(thoughts) if thoughts else None,
    }


def _user(blocks: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Results and texts in their order; each result is a message of its own."""
    if not blocks:
        yield {"role": "user", "content": ""}
    for is_result, some in groupby(blocks, key=lambda block: isinstance(block, ToolResultBlock)):
        if is_result:
            for block in some:
                yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": _result(block)}
        else:
            yield {"role": "user", "content": _content([*some])}


def _result(block: ToolResultBlock) -> str | list[dict[str, Any]]:
    """Chat templates know no failed results, so that the text has to say it."""
    said = block.content
    content = _content([TextBlock(type="text", text=said)] if isinstance(said, str) else said or ())
    if not block.is_error:
        return content
    if isinstance(content, str):
        return f"Error: {content}"
    return [{"type": "text", "text": "Error:"}, *content]


def _content(blocks: Sequence[TextBlock | ImageBlock]) -> str | list[dict[str, Any]]:
    """As of a chat's message."""
    texts = [block.text for block in blocks if isinstance(block, TextBlock)]
    if len(texts) == len(blocks):
        return "\n".join(texts)
    return [
        {"type": "image_url", "image_url": {"url": block.url}}
        if isinstance(block, ImageBlock)
        else {"type": "text", "text": block.text}
        for block in blocks
    ]


def _text(content: str | Sequence[TextBlock] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(block.text for block in content)


def _tool(tool: ClientTool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    match choice:
        case AnyChoice():
            return "required"
        case NamedChoice(name=name):
            return {"type": "function", "function": {"name": name}}
        case _:
            return choice.type
