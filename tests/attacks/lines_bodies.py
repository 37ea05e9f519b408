"""A19, A22 to A27 and A31: JSON that a program has to make sense of. The parameter at fault is named."""

import json
from collections.abc import Callable, Iterable

from tests.attacks.line import Line
from tests.attacks.lines_http import BROKEN_JSON
from tests.attacks.place import CHAT, COMPLETIONS, Place, chat, completion, post

TOOL = {"type": "function", "function": {"name": "f"}}
MESSAGE = {"role": "user", "content": "ping"}


def _raw(whole: object, old: str, new: str) -> bytes:
    """JSON with a part of it replaced by what json.dumps would not write."""
    text = json.dumps(whole)
    assert text.count(old) == 1
    return text.replace(old, new).encode("utf-8", "surrogatepass")


def _temperature(written: str) -> bytes:
    return _raw(chat(temperature=0.125), "0.125", written)


BROKEN_CHATS: dict[str, bytes] = {
    "NaN for a number": _temperature("NaN"),
    "Infinity for a number": _temperature("-Infinity"),
    "digits without end for a number": _raw(chat(seed=7777), "7777", "7" * 5000),
    "half a surrogate for text": _raw(chat(), "ping", "\\ud800"),
    "half a surrogate for a name": _raw(chat(), "demo", "\\udfff"),
    "a raw surrogate": _raw(chat(), "ping", "\ud800"),
    "a raw NUL": _raw(chat(), "ping", "\x00"),
    "a key twice": _raw(chat(), '"model": "demo"', '"model": "nobody", "model": "demo"'),
    "a key twice, written differently": _raw(
        chat(), '"model": "demo"', '"mod\\u0065l": "x", "model": "demo"'
    ),
    "10**5 keys": _raw(chat(logit_bias=7777), "7777", json.dumps(dict.fromkeys(map(str, range(10**5)), 1))),
    "10**5 keys that nobody knows": json.dumps(chat(**{f"x{n}": 1 for n in range(10**5)})).encode(),
    "depth in a field": _raw(chat(tools=[7777]), "7777", "[" * 100_000 + "]" * 100_000),
    "depth in a field nobody knows": _raw(chat(x=7777), "7777", "[" * 100_000 + "]" * 100_000),
}
# A10^n where a table says so; each with the parameter that is at fault.
CHATS: list[tuple[str, dict[str, object], str]] = [
    ("n", {"n": 1_000_000}, "n"),
    ("n of 0", {"n": 0}, "n"),
    ("n of -1", {"n": -1}, "n"),
    ("n of 9", {"n": 9}, "n"),
    ("logprobs of -1", {"logprobs": -1}, "logprobs"),
    ("logprobs of 1", {"logprobs": 1}, "logprobs"),
    ("top_logprobs", {"top_logprobs": 10**6}, "top_logprobs"),
    ("top_logprobs of -1", {"top_logprobs": -1}, "top_logprobs"),
    ("max_tokens of 0", {"max_tokens": 0}, "max_tokens"),
    ("max_tokens of -1", {"max_tokens": -1}, "max_tokens"),
    ("max_tokens of 1.5", {"max_tokens": 1.5}, "max_tokens"),
    ("max_tokens of true", {"max_tokens": True}, "max_tokens"),
    ("max_tokens in words", {"max_tokens": "8"}, "max_tokens"),
    ("max_completion_tokens of -1", {"max_completion_tokens": -1}, "max_completion_tokens"),
    ("temperature of 1e308", {"temperature": 1e308}, "temperature"),
    ("temperature of -1", {"temperature": -1}, "temperature"),
    ("top_p of 2", {"top_p": 2}, "top_p"),
    ("top_k of -2**63", {"top_k": -(2**63)}, "top_k"),
    ("top_k of 2**40", {"top_k": 2**40}, "top_k"),
    ("min_p of -1", {"min_p": -1}, "min_p"),
    ("seed of 2**70", {"seed": 2**70}, "seed"),
    ("presence_penalty of 1e9", {"presence_penalty": 1e9}, "presence_penalty"),
    ("10**5 stop strings", {"stop": ["x"] * 10**5}, "stop"),
    ("17 stop strings", {"stop": ["x"] * 17}, "stop"),
    ("a stop string of 1 MB", {"stop": "x" * 1_000_000}, "stop"),
    ("an empty stop string", {"stop": [""]}, "stop[0]"),
    ("logit_bias with 2,000 keys", {"logit_bias": {str(key): 1 for key in range(2000)}}, "logit_bias"),
    ("logit_bias for -1", {"logit_bias": {"-1": 1}}, "logit_bias"),
    ("logit_bias for no token", {"logit_bias": {"999999999": 1}}, "logit_bias"),
    ("logit_bias of 1e308", {"logit_bias": {"1": 1e308}}, "logit_bias"),
    ("stream in words", {"stream": "true"}, "stream"),
    ("stream_options in words", {"stream_options": "junk"}, "stream_options"),
    ("stream_options of junk", {"stream_options": {"include_usage": "junk"}}, "stream_options.include_usage"),
    ("10**5 messages", {"messages": [MESSAGE] * 10**5}, "messages"),
    ("no messages", {"messages": []}, "messages"),
    ("a message of nobody's", {"messages": [{"role": "root", "content": "x"}]}, "messages[0].role"),
    ("10**5 tools", {"tools": [TOOL] * 10**5}, "tools"),
    ("10**4 calls", {"messages": [{**MESSAGE, "tool_calls": [TOOL] * 10**4}]}, "messages[0].tool_calls"),
    ("no model", {"model": None}, "model"),
    ("a model of numbers", {"model": 5}, "model"),
]
COMPLETION_CHANGES: list[tuple[str, dict[str, object], str]] = [
    ("best_of", {"best_of": 10**6}, "best_of"),
    ("best_of of -1", {"best_of": -1}, "best_of"),
    ("logprobs of -1", {"logprobs": -1}, "logprobs"),
    ("echo", {"echo": True, "logprobs": 1}, "echo"),
    ("65 prompts", {"prompt": ["x"] * 65}, "prompt"),
    ("no prompt", {"prompt": ""}, "prompt"),
    ("tokens of -1", {"prompt": [-1]}, "prompt"),
    ("tokens beyond the vocabulary", {"prompt": [2**31 - 1]}, "prompt"),
    ("a tree of prompts", {"prompt": [[["x"]]]}, "prompt"),
]
CONTEXT_TEXTS = {
    "10 million characters": "data " * 2_000_000,
    "a word of 1 MB": "a" * 1_000_000,
    "10**5 families": "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}" * 10**5,
    "10**5 spaces": " " * 10**5,
    "10**5 marks of the template": "<|im_start|>" * 10**5,
    "10**5 combining marks": "a" + "\u0301" * 10**5,
}


