"""A22: a request that is refused costs little, however large it is."""

import os
import resource
import time
from collections.abc import Callable

import pytest
from pydantic import BaseModel, ValidationError

from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.openai.completions import CompletionRequest
from mlxhub.refusals import InvalidRequest
from mlxhub.web.responses import invalid_request
from mlxhub.worker.routes.bodies import parse_model

COUNT = 200_000
# Of CPU; reading as much JSON takes some hundredths.
MOST_SECONDS = 1.0
MOST_BYTES = 150_000_000


def many(item: bytes) -> bytes:
    return b"[" + b",".join([item] * COUNT) + b"]"


def prompts(item: bytes) -> bytes:
    return b'{"model":"demo","prompt":' + many(item) + b"}"


def chats(more: bytes) -> bytes:
    return b'{"model":"demo","messages":[{"role":"user","content":"x"}],' + more + b"}"


BODIES: dict[str, tuple[type[BaseModel], Callable[[], bytes]]] = {
    "texts for prompts": (CompletionRequest, lambda: prompts(b'"x"')),
    "empty texts for prompts": (CompletionRequest, lambda: prompts(b'""')),
    "numbers that are no tokens": (CompletionRequest, lambda: prompts(b"-1")),
    "fractions for tokens": (CompletionRequest, lambda: prompts(b"0.5")),
    "empty lists for prompts": (CompletionRequest, lambda: prompts(b"[]")),
    "objects for prompts": (CompletionRequest, lambda: prompts(b"{}")),
    "nulls for prompts": (CompletionRequest, lambda: prompts(b"null")),
    "objects for messages": (ChatRequest, lambda: b'{"model":"demo","messages":' + many(b"{}") + b"}"),
    "objects for parts": (
        ChatRequest,
        lambda: b'{"model":"demo","messages":[{"role":"user","content":' + many(b"{}") + b"}]}",
    ),
    "numbers for stops": (ChatRequest, lambda: chats(b'"stop":' + many(b"1"))),
    "objects for tools": (ChatRequest, lambda: chats(b'"tools":' + many(b"{}"))),
    "texts for biases": (
        ChatRequest,
        lambda: chats(b'"logit_bias":{' + b",".join(b'"%d":"x"' % n for n in range(COUNT)) + b"}"),
    ),
    "fields nobody knows": (ChatRequest, lambda: chats(b",".join(b'"x%d":1' % n for n in range(COUNT)))),
    "objects in a field nobody knows": (ChatRequest, lambda: chats(b'"x":' + many(b"{}"))),
}


def cost_of(kind: type[BaseModel], body: bytes) -> tuple[float, int]:
    """CPU in seconds and the most memory in bytes, of a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.process_time()
        try:
            parse_model(body, kind)
        except ValidationError as error:
            invalid_request(error)
        except InvalidRequest:
            pass
        took = time.process_time() - begun
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(writing, f"{took} {grown}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        took, grown = answer.read().split()
    os.waitpid(pid, 0)
    # In kilobytes, but on a Mac.
    return float(took), int(grown) * (1 if os.uname().sysname == "Darwin" else 1024)


@pytest.mark.parametrize("name", BODIES)
def test_a22_what_is_refused_costs_little(name: str) -> None:
    kind, make = BODIES[name]
    seconds, grown = cost_of(kind, make())
    assert seconds < MOST_SECONDS
    assert grown < MOST_BYTES
