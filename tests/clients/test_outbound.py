"""Whatever a URL says and a name server answers, the hub asks public servers only."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from inspect import signature
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxhub.clients.outbound import (
    Outbound,
    OutboundLimits,
    OutboundRules,
    SystemResolver,
    addresses_of_this_machine,
)
from mlxhub.refusals import OutboundFailed, OutboundRefused
from tests.fakes.hostile import (
    HOME,
    HOST,
    PUBLIC,
    Address,
    Listener,
    Names,
    Network,
    client_tls,
    listening,
    outbound_to,
    saying,
)
from tests.fakes.waiting import until

pytestmark = pytest.mark.anyio

TLS = client_tls()
LIMITS = OutboundLimits(total_seconds=2.0, connect_seconds=0.05)
OK = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 3\r\n\r\npng"


@pytest.fixture
async def canary() -> AsyncIterator[Listener]:
    async with listening(None) as listener:
        yield listener


def public_only(canary: Listener, names: Names, network: Network, *own: Address) -> Outbound:
    """The canary's port is allowed, so that its address alone keeps requests from it."""
    rules = OutboundRules(ports=frozenset({canary.port}))
    return Outbound(rules, limits=LIMITS, resolve=names, own_addresses=lambda: own, network=network, tls=TLS)


# A42: addresses of this machine and its network, in every way to write them.
LITERALS = [
    "127.0.0.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "169.254.169.254",
    "100.100.100.100", "192.0.0.192", "10.0.0.1", "172.16.0.1", "192.168.0.1", "[fd00::1]", "[fe80::1]",
    "[fe80::1%25en0]", "[2606:4700::1111%25en0]", "224.0.0.1", "240.0.0.1", "255.255.255.255", str(PUBLIC),
]  # fmt: skip
SPELLINGS = [
    "2130706433", "0x7f000001", "0X7F.1", "127.1", "0177.0.0.1", "0", "127.0.0.1.", "127。0。0。1",
    "\uff11\uff12\uff17.0.0.1", "127%2e0.0.1", "%31%32%37.0.0.1", "localhost", "LOCALHOST", "localhost.",
    "x.local", "x.localhost", "metadata.google.internal", "router", "a..example",
    "bücher.example", "a_" * 40 + ".example",
]  # fmt: skip


@pytest.mark.parametrize("host", [*LITERALS, *SPELLINGS])
async def test_a42_no_spelling_of_a_local_address_is_asked(canary: Listener, host: str) -> None:
    names, network = Names((HOME,)), Network()
    with pytest.raises(OutboundRefused):
        await public_only(canary, names, network, PUBLIC).get(f"https://{host}:{canary.port}/")
    assert (names.asked, network.dialled, canary.connections) == ([], [], 0)


async def test_a42_other_ports_are_not_asked(canary: Listener) -> None:
    names = Names((HOME,))
    outbound = Outbound(
        OutboundRules(private_hosts=frozenset({HOST})), resolve=names, own_addresses=lambda: (), tls=TLS
    )
    for port in (canary.port, 0, 22, 8000, 65_536):
        with pytest.raises(OutboundRefused, match="port"):
            await outbound.get(f"https://{HOST}:{port}/")
    assert (names.asked, canary.connections) == ([], 0)


async def test_a_listed_host_is_that_host_only(canary: Listener) -> None:
    outbound = outbound_to(canary)
    for host in (f"x.{HOST}", f"{HOST}.example", "127.0.0.1"):
        with pytest.raises(OutboundRefused):
            await outbound.get(f"https://{host}:{canary.port}/")
    assert canary.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "hub.internal"])
async def test_what_hub_yaml_lists_may_be_private(host: str) -> None:
    async with listening(saying(OK)) as server:
        fetched = await outbound_to(server, host=host).get(f"http://{host}:{server.port}/a?b=c#d")
    assert (fetched.status, fetched.content_type, fetched.body) == (200, "image/png", b"png")
    assert server.heads[0].startswith(f"get /a?b=c http/1.1\r\nhost: {host}:{server.port}\r\n")


# A44: name servers.
async def test_a44_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(canary: Listener) -> None:
    names, network = Names((PUBLIC,), (HOME,)), Network()
    outbound = public_only(canary, names, network)
    with pytest.raises(OutboundFailed, match="takes no connection"):
        await outbound.get(f"https://rebind.example:{canary.port}/")
    assert (names.asked, network.dialled) == (["rebind.example"], [str(PUBLIC)])
    with pytest.raises(OutboundRefused):
        await outbound.get(f"https://rebind.example:{canary.port}/")
    assert (network.dialled, canary.connections) == ([str(PUBLIC)], 0)


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "93.184.216.34"], ["93.184.216.34", "::1"],
     ["93.184.216.34", "fd00::1"], ["93.184.216.34", "::ffff:127.0.0.1"],
     ["93.184.216.34", "64:ff9b::7f00:1"], ["93.184.216.34", "fe80::1%en0"], ["169.254.169.254"],
     ["93.184.216.34", "198.41.0.4"]],
)  # fmt: skip
async def test_a44_one_answer_that_is_not_public_refuses_all(canary: Listener, answers: list[str]) -> None:
    names, network = Names(tuple(ip_address(answer) for answer in answers)), Network()
    outbound = public_only(canary, names, network, ip_address("198.41.0.4"))
    with pytest.raises(OutboundRefused) as caught:
        await outbound.get(f"https://127.0.0.1.nip.example:{canary.port}/secret")
    assert (network.dialled, canary.connections) == ([], 0)
    assert str(caught.value) == (
        "127.0.0.1.nip.example is not used: its address is not public, and hub.yaml does not list it."
    )


