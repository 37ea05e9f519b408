"""A11, A12 and A14: without a key, with what is none, and with that of another door."""

import base64
import time
from collections.abc import Callable, Iterable

from mlxhub.core.keys import make_ticket
from tests.attacks.line import Line
from tests.attacks.place import Place, Program, Shown, ask, ask_anything

CONTROLLER = (Program.CONTROLLER,)
WORKER = (Program.WORKER,)
Headers = Callable[[Place], Iterable[str]]


def _key(place: Place) -> str:
    return place.auth.removeprefix("Authorization: Bearer ")


def _bearer(shown: str) -> str:
    return f"Authorization: Bearer {shown}"


def _other(character: str) -> str:
    return "A" if character != "A" else "B"


def _spelled(secret: str) -> str:
    """In UTF-8, as it goes into a header."""
    return secret.encode().decode("latin-1")


NO_KEYS: dict[str, Headers] = {
    "a key of nobody's": lambda place: [_bearer("mlxh_" + "A" * 43)],
    "first byte wrong": lambda place: [_bearer(_other(_key(place)[0]) + _key(place)[1:])],
    "last byte wrong": lambda place: [_bearer(_key(place)[:-1] + _other(_key(place)[-1]))],
    "one byte short": lambda place: [_bearer(_key(place)[:-1])],
    "one byte long": lambda place: [_bearer(_key(place) + "A")],
    "in capitals": lambda place: [_bearer(_key(place).swapcase())],
    "non-ASCII": lambda place: [_bearer("é")],
    "non-ASCII in UTF-8": lambda place: [_bearer(_spelled("é日本"))],
    "not even UTF-8": lambda place: [_bearer("\xff\xfe\xc3")],
    "empty": lambda place: [_bearer("")],
    "no scheme": lambda place: [f"Authorization: {_key(place)}"],
    "no space": lambda place: [f"Authorization: Bearer{_key(place)}"],
    "nothing at all": lambda place: ["Authorization:"],
    "Basic": lambda place: ["Authorization: Basic " + base64.b64encode(f"x:{_key(place)}".encode()).decode()],
    "Basic with the key as it is": lambda place: [f"Authorization: Basic {_key(place)}"],
    "Token": lambda place: [f"Authorization: Token {_key(place)}"],
    "the hub's scheme": lambda place: [f"Authorization: Mlxhub {_key(place)}"],
    "the right one and a wrong one": lambda place: [place.auth, _bearer("x")],
    "a wrong one and the right one": lambda place: [_bearer("x"), place.auth],
    "the right one twice": lambda place: [place.auth, place.auth],
    "a list of two": lambda place: [f"{place.auth}, Bearer x"],
    "behind much else": lambda place: [_bearer("x" * 600 + _key(place))],
    "x-api-key": lambda place: [f"X-API-Key: {_key(place)}"],
    "api-key": lambda place: [f"Api-Key: {_key(place)}"],
    "a cookie": lambda place: [f"Cookie: session={_key(place)}; authorization=Bearer {_key(place)}"],
    "to a proxy": lambda place: [f"Proxy-Authorization: Bearer {_key(place)}"],
    "in another header": lambda place: [f"X-Authorization: Bearer {_key(place)}"],
    "the key that signs": lambda place: [_bearer(place.own)],
    "the digest": lambda place: [_bearer("0" * 64)],
}


def _locked(headers: Headers, query: str = "") -> Callable[[Place], Iterable[bytes]]:
    """Every route that needs a key here."""

    def requests(place: Place) -> Iterable[bytes]:
        return [
            ask_anything(place, (method, path + query.format(key=_key(place))), *headers(place))
            for method, path in place.locked
        ]

    return requests


def _with_ticket(
    method: str, path: str, seconds: float = 0, port: int = 0
) -> Callable[[Place], Iterable[bytes]]:
    """A ticket for this, shown for GET /status."""

    def requests(place: Place) -> Iterable[bytes]:
        ticket = make_ticket(place.own, method, place.port + port, path, time.time() + seconds)
        return [ask(place, "GET", "/status", f"Authorization: {ticket}")]

    return requests


def _changed_ticket(change: Callable[[str, str], str]) -> Callable[[Place], Iterable[bytes]]:
    """`change` gets the time and the signature."""

    def requests(place: Place) -> Iterable[bytes]:
        shown = make_ticket(place.own, "GET", place.port, "/status", time.time()).removeprefix("Mlxhub ")
        at, _, signature = shown.partition(".")
        return [ask(place, "GET", "/status", f"Authorization: Mlxhub {change(at, signature)}")]

    return requests


