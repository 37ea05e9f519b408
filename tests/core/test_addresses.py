"""No request of the hub goes to an address that is not public, in whatever way it is written."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.addresses import is_name, may_connect, may_look_up

OWN = IPv4Address("203.0.114.9")

NEVER = {
    "unspecified": ["0.0.0.0", "::"],
    "this network": ["0.1.2.3"],
    "link-local, where clouds keep their secrets": ["169.254.169.254", "fe80::1", "fe80::1%en0"],
    "a zone": ["2606:4700::1111%en0"],
    "protocol assignments": ["192.0.0.1", "192.0.0.192", "192.0.0.9"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "2001:2::1"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "4000::1", "fec0::1"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8", "::ffff:0:7f00:1"],
    "compatible": ["::127.0.0.1", "::8.8.8.8"],
    "translated": ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1", "64:ff9b:1:ffff::1"],
    "6to4": ["2002:7f00:1::", "2002:808:808::1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:80ff:fffe", "2001::1"],
    "discard": ["100::1"],
}
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "100.100.100.100", "::1", "fc00::1", "fd00::1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "192.0.1.1", "223.255.255.254",
    "2606:4700::1111", "2a00:1450:4001::1",
]  # fmt: skip


@pytest.mark.parametrize("written", [address for group in NEVER.values() for address in group])
def test_what_is_neither_public_nor_private_is_refused_even_where_it_is_listed(written: str) -> None:
    address = ip_address(written)
    assert not may_connect(address, (), listed=False)
    assert not may_connect(address, (), listed=True)


@pytest.mark.parametrize("written", PRIVATE)
def test_a_private_address_is_only_for_a_listed_host(written: str) -> None:
    assert not may_connect(ip_address(written), (), listed=False)
    assert may_connect(ip_address(written), (), listed=True)


@pytest.mark.parametrize("written", PUBLIC)
def test_a_public_address_is_for_all(written: str) -> None:
    assert may_connect(ip_address(written), (), listed=False)


def test_a_public_address_of_this_machine_is_only_for_a_listed_host() -> None:
    assert may_connect(OWN, (), listed=False)
    assert not may_connect(OWN, {OWN}, listed=False)
    assert may_connect(OWN, {OWN}, listed=True)


def wrapped(address: IPv4Address, low: int) -> list[IPv6Address]:
    """`low`: the bits that a wrapper leaves free, or a part of them."""
    bits = int(address)
    return [
        IPv6Address(bits),
        IPv6Address(0xFFFF << 32 | bits),
        IPv6Address(0xFFFF << 48 | bits),
        IPv6Address(0x0064_FF9B << 96 | bits),
        IPv6Address(0x0064_FF9B_0001 << 80 | low << 32 | bits),
        IPv6Address(0x2002 << 112 | bits << 80 | low),
        IPv6Address(0x2001_0000 << 96 | bits << 64 | low),
        IPv6Address(0x2001_0000 << 96 | low << 32 | bits ^ 0xFFFF_FFFF),
    ]


NOT_GLOBAL = st.sampled_from(
    ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
     "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"]
).map(IPv4Network).flatmap(lambda network: st.ip_addresses(v=4, network=network))  # fmt: skip


@given(NOT_GLOBAL | st.ip_addresses(v=4), st.integers(0, 2**48 - 1), st.booleans())
def test_no_v6_address_that_wraps_a_v4_address_is_connected_to(
    address: IPv4Address, low: int, listed: bool
) -> None:
    # 0.0.0.1 in the compatible form is ::1, which a listed host may have.
    allowed = [IPv6Address("::1")] if listed else []
    assert [each for each in wrapped(address, low) if may_connect(each, (), listed=listed)] in ([], allowed)


@given(st.ip_addresses())
def test_what_is_public_is_global_to_python_too(address: IPv4Address | IPv6Address) -> None:
    assert address.is_global or not may_connect(address, (), listed=False)


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0X7F000001", "127.1", "0177.0.0.1", "0", "0x7f.0.0.1", "127.0.0.0x1", "0x",
     "127.0.0.1", "127.0.0.1.", "example.com.", "a..b", "", ".", "-a.com", "a-.com", "EXAMPLE.com", "a b.com",
     "127%2e0.0.1", "[::1", "fe80::1%en0", "bücher.example", "127。0。0。1", "a" * 64 + ".com",
     ".".join(["a" * 49] * 5 + ["abcd"])],
)  # fmt: skip
def test_what_is_no_name_or_an_address_to_some_resolver(host: str) -> None:
    assert not is_name(host)


@pytest.mark.parametrize(
    "host",
    ["example.com", "a.b-c.d", "xn--bcher-kva.example", "_dns.example.com", "127.0.0.1.nip.io", "1.a",
     "localhost", "a" * 63 + ".com", ".".join(["a" * 49] * 5 + ["abc"])],
)  # fmt: skip
def test_what_is_a_name(host: str) -> None:
    assert is_name(host)


@pytest.mark.parametrize(
    "name", ["localhost", "router", "a.localhost", "x.local", "a.x.local", "metadata.google.internal"]
)
def test_names_of_the_local_network_are_looked_up_only_where_listed(name: str) -> None:
    assert not may_look_up(name, listed=False)
    assert may_look_up(name, listed=True)
    assert may_look_up(f"{name}.example.com", listed=False)
