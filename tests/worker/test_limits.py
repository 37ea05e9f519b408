"""Every limit that docs/api.md tells: what is just within it is taken, one more is refused."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.eventually import eventually
from tests.worker.processes import Worker, running_worker

API = Path(__file__).parents[2] / "docs" / "api.md"
CHAT, COMPLETIONS, RESPONSES, MESSAGES = (
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"
)  # fmt: skip
HELLO = {"role": "user", "content": "hello"}
GOOD: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": [HELLO], "max_tokens": 1},
    COMPLETIONS: {"model": "m", "prompt": "hello", "max_tokens": 1},
    RESPONSES: {"model": "m", "input": "hello", "max_output_tokens": 1},
    MESSAGES: {"model": "m", "messages": [HELLO], "max_tokens": 1},
}
ALL, OPENAIS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES), (CHAT, COMPLETIONS)
CONTEXT, PLACES, QUEUE = 2048, 8, 56
VOCABULARY = 640
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Limit:
    """`row` and `said` are the two cells in the document. `fields` makes those of a request."""

    row: str
    said: str
    path: str
    most: Any
    beyond: Any
    fields: Callable[[Any], dict[str, Any]]
    param: str | None


def range_of(
    name: str, said: str, least: float, below: float, most: float, above: float, *paths: str
) -> Iterator[Limit]:
    for path in paths:
        for within, beyond in ((least, below), (most, above)):
            yield Limit(f"`{name}`", said, path, within, beyond, lambda value: {name: value}, name)


def function(number: int, **more: Any) -> dict[str, Any]:
    return {"name": f"f{number}", "parameters": {"type": "object"}, **more}


def tools(path: str, tools: list[dict[str, Any]]) -> dict[str, Any]:
    match path:
        case "/v1/chat/completions":
            return {"tools": [{"type": "function", "function": tool} for tool in tools]}
        case "/v1/responses":
            return {"tools": [{"type": "function", **tool} for tool in tools]}
        case _:
            return {"tools": [{"name": tool["name"], "input_schema": {}} for tool in tools]}


def schema(path: str, schema: dict[str, Any], name: str = "n") -> dict[str, Any]:
    match path:
        case "/v1/chat/completions":
            return {
                "response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
            }
        case "/v1/responses":
            return {"text": {"format": {"type": "json_schema", "name": name, "schema": schema}}}
        case _:
            return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels - 1):
        inner = {"items": inner}
    return inner


def calls(count: int) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return {"messages": [HELLO, {"role": "assistant", "tool_calls": [call] * count}, HELLO]}


def biases(count: int) -> dict[str, Any]:
    """More than the vocabulary has, since 7 and 07 are one."""
    return {"logit_bias": {"0" * (n // VOCABULARY) + str(n % VOCABULARY): 0 for n in range(count)}}


def parts(kind: str, count: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": kind, "text": ""}] * count}]


FORMATS = {CHAT: "response_format", RESPONSES: "text.format", MESSAGES: "output_config.format"}
NUMBERS = (
    *range_of("temperature", "0 to 2", 0, -0.01, 2, 2.01, *ALL),
    *range_of("top_p", "0 to 1", 0, -0.01, 1, 1.01, *ALL),
    *range_of("min_p", "0 to 1", 0, -0.01, 1, 1.01, *OPENAIS),
    *range_of("top_k", "-1 to 1,048,576; Anthropic's from 0", -1, -2, 2**20, 2**20 + 1, *OPENAIS),
    *range_of("top_k", "-1 to 1,048,576; Anthropic's from 0", 0, -1, 2**20, 2**20 + 1, MESSAGES),
    *range_of("seed", "64 bits, signed", -(2**63), -(2**63) - 1, 2**63 - 1, 2**63, *OPENAIS),
    *range_of("presence_penalty", "-2 to 2", -2, -2.01, 2, 2.01, *OPENAIS),
    *range_of("frequency_penalty", "-2 to 2", -2, -2.01, 2, 2.01, *OPENAIS),
    *range_of("n", "1 to 8", 1, 0, 8, 9, *OPENAIS),
    *range_of("logprobs", "0 to 5", 0, -1, 5, 6, COMPLETIONS),
    *range_of("top_logprobs", "0 to 20", 0, -1, 20, 21, RESPONSES),
    *(
        Limit("`top_logprobs`", "0 to 20", CHAT, within, beyond,
              lambda value: {"logprobs": True, "top_logprobs": value}, "top_logprobs")
        for within, beyond in ((0, -1), (20, 21))
    ),
    *(
        Limit("`max_tokens` `max_completion_tokens` `max_output_tokens`", "from 1", path, 1, 0,
              lambda value, name=name: {name: value}, name)
        for path, name in (
            (CHAT, "max_tokens"), (CHAT, "max_completion_tokens"), (COMPLETIONS, "max_tokens"),
            (RESPONSES, "max_output_tokens"), (MESSAGES, "max_tokens"),
        )
    ),
    *(
        Limit("a value of `logit_bias`", "-100 to 100", path, within, beyond,
              lambda value: {"logit_bias": {"7": value}}, "logit_bias")
        for path in OPENAIS for within, beyond in ((-100, -101), (100, 101))
    ),
)  # fmt: skip
COUNTS = (
    *(Limit("entries of `logit_bias`", "1,024", path, 1024, 1025, biases, "logit_bias") for path in OPENAIS),
    *(
        Limit("texts of `stop` `stop_sequences`", "16", path, 16, 17,
              lambda count, name=name: {name: ["x"] * count}, name)
        for path, name in ((CHAT, "stop"), (COMPLETIONS, "stop"), (MESSAGES, "stop_sequences"))
    ),
    *(
        Limit("characters of each of them", "1,000", path, 1000, 1001,
              lambda length, name=name: {name: ["x" * length]}, f"{name}[0]")
        for path, name in ((CHAT, "stop"), (COMPLETIONS, "stop"), (MESSAGES, "stop_sequences"))
    ),
    *(
        Limit("`messages`, or items of `input`", "4,096", path, 4096, 4097,
              lambda count, name=name: {name: [HELLO] * count}, name)
        for path, name in ((CHAT, "messages"), (RESPONSES, "input"), (MESSAGES, "messages"))
    ),
    *(
        Limit("parts of a message", "4,096", path, 4096, 4097,
              lambda count, name=name, kind=kind: {name: parts(kind, count)}, f"{name}[0].content")
        for path, name, kind in (
            (CHAT, "messages", "text"), (RESPONSES, "input", "input_text"), (MESSAGES, "messages", "text")
        )
    ),
    Limit("calls of a message", "128", CHAT, 128, 129, calls, "messages[1].tool_calls"),
    *(
        Limit("`tools`", "128", path, 128, 129,
              lambda count, path=path: tools(path, [function(number) for number in range(count)]), "tools")
        for path in (CHAT, RESPONSES, MESSAGES)
    ),
    *(
        Limit("characters of a tool's name", "200", path, 200, 201,
              lambda length, path=path: tools(path, [function(0, name="f" * length)]), param)
        for path, param in (
            (CHAT, "tools[0].function.name"), (RESPONSES, "tools[0].name"), (MESSAGES, "tools[0].name")
        )
    ),
    Limit("texts of `prompt`", "64", COMPLETIONS, 64, 65, lambda count: {"prompt": ["x"] * count}, "prompt"),
    Limit("keys of `metadata`", "16", RESPONSES, 16, 17,
          lambda count: {"metadata": {str(n): "x" for n in range(count)}}, "metadata"),
    Limit("characters of a key of `metadata`", "64", RESPONSES, 64, 65,
          lambda length: {"metadata": {"k" * length: "x"}}, "metadata"),
    Limit("characters of a value of `metadata`", "512", RESPONSES, 512, 513,
          lambda length: {"metadata": {"k": "x" * length}}, "metadata.k"),
    *(
        Limit("bytes of a schema", "262,144 (256 KB)", path, 262_144, 262_145,
              lambda size, path=path: schema(path, {"const": "x" * (size - len('{"const":""}'))}), param)
        for path, param in FORMATS.items()
    ),
    *(
        Limit("levels of a schema", "64", path, 64, 65,
              lambda levels, path=path: schema(path, nested(levels)), param)
        for path, param in FORMATS.items()
    ),
    *(
        Limit("characters of a schema's name", "200", path, 200, 201,
              lambda length, path=path: schema(path, {}, "n" * length), param)
        for path, param in ((CHAT, "response_format.json_schema.name"), (RESPONSES, "text.format.name"))
    ),
)  # fmt: skip
LIMITS = (*NUMBERS, *COUNTS)
# Of what has a test of its own.
OTHERS = {
    "bytes of a body": "32,000,000; else 413",
    "keys of an object": "10,000",
    "objects (each as two), lists and texts, keys too": "200,000",
    "values": "2,000,000",
    "pictures, videos, and sounds, of a request": "16, 4, and 4",
    "pixels of a picture": "24,000,000; of a JPEG that is not progressive 120,000,000",
    "seconds, frames, and pixels of a frame, of a video": "120, 7,200, and 1920 x 1088",
    "seconds of a sound in a chat": "the model's; 300 where it says none",
    "texts of `input` for embeddings": "2,048",
    "`dimensions`": "the model's",
    "`documents`": "1,024",
    "seconds of a recording": "`max_audio_seconds`",
    "channels, and samples a second, of a recording": "8, and 4,000 to 384,000",
    "characters of `prompt` for transcriptions": "10,000",
    "characters of what is spoken": "4,096",
    "`n` of images, `steps`, and a side": "10, 200, 2,048",
    "characters of a `prompt` for images": "32,000",
    "files, and fields, of a form": "16, and 64",
    "tokens of prompt and answer": "`context_length`; the prompt one less, else `context_length_exceeded`",
    "a token of `prompt`": "the vocabulary's",
    "answers of one request": "`max_concurrency` and `queue_size` together",
    "answers that wait": "`queue_size`; else 429",
}


@pytest.fixture(scope="module")
def small(random_model: Path) -> Iterator[Worker]:
    """With a context that is soon read."""
    with running_worker(
        model_path=str(random_model), context_length=CONTEXT, max_concurrency=PLACES, queue_size=QUEUE
    ) as running:
        assert running.post("/load").status_code == 200
        yield running


def named(error: dict[str, Any]) -> str:
    """Anthropic's API tells the parameter in the message."""
    return str(error.get("param") or error["message"].partition(": ")[0])


