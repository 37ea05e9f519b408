"""Who may ask a program of ours for what: its table of routes, and the judgement on one request's head."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import ip_address

from mlxhub.refusals import ForeignPage, KeyMissing, KeyTooWeak, NoSuchRoute, WrongHost, WrongMethod

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
# What a request of our own page, of an address bar or of no browser at all says.
_OWN_SITES = (None, "none", "same-origin")
SMALL_BODY_BYTES = 64_000
LARGE_BODY_BYTES = 32_000_000


class Role(IntEnum):
    """What a request has proven. Each may what those below it may.

    HUB: on the controller the admin key, a session of the dashboard or hub.sock; on a worker a ticket.
    """

    NOBODY = 0
    API = 1
    HUB = 2


class Need(StrEnum):
    """What a route asks for. API_WHERE_REQUIRED: the API key, unless hub.yaml says `api_key: optional`."""

    NOTHING = "nothing"
    API_WHERE_REQUIRED = "API key where required"
    API = "API key"
    ADMIN = "admin key"


class Body(StrEnum):
    """NONE: it is not read. OBJECT: a small JSON object, `{}` at least. JSON: what the route itself reads.

    FORM: with files. A page of another site can send that type unasked, and is known by its Origin; JSON it
    could not, nor a DELETE.
    """

    NONE = "none"
    OBJECT = "object"
    JSON = "json"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class Route:
    """`path` as Starlette writes it: `{name}` is one segment, `{name:path}` any number of them.

    `is_page`: a link on another site may lead to it, for there is nothing in it but an empty shell.
    """

    method: str
    path: str
    need: Need
    body: Body = Body.NONE
    is_page: bool = False

    @property
    def max_body_bytes(self) -> int:
        return LARGE_BODY_BYTES if self.body in (Body.JSON, Body.FORM) else SMALL_BODY_BYTES


class RouteTable:
    """What is not in it is not there."""

    def __init__(self, *routes: Route) -> None:
        self.routes = routes
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        for path, methods in by_path.items():
            if "GET" in methods:
                methods["HEAD"] = methods["GET"]
            if "{" in path:
                self._patterns.append((_pattern(path), methods))
            else:
                self._fixed[path] = methods

    def find(self, method: str, path: str) -> Route:
        """Raises NoSuchRoute and WrongMethod."""
        methods = self._fixed.get(path) or self._matching(path)
        if methods is None:
            raise NoSuchRoute
        route = methods.get(method)
        if route is None:
            raise WrongMethod(tuple(methods))
        return route

    def _matching(self, path: str) -> Mapping[str, Route] | None:
        return next((methods for pattern, methods in self._patterns if pattern.fullmatch(path)), None)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+(?::path)?\})", path)
    written = (
        re.escape(part) if not part.startswith("{") else "(?s:.+)" if part.endswith(":path}") else "[^/]+"
        for part in parts
    )
    return re.compile("".join(written))


@dataclass(frozen=True, slots=True)
class OwnNames:
    """What a Host header may say: `hosts` exactly, and any address at `any_address_port`, if that is set.

    An address is never what a rebound name sends; a server on all addresses may be asked by each of them.
    """

    hosts: frozenset[str]
    any_address_port: int | None = None

    def include(self, host: str) -> bool:
        if host in self.hosts:
            return True
        if self.any_address_port is None:
            return False
        name, _, port = host.rpartition(":")
        return port == str(self.any_address_port) and _is_address(name.removeprefix("[").removesuffix("]"))

    @property
    def described(self) -> str:
        return ", ".join(sorted(self.hosts))


@dataclass(frozen=True, slots=True)
class Policy:
    """`keys_required`: /v1 needs the API key."""

    names: OwnNames
    keys_required: bool


def own_names(host: str, port: int, allowed_hosts: Iterable[str] = ()) -> OwnNames:
    """Of a server that listens on `host` and is also reached, by a proxy for instance, as `allowed_hosts`.

    Those stand for themselves with a port in them, else for that name at our port and at the scheme's own.
    """
    is_wide = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    named = {f"[{host}]" if ":" in host else host} if not is_wide else set()
    if is_wide or is_loopback(host):
        named |= set(LOOPBACK_NAMES)
    hosts = {f"{name}:{port}" for name in named}
    if port == 80:
        hosts |= named
    for allowed in allowed_hosts:
        name = allowed.lower()
        hosts |= {name} if re.search(r":\d+$", name) else {name, f"{name}:{port}"}
    return OwnNames(frozenset(hosts), port if is_wide else None)


def base_url(host: str, port: int) -> str:
    """As a client on this machine reaches what listens there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        return not ip_address(host).is_unspecified
    except ValueError:
        return False


@dataclass(slots=True)
class Head:
    """The headers that decide, each as often as it came."""

    hosts: list[str]
    origins: list[str]
    site: str | None = None
    mode: str | None = None
    destination: str | None = None


def check_origin(head: Head, names: OwnNames) -> None:
    """That it is meant for us, and that no page of another site had it sent; `check_page` comes after it.

    Raises WrongHost and ForeignPage.
    """
    host = head.hosts[0].lower() if len(head.hosts) == 1 else None
    if host is None or not names.include(host):
        raise WrongHost(", ".join(head.hosts) or None, names.described)
    if head.origins and [origin.lower() for origin in head.origins] not in (
        [f"http://{host}"],
        [f"https://{host}"],
    ):
        raise ForeignPage


def check_page(head: Head, *, is_page: bool) -> None:
    """Raises ForeignPage. What a browser says of the page that asks cannot be set by that page."""
    if head.site in _OWN_SITES:
        return
    if not (is_page and head.mode == "navigate" and head.destination == "document"):
        raise ForeignPage


def needed_role(need: Need, *, keys_required: bool) -> Role:
    match need:
        case Need.NOTHING:
            return Role.NOBODY
        case Need.API_WHERE_REQUIRED:
            return Role.API if keys_required else Role.NOBODY
        case Need.API:
            return Role.API
        case Need.ADMIN:
            return Role.HUB


def check_role(role: Role, needed: Role) -> None:
    """Raises KeyMissing and KeyTooWeak."""
    if role >= needed:
        return
    if role is Role.API:
        raise KeyTooWeak
    raise KeyMissing("admin" if needed is Role.HUB else "api")
