"""The response object, and the items of its output."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from mlxhub.errors import MlxhubError
from mlxhub.protocol.errors import http_error
from mlxhub.protocol.openai.logprobs import response_logprobs
from mlxhub.protocol.openai.responses import ResponsesRequest
from mlxhub.protocol.parts import (
    Answered,
    Content,
    Finish,
    FunctionCall,
    Part,
    Reasoning,
    SampledLogprob,
    Usage,
)

Status: TypeAlias = Literal["in_progress", "completed", "incomplete", "failed"]
JsonObject: TypeAlias = dict[str, Any]
encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What a response says of itself in each of its states. `created_at` in Unix seconds.

    `keep` is handed the response once it is over, and says whether it is kept. None: it is not to be.
    """

    id: str
    created_at: int
    model: str
    asked: ResponsesRequest
    keep: Callable[[JsonObject], bool] | None = None

    def response(
        self,
        status: Status,
        output: Sequence[JsonObject] = (),
        usage: Usage | None = None,
        error: MlxhubError | None = None,
    ) -> JsonObject:
        is_cut = status == "incomplete"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "completed_at": int(time.time()) if status == "completed" else None,
            "error": None if error is None else {"code": _error_code(error), "message": str(error)},
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "model": self.model,
            "output": output,
            "usage": None if usage is None else usage_json(usage),
            **_echo(self.asked),
            "store": self.keep is not None and error is None,
        }

    def over(self, status: Status, output: Sequence[JsonObject], usage: Usage) -> JsonObject:
        said = self.response(status, output, usage)
        said["store"] = self.keep is not None and self.keep(said)
        return said


def whole_response(head: ResponseHead, answered: Answered) -> bytes:
    (ending,) = answered.rows
    parts = [part for part in ending.parts if isinstance(part, FunctionCall) or part.text]
    output = [finished_item(part) for part in parts]
    status = status_of(ending.finish)
    if output and status == "incomplete" and not isinstance(parts[-1], FunctionCall):
        output[-1]["status"] = status
    return encode(head.over(status, output, answered.usage))


def status_of(finish: Finish) -> Status:
    return "incomplete" if finish == "length" else "completed"


def finished_item(part: Part) -> JsonObject:
    match part:
        case Content(text, logprobs):
            return message_item(new_id("msg"), "completed", text, logprobs)
        case Reasoning(text):
            return reasoning_item(new_id("rs"), "completed", text)
        case FunctionCall():
            return call_item(new_id("fc"), "completed", part, part.arguments)


def new_id(kind: str) -> str:
    """Whoever knows the id of a response that is kept may read it: nobody can guess one."""
    return f"{kind}_{secrets.token_hex(24)}"


def message_item(
    item_id: str, status: Status, text: str | None, logprobs: Sequence[SampledLogprob] = ()
) -> JsonObject:
    """`text` None: it has just begun, and has no part yet."""
    content = [] if text is None else [output_text(text, logprobs)]
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def reasoning_item(item_id: str, status: Status, text: str | None) -> JsonObject:
    content = [] if text is None else [reasoning_text(text)]
    return {"id": item_id, "type": "reasoning", "status": status, "summary": [], "content": content}


def call_item(item_id: str, status: Status, call: FunctionCall, arguments: str) -> JsonObject:
    return {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments,
    }


def output_text(text: str, logprobs: Sequence[SampledLogprob] = ()) -> JsonObject:
    told = response_logprobs(logprobs)
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": told}


def reasoning_text(text: str) -> JsonObject:
    return {"type": "reasoning_text", "text": text}


def usage_json(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _echo(asked: ResponsesRequest) -> JsonObject:
    """What the client asked for, as OpenAI's answers repeat it."""
    effort = None if asked.reasoning is None else asked.reasoning.effort
    wanted = None if asked.text is None or asked.text.format is None else asked.text.format
    choice = asked.tool_choice or "auto"
    return {
        "background": False,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": asked.metadata or {},
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id,
        "reasoning": {"effort": effort, "summary": None},
        "temperature": asked.temperature,
        "text": {"format": {"type": "text"} if wanted is None else wanted.model_dump(by_alias=True)},
        "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
        "tools": [tool.model_dump() for tool in asked.functions],
        "top_logprobs": asked.top_logprobs or 0,
        "top_p": asked.top_p,
        "truncation": "disabled",
    }


def _error_code(error: MlxhubError) -> str:
    return "rate_limit_exceeded" if http_error(error).status == 429 else "server_error"