def _deep_schema(levels: int) -> dict[str, object]:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(levels):
        schema = {"oneOf": [schema, {"type": "null"}]}
    return schema


SCHEMAS: dict[str, dict[str, object]] = {
    "40 deep": _deep_schema(40),
    "that refers to itself": {"$ref": "#", "$defs": {"a": {"$ref": "#/$defs/a"}}},
    "with patterns that must hold together": {
        "allOf": [{"type": "string", "pattern": f"(a|b)*a(a|b){{{n}}}"} for n in range(1, 40)]
    },
    "with a broken pattern": {"type": "string", "pattern": "(["},
    "without end": {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(5000)}},
}
TOOLS: list[tuple[str, object, str]] = [
    ("type of nobody's", {**TOOL, "type": "shell"}, "tools[0].type"),
    ("type of a list", {**TOOL, "type": ["function"]}, "tools[0].type"),
    ("no function", {"type": "function"}, "tools[0].function"),
    ("no name", {"type": "function", "function": {"name": ""}}, "tools[0].function.name"),
    ("a name of 1 MB", {"type": "function", "function": {"name": "x" * 10**6}}, "tools[0].function.name"),
    (
        "parameters of a list",
        {"type": "function", "function": {"name": "f", "parameters": []}},
        "tools[0].function.parameters",
    ),
]
MODELS = {
    "a path up": "../../etc/passwd",
    "a path": "/etc/passwd",
    "a home": "/Users/somebody/models/x",
    "a home's short name": "~/models/x",
    "a repo": "evil/repo",
    "a repo at a revision": "evil/repo@main",
    "a URL": "https://evil.example/model",
    "a file's URL": "file:///etc/passwd",
    "nothing": "",
    "a space": " ",
    "a NUL": "demo\x00",
    "1 MB": "x" * 1_000_000,
    "our name in capitals": "DEMO",
    "our name and a space": "demo ",
    "our name full width": "ｄｅｍｏ",  # noqa: RUF001
    "what hub.yaml says": "builtin:demo",
    "a log's line": "x\n2026-01-01 INFO forged",
    "a template": "{{ 7 * 7 }}{0.__class__}%s",
}


