"""A1 to A6, and A9: what a page in the user's browser can have sent."""

from collections.abc import Callable, Iterable

from tests.attacks.line import Line
from tests.attacks.place import CHAT, FORMS, JSON, Place, Program, ask, ask_anything, post

EVIL = "Origin: https://evil.example"
CONTROLLER = (Program.CONTROLLER,)
# `{port}` is the real one.
FOREIGN_HOSTS = (
    "evil.example:{port}",
    "evil.example",
    "127.0.0.1.nip.io:{port}",
    "localhost.:{port}",
    "localhost.evil.example:{port}",
    "evil-localhost:{port}",
    "0.0.0.0:{port}",
    "[::]:{port}",
    "127.0.0.2:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "127.0.0.1:1",
    "127.0.0.1:{port}0",
    "127.0.0.1:0{port}",
    "127.0.0.1:",
    "127.0.0.1",
    "localhost",
    "hub.sock",
)
ODD_HOSTS = (
    "127.0.0.1:{port}/v1/models?",
    "localhost/v1/models?",
    "a@127.0.0.1:{port}",
    "127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port}#evil.example",
    "127.0.0.1:{port}\\evil.example",
    "127.0.0.1:{port}, evil.example",
    "127.0.0.1:{port} evil.example",
    "127.0.0.1 :{port}",
    "127.0.0.1:{port}\tx",
    "127.0.0.1:{port};",
    "http://127.0.0.1:{port}",
    "é:{port}",
    "\x00",
    " ",
)
UNTYPED: dict[str, tuple[str, ...]] = {
    "text": ("Content-Type: text/plain",),
    "text with a charset": ("Content-Type: text/plain; charset=application/json",),
    "form": ("Content-Type: application/x-www-form-urlencoded",),
    "multipart": ("Content-Type: multipart/form-data; boundary=x",),
    "no type": (),
    "empty type": ("Content-Type:",),
    "two types": (JSON, JSON),
    "two types of which one is ours": ("Content-Type: text/plain", JSON),
    "a list of types": ("Content-Type: application/json, text/plain",),
    "nearly our type": ("Content-Type: application/jsonp",),
}
FOREIGN_ORIGINS = (
    "https://evil.example",
    "http://evil.example:{port}",
    "null",
    "",
    "http://localhost:{port}.evil.example",
    "http://localhost:3000",
    "http://localhost:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://127.0.0.1:{port}@evil.example",
    "http://127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "file://",
    "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "http://127.0.0.1:{port}, https://evil.example",
    "http://127.0.0.1:{port} https://evil.example",
)
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def _everywhere(*headers: str, host: str | None = None) -> Callable[[Place], Iterable[bytes]]:
    """To every route, with the key, so that nothing but the attack is in the way."""

    def requests(place: Place) -> Iterable[bytes]:
        named = None if host is None else host.format(port=place.port)
        said = [header.format(port=place.port) for header in headers]
        return [ask_anything(place, route, place.auth, *said, host=named) for route in place.routes()]

    return requests


def _with(*headers: str, path: str | None = None, method: str = "GET") -> Callable[[Place], Iterable[bytes]]:
    def requests(place: Place) -> Iterable[bytes]:
        said = [header.format(port=place.port) for header in headers]
        return [ask(place, method, path or place.secret, place.auth, *said)]

    return requests


def _without_host(place: Place) -> Iterable[bytes]:
    line = f"Host: {place.host}\r\n".encode()
    whole = ask(place, "GET", place.secret, place.auth)
    return [whole.replace(line, b""), whole.replace(line, b"").replace(b"HTTP/1.1", b"HTTP/1.0")]


def _changes(*headers: str, key: bool) -> Callable[[Place], Iterable[bytes]]:
    """Every POST: with a body, and as a form without fields sends it, with none."""

    def requests(place: Place) -> Iterable[bytes]:
        auth = (place.auth,) if key else ()
        # Some routes ask for this very type.
        forms = FORMS if any("multipart" in header for header in headers) else ()
        paths = [
            path
            for method, path in (place.routes() if key else place.locked)
            if method == "POST" and path not in forms
        ]
        return [
            ask(place, "POST", path, *auth, *headers, body=body) for path in paths for body in (b"{}", b"")
        ]

    return requests


