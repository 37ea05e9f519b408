"""A19 to A21, and A30: bytes that are hardly HTTP, too large, or meant for another place."""

from collections.abc import Callable, Iterable
from itertools import product

from tests.attacks.line import Line
from tests.attacks.place import CHAT, JSON, Place, Program, ask, post

CHUNKED = "Transfer-Encoding: chunked"
SMALL_BYTES = 64_000
LARGE_BYTES = 32_000_000
HUGE = 20_000_000
MALFORMED = "malformed_http"

BROKEN_JSON: dict[str, bytes] = {
    "NaN": b"[NaN]",
    "beyond all numbers": b"[1e999]",
    "half a surrogate": b'"\\ud800"',
    "digits without end": b'{"a": ' + b"9" * 5000 + b"}",
    "depth": b"[" * 60_000,
    "objects in depth": b'{"a":' * 10_000,
    "no UTF-8": b'{"a": "\xff"}',
    "UTF-16": "{}".encode("utf-16"),
    "a mark of byte order": b"\xef\xbb\xbf{}",
    "half": b'{"a":',
    "two": b"{}{}",
    "null": b"null",
    "a number": b"5",
    "a string": b'"{}"',
    "single quotes": b"{'a': 1}",
    "a NUL": b"{}\x00",
    "nothing": b"",
    "spaces": b"   ",
}
# What stands for a length or a transfer coding, and a body for it.
BAD_FRAMING: dict[str, tuple[tuple[str, ...], bytes]] = {
    "length -1": (("Content-Length: -1",), b"{}"),
    "length 1e9": (("Content-Length: 1e9",), b"{}"),
    "length +2": (("Content-Length: +2",), b"{}"),
    "length 0x2": (("Content-Length: 0x2",), b"{}"),
    "length of nothing": (("Content-Length:",), b"{}"),
    "length beyond 64 bits": (("Content-Length: 99999999999999999999",), b"{}"),
    "two lengths": (("Content-Length: 2", "Content-Length: 3"), b"{} "),
    "the same length twice": (("Content-Length: 2", "Content-Length: 2"), b"{}"),
    "a list of lengths": (("Content-Length: 2, 2",), b"{}"),
    "length and chunks": (("Content-Length: 2", CHUNKED), b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks and length": ((CHUNKED, "Content-Length: 2"), b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks, then something": (("Transfer-Encoding: chunked, identity",), b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks twice": ((CHUNKED, CHUNKED), b"2\r\n{}\r\n0\r\n\r\n"),
    "nearly chunks": (("Transfer-Encoding: xchunked",), b"2\r\n{}\r\n0\r\n\r\n"),
    "another coding": (("Transfer-Encoding: gzip",), b"{}"),
    "a coding folded over lines": (("Transfer-Encoding:\r\n chunked",), b"2\r\n{}\r\n0\r\n\r\n"),
    "a space before the colon": (("Transfer-Encoding : chunked",), b"2\r\n{}\r\n0\r\n\r\n"),
    "a chunk beyond 64 bits": ((CHUNKED,), b"FFFFFFFFFFFFFFFFF\r\n{}"),
    "a chunk of -1": ((CHUNKED,), b"-1\r\n{}"),
    "a chunk without a size": ((CHUNKED,), b"\r\n{}"),
    "a chunk longer than it says": ((CHUNKED,), b"1\r\n{}\r\n0\r\n\r\n"),
    "bare line feeds": ((CHUNKED,), b"2\n{}\n0\n\n"),
    "trailers": ((CHUNKED,), b"2\r\n{}\r\n0\r\nX-A: b\r\n\r\n"),
    "a key in a trailer": ((CHUNKED,), b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n"),
}
NOT_HTTP: dict[str, bytes] = {
    "zeros": b"\x00" * 1000,
    "TLS": bytes.fromhex("16030100a5010000a10303") + b"\x00" * 100,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a proxy's greeting": b"PROXY TCP4 1.2.3.4 127.0.0.1 1 2\r\nGET /health HTTP/1.1\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a version of nobody's": b"GET /health HTTP/9.9\r\n\r\n",
    "a bare line feed": b"GET /health HTTP/1.1\nHost: 127.0.0.1\n\n",
    "a method without end": b"A" * 1_000_000,
    "a header without a name": b"GET /health HTTP/1.1\r\n: x\r\n\r\n",
    "a header without a colon": b"GET /health HTTP/1.1\r\nHost\r\n\r\n",
    "a NUL in a header": b"GET /health HTTP/1.1\r\nA: \x00\r\n\r\n",
    "an escape in a header": b"GET /health HTTP/1.1\r\nA: \x1b]8;;\r\n\r\n",
    "a return in a header": b"GET /health HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
    "a NUL in the path": b"GET /hea\x00lth HTTP/1.1\r\n\r\n",
    "raw UTF-8 in the path": "GET /é HTTP/1.1\r\n\r\n".encode(),
}
# Never there, in whatever way it is written.
NOWHERE = (
    "//etc/passwd",
    "/hub/static/../../../etc/passwd",
    "/hub/../../../../etc/passwd",
    "/hub/%2e%2e%2f%2e%2e%2fetc/passwd",
    "/hub/..%5c..%5cetc/passwd",
    "/hub/hub.js/..",
    "/hub/hub.js%00.html",
    "/hub/hub.html.jinja",
    "/hub/__init__.py",
    "/hub/views.py",
    "/health/",
    "/health//",
    "/health/.",
    "/./health",
    "/HEALTH",
    "/health%20",
    "/health%0a",
    "/health;x",
    "/v1/../hub/status",
    "/v1/..%2fhub/status",
    "/hub//status",
    "/hub/status/",
    "/hub/status/x",
    "/status/",
    "/%252e%252e/etc/passwd",
    "/.git/config",
    "/server-status",
    "/" + "a/" * 2000,
    "/%" + "41" * 1000,
)


def _change(*headers: str, body: bytes) -> Callable[[Place], Iterable[bytes]]:
    """A POST of a small object in this framing: `ask` adds none to what is sent as bytes."""

    def requests(place: Place) -> Iterable[bytes]:
        return [ask(place, "POST", place.change, place.auth, JSON, *headers) + body]

    return requests


def _get(*headers: str, path: str | None = None) -> Callable[[Place], Iterable[bytes]]:
    return lambda place: [ask(place, "GET", path or place.secret, place.auth, *headers)]


def _method(*methods: str) -> Callable[[Place], Iterable[bytes]]:
    """By these, each path that takes others only."""

    def asked(place: Place) -> Iterable[bytes]:
        routes = place.routes()
        for method, path in product(methods, {path for _, path in routes}):
            if (method, path) not in routes:
                yield ask(place, method, path, place.auth)

    return asked


def _target(target: str, method: str = "GET") -> Callable[[Place], Iterable[bytes]]:
    return lambda place: [ask(place, method, target.format(port=place.port), place.auth)]


def _refused_with_a_request_for_a_body(place: Place) -> Iterable[bytes]:
    """On a connection that the client would like to keep."""
    hidden = ask(place, "GET", place.secret, place.auth)
    for headers in ((f"Content-Length: {len(hidden)}",), (CHUNKED,)):
        head = ask(place, "POST", place.change, JSON, *headers).replace(b"Connection: close\r\n", b"")
        yield head + (hidden if CHUNKED not in headers else b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden))


def _too_large(declared: str) -> Callable[[Place], Iterable[bytes]]:
    return lambda place: [ask(place, "POST", place.change, place.auth, JSON, f"Content-Length: {declared}")]


def _small_chunks(size: int, count: int) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (size, b" " * size) for _ in range(count)) + b"0\r\n\r\n"


SIZES = (
    Line("A20 64 KB and one by length", _too_large(f"{SMALL_BYTES + 1}"), 413, "request_too_large"),
    Line(
        "A20 2 MB by length",
        _change(f"Content-Length: {2_000_000}", body=b" " * 2_000_000),
        413,
        "request_too_large",
    ),
    Line("A20 exabytes by length", _too_large("9" * 18), 413, "request_too_large"),
    Line(
        "A20 a length behind zeros",
        _change("Content-Length: 00000000000000064001", body=b" " * (SMALL_BYTES + 1)),
        413,
        "request_too_large",
    ),
    Line(
        "A20 64 KB and one in one chunk",
        _change(CHUNKED, body=_small_chunks(SMALL_BYTES + 1, 1)),
        413,
        "request_too_large",
    ),
    Line("A20 2 MB in chunks", _change(CHUNKED, body=_small_chunks(1000, 2000)), 413, "request_too_large"),
    Line(
        "A20 64 KB and one in bytes",
        _change(CHUNKED, body=_small_chunks(1, SMALL_BYTES + 1)),
        413,
        "request_too_large",
    ),
    Line(
        "A20 32 MB and one by length",
        lambda place: [ask(place, "POST", CHAT, place.auth, JSON, f"Content-Length: {LARGE_BYTES + 1}")],
        413,
        "request_too_large",
    ),
    Line(
        "A20 33 MB in chunks",
        lambda place: [ask(place, "POST", CHAT, place.auth, JSON, CHUNKED) + _small_chunks(1_000_000, 33)],
        413,
        "request_too_large",
    ),
    Line(
        "A20 a chunk's extension without end",
        _change(CHUNKED, body=b"2;" + b"a" * 2_000_000 + b"\r\n{}\r\n0\r\n\r\n"),
        400,
        MALFORMED,
    ),
    Line(
        "A20 extensions on every chunk",
        _change(CHUNKED, body=(b"1;" + b"a" * 200 + b"\r\n \r\n") * 5000),
        400,
        MALFORMED,
    ),
    Line(
        "A20 a body that announces itself and is too large",
        _change("Expect: 100-continue", f"Content-Length: {SMALL_BYTES + 1}", body=b""),
        413,
        "request_too_large",
    ),
    Line(
        "A20 64 KB are not too large",
        _change(f"Content-Length: {SMALL_BYTES}", body=b" " * SMALL_BYTES),
        400,
        "invalid_request",
    ),
    Line("A21 a header of 40 KB", _get("X-A: " + "a" * 40_000), 431, "headers_too_large"),
    Line("A21 a name of 40 KB", _get("a" * 40_000 + ": x"), 431, "headers_too_large"),
    Line("A21 100 headers", _get(*["X-A: a"] * 100), 431, "headers_too_large"),
    Line("A21 50,000 headers", _get(*["a: b"] * 50_000), 431, "headers_too_large"),
    Line("A21 headers of 1 KB", _get(*["X-A: " + "a" * 1000] * 40), 431, "headers_too_large"),
    Line(
        "A21 a header of 20 MB",
        lambda place: [ask(place, "GET", "/health", "X-A: " + "a" * HUGE)],
        431,
        "headers_too_large",
    ),
    Line("A21 a path of 5 KB", _get(path="/" + "a" * 5000), 414, "uri_too_long"),
    Line("A21 a query of 5 KB", _get(path="/health?" + "a" * 5000), 414, "uri_too_long"),
    Line("A21 a path of 20 MB", lambda place: [ask(place, "GET", "/" + "a" * HUGE)], 414, "uri_too_long"),
    Line("A21 empty lines without end", lambda place: [b"\r\n" * 100_000], 431, "headers_too_large"),
    Line("A21 as much as there may be", _get(*["X-A: a"] * 60, "X-B: " + "b" * 30_000, path="/health"), 200),
)
LINES = (
    *(
        Line(
            f"A19 {name}", lambda place, sent=sent: [post(place, place.change, sent)], 400, "invalid_request"
        )
        for name, sent in BROKEN_JSON.items()
    ),
    *(
        Line(f"A20 {name}", _change(*headers, body=body), 400, MALFORMED)
        for name, (headers, body) in BAD_FRAMING.items()
    ),
    *(
        Line(f"A20 {name}", lambda _place, sent=sent: [sent], 400, MALFORMED)
        for name, sent in NOT_HTTP.items()
    ),
    Line("A20 HTTP/0.9", lambda _place: [b"GET /health\r\n\r\n"], (400, 421)),
    *SIZES,
    *(Line(f"A30 {path[:40]}", _target(path), (404, 400)) for path in NOWHERE),
    Line("A30 a model's name that climbs", _get(path="/v1/models/../../../etc/passwd"), (404, 400), app=True),
    Line("A20 a refused body is no next request", _refused_with_a_request_for_a_body, 401, "invalid_api_key"),
    Line(
        "A30 more than there is of a path",
        lambda place: [
            ask(place, "POST", f"/hub/models/demo/{rest}", place.auth, JSON, body=b"{}")
            for rest in ("stop/x", "stop/", "a/stop", "/stop", "stop%2fx")
        ],
        404,
        "not_found",
        (Program.CONTROLLER,),
    ),
    Line("A30 a URL for a path", _target("http://evil.example/hub"), 400, MALFORMED),
    Line("A30 our own URL for a path", _target("http://127.0.0.1:{port}/health"), 400, MALFORMED),
    Line("A30 the server as a whole", _target("*", "OPTIONS"), 400, MALFORMED),
    Line("A30 a way through", _target("evil.example:443", "CONNECT"), 400, MALFORMED),
    Line(
        "A30 other methods",
        _method("TRACE", "PUT", "DELETE", "PATCH", "PROPFIND", "CONNECT"),
        405,
        "method_not_allowed",
    ),
    Line("A30 a method that is none", _method("BREW"), 400, MALFORMED),
    Line(
        "A30 ranges without end",
        _get("Range: bytes=" + "0-," * 100_000, path="/health"),
        431,
        "headers_too_large",
    ),
    Line(
        "A30 a thousand ranges",
        _get("Range: bytes=" + "0-," * 1000, path="/hub/assets/main.js"),
        200,
        programs=(Program.CONTROLLER,),
    ),
)