@pytest.mark.parametrize("limit", LIMITS, ids=[f"{each.row} {each.path} {each.most}" for each in LIMITS])
def test_the_most_is_taken_and_one_more_is_refused_by_name(small: Worker, limit: Limit) -> None:
    taken = small.post(limit.path, {**GOOD[limit.path], **limit.fields(limit.most)})
    # Of many messages this one is refused only when they have become tokens.
    assert taken.status_code == 200 or "This model's maximum context" in taken.text, taken.text
    for stream in (False, True):
        beyond = {**GOOD[limit.path], "stream": stream, **limit.fields(limit.beyond)}
        refused = small.post(limit.path, beyond)
        assert (refused.status_code, named(refused.json()["error"])) == (400, limit.param)


def test_the_document_tells_these_and_no_others() -> None:
    table = API.read_text().partition("## Limits\n")[2].partition("| --- | --- |\n")[2].partition("\n\n")[0]
    told = dict(
        found.groups() for line in table.splitlines() if (found := re.fullmatch(r"\| (.+) \| (.+) \|", line))
    )
    assert told == {limit.row: limit.said for limit in LIMITS} | OTHERS


@pytest.mark.parametrize("path", ALL)
def test_a_body_of_32_mb_is_read_and_one_byte_more_is_not(small: Worker, path: str) -> None:
    body = json.dumps(GOOD[path]).encode()
    for size, status in ((32_000_000, 200), (32_000_001, 413)):
        sent = small.http.post(path, content=body.ljust(size), headers=JSON)
        assert sent.status_code == status, sent.text


