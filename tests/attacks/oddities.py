"""What requests are made odd with."""

import random
from collections.abc import Callable

# fmt: off
# Texts of JSON values, and of what only looks like one.
JSON = (
    "null", "true", "false", "0", "-1", "1", "2", "-0", "1.5", "1e308", "-1e308", "1e-400", "5e-324",
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e1000000000", "0x10", "01", "+1", "1.", ".5", "1e",
    "9007199254740993", "18446744073709551616", "-9223372036854775809", "2147483648", "1000000000000",
    "9" * 400, "-" + "9" * 4301, "0." + "3" * 2000, "1" + "0" * 309,
    '""', '" "', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\x"', '"', "'a'",
    '"demo"', '"nobody"', '"user"', '"tool"', '"assistant"', '"auto"', '"required"', '"text"', '"5"',
    '"\u202e\u2028\ufeff"', '"\ud800"', '"<|im_end|>"', '"{{ 7 * 7 }}"', '"../../etc/passwd"', '"%s%n"',
    "[]", "{}", "[[]]", "[null]", '[""]', "[{}]", "[1, 2, 3]", '["a", "b"]', '{"a": 1}', '{"": {}}',
    '{"role": "user"}', '{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}', '{"5": 101}',
    '[{"type": "text", "text": "a"}]', '[{"type": "text"}]', '{"type": "json_object"}',
    '{"include_usage": 1}',
    '{"type": "function", "function": {"name": ""}}', '{"a": 1, "a": 2}', '{"100000": 1}', "undefined", "",
    ",",
    "[" * 60 + "]" * 60, "[" * 300 + "]" * 300, '{"a":' * 250 + "1" + "}" * 250, "]", "}",
    '"' + "a" * 300 + '"', '"' + "\\n" * 300 + '"', '"' + "\U0001f469\u200d" * 100 + '"',
)
LARGE_JSON: tuple[Callable[[], str], ...] = (
    lambda: '"' + "a" * 200_000 + '"',
    lambda: '"' + "data " * 200_000 + '"',
    lambda: "[" * 90_000,
    lambda: "[" * 40_000 + "]" * 40_000,
    lambda: '{"a":' * 30_000,
    lambda: "[" + "1," * 100_000 + "1]",
    lambda: "{" + ",".join(f'"{number}": 1' for number in range(12_000)) + "}",
    lambda: "9" * 100_000,
    lambda: '["' + '","'.join("ab" * 5 for _ in range(20_000)) + '"]',
)
# With the body in the place of each @.
WRAPPED = ("[@]", '{"a": @}', "@@", " \n\t@\n", "\ufeff@", "@\x00", "/**/@", "@,", '"@"', "")
NAMES = (
    "", "__proto__", "model", "messages", "prompt", "stream", "n", "best_of", "logprobs", "top_logprobs",
    "stop",
    "tool_choice", "response_format", "chat_template", "chat_template_kwargs", "echo", "suffix", "user",
    "prompt_logprobs", "max_completion_tokens", "a.b", "a[0]", "\u0000", "x" * 300,
)
ENCODED: tuple[Callable[[bytes], bytes], ...] = (
    lambda body: b"\xef\xbb\xbf" + body,
    lambda body: body.decode().encode("utf-16"),
    lambda body: body.decode().encode("utf-32-le"),
    lambda body: body.replace(b"p", b"\xff"),
    lambda body: body.replace(b"p", b"\xed\xa0\x80"),
    lambda body: body.replace(b" ", b"\xc2\xa0"),
    lambda body: body[: len(body) // 2],
    lambda body: body * 2,
    lambda _body: b"",
)
BYTES = (
    b"\x00", b"\r\n", b"\n", b"\r\n\r\n", b"\xff", b"\x7f", b"%", b":", b" ", b'"', b"\\", b"\t", b"A" * 300,
)
METHODS = (
    b"HEAD", b"OPTIONS", b"PUT", b"PATCH", b"DELETE", b"TRACE", b"CONNECT", b"PROPFIND", b"QUERY", b"PRI",
    b"GET", b"POST", b"get", b"Post", b"", b" GET", b"GE\x00T", b"\xff", b"G" * 300, b"GET /livez",
    b"M-SEARCH",
)
TARGETS = (
    b"/", b"", b"*", b"//", b"/.", b"/..", b"/v1", b"/v1/", b"//v1/models", b"/v1//models", b"/V1/models",
    b"/v1/models/", b"/v1/models/demo", b"/v1/models/nobody", b"/v1/models/a/b/c", b"/v1/models/..%2f..%2fx",
    b"/v1/models/%00", b"/v1/models/%ff", b"/v1/models/%f0%9f%98%80", b"/v1/models/%0d%0aX:%20y", b"/%",
    b"/v1/models/%zz", b"/v1/models/" + b"a" * 3000, b"/v1/models/" + b"%41" * 1300, b"/" + b"a" * 5000,
    b"/hub/models/nobody/start", b"/hub/models/nobody/explode", b"/hub/models//load", b"/hub/models/a/b/c",
    b"/hub/models/%2e%2e/stop", b"/hub/models/no%2Fbody/load", b"/hub/status?fresh=x", b"/hub/hub.js%00",
    b"/hub/%68ub.css", b"/hub/..%2fhub", b"/docs", b"/openapi.json", b"/redoc", b"/debug", b"/.env",
    b"http://127.0.0.1/livez", b"http://a.example/v1/models", b"127.0.0.1:80", b"/livez;x", b"/livez/",
)
TARGET_ENDS = (
    b"?", b"?a", b"?a=b&a=c", b"?fresh=1&fresh=x", b"?if_idle=%ff", b"?%", b"?a=%zz", b"?" + b"a&" * 1500,
    b"/", b"/..", b"%2f", b"%00", b"#x", b"?x=\xff", b"\xe4", b"?model=demo", b";", b"?" + b"q" * 5000,
)
TARGET_PARTS = (b"%2e", b"%", b"\x00", b"\xff", b"//", b"/../", b"?", b"#", b"\\", b" ", b"\t", b"%25", b"@")
HEADERS = (
    b"Host: evil.example", b"Host:", b"Host: 127.0.0.1", b"Host: \xff", b"Host: a, b", b"X-Host: a",
    b"Origin: http://evil.example", b"Origin: null", b"Origin:", b"Sec-Fetch-Site: cross-site",
    b"Sec-Fetch-Site: \xff", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document", b"Sec-Fetch-Site:",
    b"Authorization: Bearer x", b"Authorization: Bearer", b"Authorization:", b"Authorization: Basic YTpi",
    b"Authorization: Mlxhub 1.2", b"Authorization: Mlxhub \xb2.x",
    b"Authorization: Mlxhub 99999999999999999999.x",
    b"Authorization: Bearer \xff\xfe", b"Authorization: Bearer " + b"k" * 600, b"Authorization: bearer  a b",
    b"Content-Type: text/plain", b"Content-Type:", b"Content-Type: application/json; charset=utf-16",
    b"Content-Type: application/JSON", b"Content-Type: \xff", b"Content-Encoding: gzip",
    b"Content-Encoding: x",
    b"X-Request-ID: \xff", b"X-Request-ID: " + b"r" * 200, b"X-Request-ID:", b"X-Request-ID: a b",
    b"Expect: 100-continue", b"Expect: x", b"Connection: close", b"Connection: x, keep-alive", b"Connection:",
    b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ", b"Upgrade: websocket",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==",
    b"Range: bytes=0-0,1-1", b"If-None-Match: *", b"Accept: x/\xff", b"Accept-Encoding: gzip;q=x",
    b"TE: trailers",
    b"Cookie: " + b"c" * 1000, b"Forwarded: for=a", b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Host: evil",
    b"X-HTTP-Method-Override: DELETE", b": a", b"a", b"\x00: a", b"A\xff: b", b"A b: c", b" folded: a",
    b"A:\x0bb",
)
# fmt: on


def large_header(draw: random.Random) -> bytes:
    return b"X-Large: " + b"h" * draw.choice((4000, 32_000, 33_000, 70_000))


# From a body and where to draw from: the headers that frame it, and what is sent.
Frame = Callable[[bytes, random.Random], tuple[tuple[bytes, ...], bytes]]
_LAST = b"0\r\n\r\n"
_CHUNKS = b"Transfer-Encoding: chunked"


def _chunked(body: bytes, size: int = 7) -> bytes:
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def _length(text: bytes) -> Frame:
    return lambda body, _: ((b"Content-Length: " + text.replace(b"N", b"%d" % len(body)),), body)


def _coded(text: bytes) -> Frame:
    return lambda body, _: ((b"Transfer-Encoding: " + text,), _chunked(body) + _LAST)


def _chunk(text: bytes) -> Frame:
    return lambda body, _: ((_CHUNKS,), _chunked(body) + text + _LAST)


# fmt: off
_LENGTHS = (
    b"0", b"1", b"-1", b"+N", b" N ", b"0xN", b"N, N", b"N,1", b"N.0", b"1e3", b"N0", b"", b"\xb2", b"9" * 30,
    b"32000001", b"4294967296", b"18446744073709551617", b"N\r\nContent-Length: N", b"N\r\nContent-Length: 1",
    b"N\r\nTransfer-Encoding: chunked", b"N\r\nTransfer-Encoding: x",
)
_CODINGS = (
    b"chunked", b"CHUNKED", b"identity", b"gzip, chunked", b"chunked, chunked", b"xchunked", b"",
    b"\tchunked",
    b"chunked, identity", b"chunked;q=1", b"chunked\r\nTransfer-Encoding: chunked",
)
_LAST_CHUNKS = (
    b"-1\r\na\r\n", b"g\r\na\r\n", b"1\r\nab\r\n", b"1\na\n", b"ffffffffffffffff\r\n", b"fffffffe\r\n",
    b"\r\n",
    b"1;" + b"e" * 3000 + b"\r\na\r\n", b"0x1\r\na\r\n", b" 1\r\na\r\n", b"1 \r\na\r\n", b"01\r\na\r\n",
    b"1\r\na",
    b"00000000000000000001\r\na\r\n", b"1\r\n\r\n\r\n", b"1;a=b\r\na\r\n",
)
# fmt: on
FRAMES: tuple[Frame, ...] = (
    *map(_length, _LENGTHS),
    *map(_coded, _CODINGS),
    *map(_chunk, _LAST_CHUNKS),
    lambda body, _: ((_CHUNKS,), _chunked(body, 1) + _LAST),
    lambda body, _: ((_CHUNKS,), _chunked(body) + b"0\r\nTrailer: x\r\n\r\n"),
    lambda body, _: ((_CHUNKS,), _chunked(body)),
    lambda body, _: ((_CHUNKS,), _chunked(body) + _LAST + b"GET /livez HTTP/1.1\r\n"),
    lambda body, draw: ((_CHUNKS,), draw.randbytes(40) + body),
    lambda body, draw: ((b"Content-Length: %d" % draw.randrange(2 * len(body) + 2),), body),
)