def _page(mode: str, destination: str) -> tuple[str, ...]:
    return ("Sec-Fetch-Site: cross-site", f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Dest: {destination}")


def _upgrades(*headers: str) -> Callable[[Place], Iterable[bytes]]:
    def requests(place: Place) -> Iterable[bytes]:
        return [
            ask(place, "GET", path, *UPGRADE, *headers) for method, path in place.locked if method == "GET"
        ]

    return requests


LINES = (
    *(Line(f"A1 host {host}", _everywhere(host=host), 421, "") for host in FOREIGN_HOSTS),
    Line(
        "A1 a proxy's word for the host",
        _everywhere("X-Forwarded-Host: 127.0.0.1:{port}", "Forwarded: host=127.0.0.1", host="evil.example"),
        421,
        "",
    ),
    *(Line(f"A2 host {host!r}", _everywhere(host=host), (421, 400)) for host in ODD_HOSTS),
    Line("A2 no host", _without_host, 421, ""),
    Line("A2 the right host twice", _everywhere("Host: 127.0.0.1:{port}"), (421, 400)),
    Line("A2 a foreign host behind ours", _everywhere("Host: evil.example"), (421, 400)),
    Line(
        "A2 a foreign host before ours",
        _everywhere("Host: 127.0.0.1:{port}", host="evil.example"),
        (421, 400),
    ),
    *(
        Line(f"A3 {name}", _changes(*headers, key=True), 415, "unsupported_media_type")
        for name, headers in UNTYPED.items()
    ),
    *(
        Line(f"A3 {name} and no key", _changes(*headers, key=False), 401, "invalid_api_key")
        for name, headers in UNTYPED.items()
    ),
    Line(
        "A3 JSON for a form",
        lambda place: [ask(place, "POST", path, place.auth, JSON, body=b"{}") for path in FORMS],
        415,
        "unsupported_media_type",
    ),
    Line("A3 no body", lambda place: [post(place, place.change, b"")], 400, "invalid_request"),
    *(
        Line(f"A4 {origin or 'empty'}", _everywhere(f"Origin: {origin}"), 403, "foreign_page")
        for origin in FOREIGN_ORIGINS
    ),
    Line("A4 two origins", _everywhere("Origin: http://127.0.0.1:{port}", EVIL), 403, "foreign_page"),
    Line("A4 our own origin", _with("Origin: http://127.0.0.1:{port}"), 200),
    *(
        Line(f"A5 {site}", _everywhere(f"Sec-Fetch-Site: {site}"), 403, "foreign_page")
        for site in ("cross-site", "same-site", "Cross-Site", "", "anything")
    ),
    Line(
        "A5 two sites", _everywhere("Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"), 403, "foreign_page"
    ),
    Line("A5 our own page", _with("Sec-Fetch-Site: same-origin"), 200),
    Line("A5 the address bar", _with("Sec-Fetch-Site: none"), 200),
    Line(
        "A5 a link to the page", _with(*_page("navigate", "document"), path="/hub"), 200, programs=CONTROLLER
    ),
    *(
        Line(f"A5 the page {what}", _with(*_page(*said), path="/hub"), 403, "foreign_page", CONTROLLER)
        for what, said in {
            "in a frame": ("navigate", "iframe"),
            "as an object": ("navigate", "object"),
            "fetched": ("cors", "empty"),
            "as an image": ("no-cors", "image"),
            "by a script": ("no-cors", "document"),
        }.items()
    ),
    Line(
        "A5 a form to the page",
        _with(*_page("navigate", "document"), path="/hub", method="POST"),
        403,
        "foreign_page",
        CONTROLLER,
    ),
    Line("A5 a link to data", _with(*_page("navigate", "document")), 403, "foreign_page"),
    Line(
        "A5 a script of ours elsewhere",
        _with(*_page("no-cors", "script"), path="/hub/hub.js"),
        403,
        "foreign_page",
        CONTROLLER,
    ),
    Line(
        "A6 a preflight",
        lambda place: [
            ask(
                place,
                "OPTIONS",
                path,
                EVIL,
                "Access-Control-Request-Method: POST",
                f"Access-Control-Request-Headers: {name}",
            )
            for _, path in place.routes()
            for name in ("authorization", "content-type")
        ],
        403,
        "foreign_page",
    ),
    Line(
        "A6 a preflight into the local network",
        _with(EVIL, "Access-Control-Request-Private-Network: true", method="OPTIONS", path=CHAT),
        403,
        "foreign_page",
    ),
    Line(
        "A6 a preflight of our own page",
        _with("Origin: http://127.0.0.1:{port}", method="OPTIONS"),
        405,
        "method_not_allowed",
    ),
    Line("A9 a socket for a foreign page", _upgrades(EVIL), 403, "foreign_page"),
    Line(
        "A9 a socket for a foreign site",
        _upgrades("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: websocket"),
        403,
        "foreign_page",
    ),
    Line("A9 a socket for nobody in particular", _upgrades(), 401, "invalid_api_key"),
    Line("A9 a socket with our key is a request", _with(*UPGRADE), 200),
)
