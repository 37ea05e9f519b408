"""Which headers pass between a client and a worker, and the bytes of a request's head."""

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

REQUEST_ID = b"x-request-id"

# The hub answers for its workers: what says who the client is, or belongs to its own connection, ends here.
_NOT_TO_WORKERS = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-length",
        b"cookie",
        b"expect",
        b"host",
        b"keep-alive",
        b"origin",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"referer",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        # Where Anthropic's clients put a key, whether it is one of ours or not.
        b"x-api-key",
        REQUEST_ID,
    }
)
_NOT_TO_WORKERS_PREFIXES = (b"sec-", b"x-forwarded-")
# From workers only what is known to be harmless: no Set-Cookie, no Access-Control-*, nothing hop-by-hop, and
# nothing that the server says of each of its answers by itself.
_TO_CLIENTS = frozenset(
    {
        b"content-disposition",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"retry-after",
    }
)
_TO_CLIENTS_PREFIXES = (b"openai-", b"x-")
_NOT_TO_CLIENTS = frozenset({REQUEST_ID, b"x-content-type-options", b"x-frame-options"})


def headers_for_worker(headers: Iterable[tuple[bytes, bytes]], request_id: bytes | None) -> Headers:
    """`headers` with lower-case names, as ASGI gives them."""
    headers = list(headers)
    named: set[bytes] = set()
    for name, value in headers:
        if name == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    passed = [
        header
        for header in headers
        if header[0] not in _NOT_TO_WORKERS
        and header[0] not in named
        and not header[0].startswith(_NOT_TO_WORKERS_PREFIXES)
    ]
    if request_id is not None:
        passed.append((REQUEST_ID, request_id))
    return passed


def headers_for_client(headers: Headers) -> Headers:
    return [
        header
        for header in headers
        if header[0] in _TO_CLIENTS
        or (header[0].startswith(_TO_CLIENTS_PREFIXES) and header[0] not in _NOT_TO_CLIENTS)
    ]


def request_head(method: str, target: bytes, port: int, headers: Headers, content_length: int) -> bytes:
    lines = [
        b"%s %s HTTP/1.1" % (method.encode("ascii"), target),
        b"host: 127.0.0.1:%d" % port,
        *(b"%s: %s" % header for header in headers),
        b"content-length: %d" % content_length,
        b"\r\n",
    ]
    return b"\r\n".join(lines)