async def test_a44_a_connection_that_ends_elsewhere_is_not_spoken_on(canary: Listener) -> None:
    outbound = public_only(canary, Names((PUBLIC,)), Network(port=canary.port))
    with pytest.raises(OutboundFailed, match="ended elsewhere"):
        await outbound.get("https://public.example/")
    await until(lambda: canary.connections == 1 and canary.open == 0)
    assert canary.received == b""


@pytest.mark.parametrize("silent", [False, True])
async def test_the_next_address_is_tried_where_one_takes_no_connection(silent: bool) -> None:
    async with listening(saying(OK)) as server:
        rules = OutboundRules(frozenset({HOST}), frozenset({HOST}), frozenset({server.port}))
        names, network = Names((PUBLIC, HOME)), Network(silent=silent)
        outbound = Outbound(
            rules, limits=LIMITS, resolve=names, own_addresses=lambda: (), network=network, tls=TLS
        )
        assert (await outbound.get(server.url)).body == b"png"
    assert network.dialled == [str(PUBLIC), str(HOME)]


# A45: what different parsers read differently.
@pytest.mark.parametrize(
    "url",
    ["http://good.example@127.0.0.1:{port}/", "https://good.example@127.0.0.1:{port}/",
     "https://user:password@good.example:{port}/", "https://:@good.example:{port}/",
     "http://127.0.0.1:{port}\\@good.example/", "https://good.example:{port}\\@127.0.0.1/",
     "https://good.example:{port}/\\..\\a", "ftp://plain.example:{port}/",
     "http:127.0.0.1:{port}", "https:good.example:{port}", "https:/good.example:{port}/",
     "https:///good.example:{port}/", "//good.example:{port}/", "good.example:{port}/", "https://:{port}/",
     "", "https://good.example:{port}/\t", "https://good\t.example:{port}/", " https://good.example:{port}/",
     "https://good.example:{port}/ ", "https://good.example:{port}/a b", "https://good.example:{port}/\x00",
     "https://good.example:{port}/\r\nHost: 127.0.0.1", "https://good.example:{port}/\x7f",
     "https://good.example:{port}/\u2028", "https://good.example:{port}/\udc80", "https://[good.example]:{port}/",
     "https://[::1:{port}/", "https://good.example:{port}:1/", "https://good.example:abc/",
     "file:///etc/passwd", "ftp://good.example:{port}/", "gopher://good.example:{port}/", "ws://good.example:{port}/",
     "http://good.example:{port}/", "data:image/png;base64,AAAA", "javascript:alert(1)",
     "https://good.example:{port}/" + "a" * 4096],
)  # fmt: skip
async def test_a45_a_url_that_can_be_read_in_two_ways_is_not_read(canary: Listener, url: str) -> None:
    names, network = Names((PUBLIC,)), Network()
    rules = OutboundRules(
        http_hosts=frozenset({"127.0.0.1", "plain.example"}), ports=frozenset({canary.port})
    )
    outbound = Outbound(
        rules, limits=LIMITS, resolve=names, own_addresses=lambda: (), network=network, tls=TLS
    )
    with pytest.raises(OutboundRefused):
        await outbound.get(url.format(port=canary.port))
    assert (names.asked, network.dialled, canary.connections) == ([], [], 0)


async def test_a45_a_huge_url_is_refused_at_once() -> None:
    outbound = Outbound(OutboundRules(), own_addresses=lambda: (), tls=TLS)
    with pytest.raises(OutboundRefused, match="more than 4096 characters"):
        await outbound.get("data:image/png;base64," + "A" * 100_000_000)


PIECES = st.sampled_from(
    ["https://", "http://", "HTTPS:", "//", "/", "\\", "@", ":", "?", "#", "%", "%2e", "%00", "[", "]", "::1",
     "127.0.0.1", "127.1", "0x7f", "good.example", "xn--", ".", "。", ":443", ":80", "\t", " ", "\r\n", "<",
     "|", "{", "\udc80"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join))
def test_a45_no_text_at_all_leads_to_a_private_address_or_another_error(text: str) -> None:
    network = Network()
    rules = OutboundRules(http_hosts=frozenset({"good.example"}))
    outbound = Outbound(rules, resolve=Names((HOME,)), own_addresses=lambda: (), network=network, tls=TLS)
    for url in (text, f"https://{text}", f"https://good.example{text}"):
        with pytest.raises(OutboundRefused):
            asyncio.run(outbound.get(url))
    assert network.dialled == []


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join))
def test_what_is_accepted_as_a_url_can_be_sent(text: str) -> None:
    async def ask() -> None:
        async with listening(saying(OK)) as server:
            with contextlib.suppress(OutboundRefused):
                fetched = await outbound_to(server).get(server.url + text)
                assert fetched.body == b"png"

    asyncio.run(ask())


# The real collaborators.
async def test_the_system_resolves_and_knows_its_own_addresses() -> None:
    assert HOME in await SystemResolver()("localhost")
    assert HOME in addresses_of_this_machine()


def test_by_default_the_addresses_of_this_machine_are_its_own() -> None:
    # Those of a machine at hand are private, so that no request would tell.
    assert signature(Outbound).parameters["own_addresses"].default is addresses_of_this_machine
