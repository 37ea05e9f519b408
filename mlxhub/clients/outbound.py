"""The one way in which the hub asks servers of others: images by URL, webhooks."""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address

import httpcore
import httpx
import psutil

from mlxhub.core.addresses import Address, is_name, may_connect, may_look_up
from mlxhub.refusals import OutboundFailed, OutboundRefused

MAX_URL_CHARACTERS = 4096
# ASCII without controls, spaces and the backslash, which parsers read differently.
_PLAIN = re.compile(r"[!-\[\]-~]+")
_PORTS = frozenset({80, 443})

Resolve = Callable[[str], Awaitable[Collection[Address]]]


@dataclass(frozen=True, slots=True)
class OutboundRules:
    """What is allowed beyond public https. Hosts are exact: names in lower case, or addresses."""

    http_hosts: frozenset[str] = frozenset()
    private_hosts: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """`total_seconds` begin before the wait for one of the `in_flight` places."""

    total_seconds: float = 10.0
    resolve_seconds: float = 2.0
    connect_seconds: float = 3.0
    fetched_bytes: int = 20_000_000
    answer_bytes: int = 4096
    in_flight: int = 4


@dataclass(frozen=True, slots=True)
class Fetched:
    """`content_type` is what the server says; empty where it says nothing."""

    status: int
    content_type: str
    body: bytes