def _tickets_of_others(place: Place) -> Iterable[bytes]:
    """Signed with what a client may know."""
    for secret in (place.api, place.admin, "", "mlxh_"):
        ticket = make_ticket(secret, "GET", place.port, place.secret, time.time())
        yield ask(place, "GET", place.secret, f"Authorization: {ticket}")


TICKETS = {
    "for another method": _with_ticket("POST", "/status"),
    "for another path": _with_ticket("GET", "/metrics"),
    "for another query": _with_ticket("GET", "/status?x=1"),
    "for another port": _with_ticket("GET", "/status", port=1),
    "too old": _with_ticket("GET", "/status", seconds=-40),
    "of the future": _with_ticket("GET", "/status", seconds=40),
    "with another time": _changed_ticket(lambda at, signature: f"{int(at) + 1}.{signature}"),
    "with time without end": _changed_ticket(lambda at, signature: f"{at}{'0' * 400}.{signature}"),
    "with a time in other digits": _changed_ticket(lambda at, signature: f"²{at}.{signature}"),
    "without a time": _changed_ticket(lambda at, signature: f".{signature}"),
    "without a signature": _changed_ticket(lambda at, signature: f"{at}."),
    "without a dot": _changed_ticket(lambda at, signature: at + signature),
    "cut": _changed_ticket(lambda at, signature: f"{at}.{signature[:-1]}"),
}

LINES = (
    Line("A11 no key", _locked(lambda place: []), 401, "invalid_api_key"),
    Line(
        "A11 what needs none",
        lambda place: [
            ask_anything(place, route)
            for route in place.routes(Shown.NOTHING)
            # Which want a token, or an id, of their own.
            if not route[1].startswith(("/hub/session", "/v1/images/files/"))
        ],
        200,
    ),
    Line(
        "A11 what is not there",
        lambda place: [
            ask(place, method, path, place.auth)
            for method in ("GET", "POST", "DELETE")
            for path in (
                "/",
                "/docs",
                "/openapi.json",
                "/redoc",
                "/debug",
                "/v1",
                "/v1/",
                "/v2/models",
                "/tokenize",
            )
        ],
        404,
        "not_found",
    ),
    *(Line(f"A12 {name}", _locked(headers), 401, "invalid_api_key") for name, headers in NO_KEYS.items()),
    *(
        Line(
            f"A12 in the query as {name}",
            _locked(lambda place: [], f"?{name}={{key}}"),
            401,
            "invalid_api_key",
        )
        for name in ("api_key", "key", "token", "access_token", "authorization")
    ),
    Line("A12 the right one", lambda place: [ask(place, "GET", place.secret, place.auth)], 200),
    Line(
        "A12 the right one as others write it",
        lambda place: [
            ask(place, "GET", place.secret, f"authorization: BEARER  {_key(place)}"),
            ask(place, "GET", place.secret, f"AUTHORIZATION: bearer {_key(place)}"),
        ],
        200,
    ),
    Line(
        "A14 the API key for what needs the admin key",
        lambda place: [ask_anything(place, route, _bearer(place.api)) for route in place.routes(Shown.ADMIN)],
        403,
        "admin_key_needed",
        CONTROLLER,
    ),
    Line(
        "A14 the admin key at a worker",
        _locked(lambda place: [_bearer(place.admin)]),
        401,
        "invalid_api_key",
        WORKER,
    ),
    Line("A14 tickets signed with another key", _tickets_of_others, 401, "invalid_api_key"),
    Line("A14 a ticket for this", _with_ticket("GET", "/status"), 200, programs=WORKER),
    Line("A14 a ticket of another clock", _with_ticket("GET", "/status", seconds=-20), 200, programs=WORKER),
    *(
        Line(f"A14 a ticket {name}", ticket, 401, "invalid_api_key", WORKER)
        for name, ticket in TICKETS.items()
    ),
    Line(
        "A14 a ticket at the controller",
        lambda place: [
            ask(
                place,
                "GET",
                "/hub/status",
                f"Authorization: {make_ticket(place.own, 'GET', place.port, '/hub/status', time.time())}",
            )
        ],
        401,
        "invalid_api_key",
        CONTROLLER,
    ),
)
