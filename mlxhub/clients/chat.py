"""A streamed chat answer from any OpenAI-compatible base URL, piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import httpx
import msgspec

from mlxhub.clients.remote_error import remote_error
from mlxhub.errors import WorkerSilent
from mlxhub.protocol.errors import ErrorBody, RemoteError

CONNECT_SECONDS = 2.0
# Loading a large model comes before the first piece.
SILENCE_SECONDS = 600.0


class ChatMessage(TypedDict):
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ChatTarget:
    """`base_url` ends in /v1. `api_key`: None where none is needed. `socket`: the controller's own."""

    base_url: str
    api_key: str | None = None
    socket: Path | None = None


@dataclass(frozen=True, slots=True)
class Said:
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """What a model says before its answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Used:
    """How many tokens the prompt and the answer had."""

    prompt_tokens: int
    completion_tokens: int


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)


class _Error(msgspec.Struct):
    message: str = "the answer broke off"
    type: str = "server_error"
    code: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: _Error | None = None


_CHUNKS = msgspec.json.Decoder(_Chunk)


def chat_stream(
    target: ChatTarget, model: str, messages: Sequence[ChatMessage], *, max_tokens: int | None = None
) -> Iterator[Said | Thought | Used]:
    """At its end what was used. Raises WorkerSilent or RemoteError, each of one line."""
    body: dict[str, object] = {
        "model": model,
        "messages": list(messages),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    base_url = target.base_url.rstrip("/")
    headers = {} if target.api_key is None else {"authorization": f"Bearer {target.api_key}"}
    transport = httpx.HTTPTransport(
        uds=None if target.socket is None else str(target.socket), trust_env=False
    )
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    try:
        with (
            httpx.Client(transport=transport, trust_env=False, timeout=timeout) as client,
            client.stream("POST", f"{base_url}/chat/completions", json=body, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise remote_error(
                    response.status_code, response.read(), source=f"What answers at {base_url}"
                )
            yield from _pieces(response.iter_lines())
    except httpx.TransportError as error:
        raise WorkerSilent(model, f"{base_url}: {str(error) or type(error).__name__}") from error


def _pieces(lines: Iterator[str]) -> Iterator[Said | Thought | Used]:
    """What stands in server-sent events up to [DONE]; comments and empty deltas are passed over."""
    for line in lines:
        data = line.removeprefix("data:").strip()
        if data == line or not data:
            continue
        if data == "[DONE]":
            return
        try:
            chunk = _CHUNKS.decode(data)
        except msgspec.MsgspecError as error:
            raise _broken(f"This is no chat answer: {data[:100]}") from error
        if chunk.error is not None:
            raise RemoteError(
                502, ErrorBody(message=chunk.error.message, type=chunk.error.type, code=chunk.error.code)
            )
        for choice in chunk.choices:
            if choice.delta.reasoning_content:
                yield Thought(choice.delta.reasoning_content)
            if choice.delta.content:
                yield Said(choice.delta.content)
        if chunk.usage is not None:
            yield Used(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    raise _broken("The answer broke off before its end.")


def _broken(message: str) -> RemoteError:
    return RemoteError(502, ErrorBody(message=message, type="server_error", code="broken_stream"))