def ignored(value: str) -> bytes:
    """A request with this under a parameter that is ignored."""
    return json.dumps(GOOD[CHAT])[:-1].encode() + b', "metadata": ' + value.encode() + b"}"


# With what is around them: fifteen brackets and texts, and four commas.
AROUND = len(re.findall(rb'[{}\[]|"[^"]*"', ignored("1")))
COMMAS = ignored("1").count(b",")
BODIES: dict[str, tuple[Callable[[int], str], int, str]] = {
    "keys of an object": (
        lambda count: json.dumps({str(key): 1 for key in range(count)}),
        10_000,
        "metadata: an object has more than 10000 keys.",
    ),
    "objects (each as two), lists and texts, keys too": (
        lambda count: json.dumps([""] * count),
        200_000 - AROUND - 1,
        "metadata: more than 200000 objects, lists and texts.",
    ),
    "values": (
        lambda count: json.dumps([1] * count),
        2_000_000 - COMMAS + 1,
        "The body: more than 2000000 values.",
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_as_much_of_it_is_read_and_no_more(small: Worker, case: str) -> None:
    make, most, message = BODIES[case]
    assert small.http.post(CHAT, content=ignored(make(most)), headers=JSON).status_code == 200
    refused = small.http.post(CHAT, content=ignored(make(most + 1)), headers=JSON)
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, message)


def test_a_prompt_leaves_room_for_one_token_at_least(small: Worker) -> None:
    for tokens, status in ((CONTEXT - 1, 200), (CONTEXT, 400)):
        sent = small.post(COMPLETIONS, {"model": "m", "prompt": [5] * tokens, "max_tokens": 9})
        assert sent.status_code == status, sent.text
        if status == 200:
            assert sent.json()["usage"]["completion_tokens"] == 1
        else:
            assert sent.json()["error"]["code"] == "context_length_exceeded"


def test_a_prompt_has_only_tokens_of_the_vocabulary(small: Worker) -> None:
    for token, status in ((VOCABULARY - 1, 200), (VOCABULARY, 400)):
        sent = small.post(COMPLETIONS, {"model": "m", "prompt": [token], "max_tokens": 1})
        assert sent.status_code == status, sent.text


def test_one_request_asks_for_no_more_answers_than_have_a_place(small: Worker) -> None:
    for count, status in (((PLACES + QUEUE) // 8, 200), ((PLACES + QUEUE) // 8 + 1, 400)):
        sent = small.post(COMPLETIONS, {"model": "m", "prompt": ["x"] * count, "n": 8, "max_tokens": 1})
        assert sent.status_code == status, sent.text
    assert sent.json()["error"]["param"] == "n"


def test_as_many_wait_as_the_queue_holds_and_one_more_is_told_to_come_back(small: Worker) -> None:
    endless = {**GOOD[CHAT], "max_tokens": 8000}

    async def fill() -> httpx.Response:
        async with httpx.AsyncClient(base_url=small.url, timeout=60) as client:
            asking = [asyncio.ensure_future(client.post(CHAT, json=endless)) for _ in range(PLACES + QUEUE)]
            await asyncio.to_thread(eventually, lambda: small.status().queued == QUEUE)
            assert small.status().in_flight == PLACES + QUEUE
            refused = await client.post(CHAT, json=endless)
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            return refused

    refused = asyncio.run(fill())
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert refused.json()["error"]["code"] == "queue_full"
    eventually(lambda: small.status().batch.rows == 0, 5)