class SystemResolver:
    """getaddrinfo, on threads of its own: a name server that hangs must not hold those of others."""

    def __init__(self, threads: int = 4) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def __call__(self, name: str) -> tuple[Address, ...]:
        """Raises OSError."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, name)


def addresses_of_this_machine() -> frozenset[Address]:
    return frozenset(
        ip_address(entry.address.partition("%")[0])
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    )


class Outbound:
    """Keeps nothing from one request to the next: no connection, no cookie. Needs no closing.

    Not httpx.AsyncClient: below it are no redirects, cookies, proxies, .netrc and decoders to switch off.
    """

    def __init__(
        self,
        rules: OutboundRules,
        *,
        limits: OutboundLimits | None = None,
        resolve: Resolve | None = None,
        own_addresses: Callable[[], Collection[Address]] = addresses_of_this_machine,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._limits = limits or OutboundLimits()
        self._resolve = resolve or SystemResolver()
        self._own_addresses = own_addresses
        self._network = network or httpcore.AnyIOBackend()
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._places = asyncio.Semaphore(self._limits.in_flight)

    async def get(self, url: str) -> Fetched:
        """Whatever its status, redirects excepted. Raises OutboundRefused, OutboundFailed."""
        target = _target(url, self._rules)
        limit = self._limits.fetched_bytes
        fetched = await self._ask(target, _Request("GET", {}, None, limit))
        if len(fetched.body) > limit:
            raise OutboundRefused(target.host, f"it sends more than {limit / 1_000_000:g} MB.")
        return fetched

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Fetched:
        """As `get`; of the answer's body only the beginning is read."""
        limit = self._limits.answer_bytes
        answer = await self._ask(_target(url, self._rules), _Request("POST", headers, body, limit))
        return Fetched(answer.status, answer.content_type, answer.body[:limit])

    async def _ask(self, target: "_Target", request: "_Request") -> Fetched:
        try:
            async with asyncio.timeout(self._limits.total_seconds), self._places:
                stream = await self._connect(target, await self._checked_addresses(target))
                try:
                    stream = await self._secure(target, stream)
                    return await _exchange(target, request, stream)
                finally:
                    await stream.aclose()
        except TimeoutError as error:
            reason = f"it was not complete within {self._limits.total_seconds:g} s."
            raise OutboundFailed(target.host, reason) from error
        except (httpcore.NetworkError, httpcore.RemoteProtocolError, ssl.SSLError) as error:
            raise OutboundFailed(target.host, "the connection broke, or what came is not HTTP.") from error

    async def _checked_addresses(self, target: "_Target") -> Collection[Address]:
        """Looked up once for each request: a second answer could be another one."""
        if target.address is not None:
            addresses: Collection[Address] = (target.address,)
        else:
            try:
                async with asyncio.timeout(self._limits.resolve_seconds):
                    addresses = await self._resolve(target.host)
            except OSError as error:  # a TimeoutError is one
                raise OutboundFailed(
                    target.host, "its name cannot be resolved. Is it spelled well?"
                ) from error
        own = self._own_addresses()
        if not all(may_connect(address, own, listed=target.listed) for address in addresses):
            raise OutboundRefused(target.host, "its address is not public, and hub.yaml does not list it.")
        return addresses

    async def _connect(
        self, target: "_Target", addresses: Collection[Address]
    ) -> httpcore.AsyncNetworkStream:
        for address in addresses:
            try:
                stream = await self._network.connect_tcp(
                    str(address), target.port, timeout=self._limits.connect_seconds
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
            peer = stream.get_extra_info("server_addr")
            if peer is None or ip_address(peer[0]) != address:
                await stream.aclose()
                raise OutboundFailed(target.host, "the connection ended elsewhere than it was meant to.")
            return stream
        raise OutboundFailed(target.host, f"port {target.port} takes no connection.")

    async def _secure(
        self, target: "_Target", stream: httpcore.AsyncNetworkStream
    ) -> httpcore.AsyncNetworkStream:
        if target.url.scheme != b"https":
            return stream
        try:
            return await stream.start_tls(self._tls, server_hostname=target.host)
        except httpcore.ConnectError as error:
            reason = "there is no secure connection. Is its certificate valid, and for this name?"
            raise OutboundFailed(target.host, reason) from error


@dataclass(frozen=True, slots=True)
class _Request:
    """`read_bytes`: once more than this has come of the answer's body, no more is read."""

    method: str
    headers: Mapping[str, str]
    body: bytes | None
    read_bytes: int


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL that was taken apart, once. `address`: the host, if it is one. `netloc`: what Host says."""

    url: httpcore.URL
    netloc: bytes
    host: str
    port: int
    address: Address | None
    listed: bool


def _target(url: str, rules: OutboundRules) -> _Target:
    parsed = _parsed(url)
    host = parsed.raw_host.decode("ascii")
    address = _literal(host)
    if address is not None:
        host = str(address)
    elif not is_name(host):
        raise OutboundRefused(None, "its host is neither a plain name nor a plain address.")
    if parsed.scheme != "https" and not (parsed.scheme == "http" and host in rules.http_hosts):
        raise OutboundRefused(host, "its URL must begin with https://")
    if parsed.userinfo:
        raise OutboundRefused(host, "its URL has a user or a password in it. Leave them out.")
    port = parsed.port
    if port is None:
        port = 443 if parsed.scheme == "https" else 80
    if port not in _PORTS | rules.ports:
        raise OutboundRefused(host, f"port {port} is none of the web. Use 443, by leaving it out.")
    listed = host in rules.private_hosts
    if address is None and not may_look_up(host, listed=listed):
        raise OutboundRefused(host, "its name is a local one, and hub.yaml does not list it.")
    where = httpcore.URL(scheme=parsed.raw_scheme, host=host, port=port, target=parsed.raw_path)
    return _Target(where, parsed.netloc, host, port, address, listed)


def _parsed(url: str) -> httpx.URL:
    if len(url) > MAX_URL_CHARACTERS:
        raise OutboundRefused(None, f"it has more than {MAX_URL_CHARACTERS} characters.")
    if not _PLAIN.fullmatch(url):
        raise OutboundRefused(
            None, "it has characters that must be percent-encoded (in names: xn--), or none at all."
        )
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        raise OutboundRefused(None, "it is not written as a URL must be.") from None


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _look_up(name: str) -> tuple[Address, ...]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(sockaddr[0]) for *_, sockaddr in found))


class _Connection(httpcore.AsyncHTTP11Connection):
    # What a read brings is parsed in one go: 64 KiB in chunks of one byte would hold the loop for 80 ms.
    READ_NUM_BYTES = 8 * 1024
    # The head of the answer; a read may go past it.
    MAX_INCOMPLETE_EVENT_SIZE = 64 * 1024


async def _exchange(target: _Target, request: _Request, stream: httpcore.AsyncNetworkStream) -> Fetched:
    """One request on a connection of its own."""
    headers = [(b"host", target.netloc), (b"accept-encoding", b"identity"), (b"connection", b"close")]
    headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in request.headers.items()]
    connection = _Connection(target.url.origin, stream)
    async with connection.stream(
        request.method, target.url, headers=headers, content=request.body
    ) as response:
        if 300 <= response.status < 400:
            reason = f"it redirects ({response.status}), which is not followed. Give the URL it leads to."
            raise OutboundRefused(target.host, reason)
        if _header(response, b"content-encoding").lower() not in ("", "identity"):
            raise OutboundRefused(target.host, "it sends compressed content, though asked not to.")
        body = bytearray()
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > request.read_bytes:
                break
        return Fetched(response.status, _header(response, b"content-type"), bytes(body))


def _header(response: httpcore.Response, wanted: bytes) -> str:
    """Empty where there is none."""
    return b", ".join(value for name, value in response.headers if name.lower() == wanted).decode("latin-1")