def _to(path: str, *sent: object) -> Callable[[Place], Iterable[bytes]]:
    return lambda place: [post(place, path, each) for each in sent]


def _refused(name: str, path: str, sent: object, param: str | None) -> Line:
    return Line(name, _to(path, sent), 400, "invalid_request", app=True, param=param)


LINES = (
    *(
        Line(
            f"A19 asked with {name}",
            lambda place, sent=sent: [post(place, path, sent) for path in (CHAT, COMPLETIONS)],
            400,
            "invalid_request",
            app=True,
        )
        for name, sent in BROKEN_JSON.items()
    ),
    *(_refused(f"A19 {name}", CHAT, sent, None) for name, sent in BROKEN_CHATS.items()),
    *(_refused(f"A22 {name}", CHAT, chat(**change), param) for name, change, param in CHATS),
    *(
        _refused(f"A22 completion {name}", COMPLETIONS, completion(**change), param)
        for name, change, param in COMPLETION_CHANGES
    ),
    Line("A22 more tokens than there are", _to(CHAT, chat(max_tokens=10**12)), (200, 400), app=True),
    *(
        Line(
            f"A25 {name}",
            lambda place, text=text: [
                post(place, CHAT, chat(messages=[{"role": "user", "content": text}])),
                post(place, CHAT, chat(messages=[{"role": "user", "content": text}], stream=True)),
                post(place, COMPLETIONS, completion(prompt=text)),
            ],
            400,
            "context_length_exceeded",
            app=True,
        )
        for name, text in CONTEXT_TEXTS.items()
    ),
    Line(
        "A25 more tokens than the context",
        _to(COMPLETIONS, completion(prompt=[5] * 2048)),
        400,
        "context_length_exceeded",
        app=True,
    ),
    *(
        _refused(
            f"A24 a schema {name}",
            CHAT,
            chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}),
            "response_format",
        )
        for name, schema in SCHEMAS.items()
    ),
    _refused(
        "A24 a format of nobody's",
        CHAT,
        chat(response_format={"type": "regex", "pattern": "(a+)+$"}),
        "response_format",
    ),
    *(_refused(f"A24 tool with {name}", CHAT, chat(tools=[tool]), param) for name, tool, param in TOOLS),
    *(
        Line(
            f"A31 {name}",
            lambda place, model=model: [
                post(place, CHAT, chat(model=model)),
                post(place, COMPLETIONS, completion(model=model)),
            ],
            404,
            "model_not_found",
            app=True,
            param="model",
            never=(model,) if "/" in model or len(model) > 1000 or "\n" in model else (),
        )
        for name, model in MODELS.items()
    ),
)
