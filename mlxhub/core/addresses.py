"""Where a request of the hub may go, so that no URL turns it against the network it stands in."""

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address

# All of v6 that is given out for the internet. Private, local and multicast addresses lie elsewhere, and what
# maps or translates v4: ::/96, ::ffff:0:0/96, 64:ff9b::/96, 64:ff9b:1::/48.
_GLOBAL_UNICAST = ip_network("2000::/3")
# What `is_global` of Python 3.11 takes for public: IETF protocols, 6to4 (wraps any v4), documentation.
_NOT_PUBLIC = (ip_network("192.0.0.0/24"), ip_network("2002::/16"), ip_network("3fff::/20"))
_PRIVATE = (
    ip_network("10.0.0.0/8"),
    ip_network("100.64.0.0/10"),
    ip_network("127.0.0.0/8"),
    ip_network("172.16.0.0/12"),
    ip_network("192.168.0.0/16"),
    ip_network("::1/128"),
    ip_network("fc00::/7"),
)

MAX_NAME_CHARACTERS = 253
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_SUFFIXES = (".local", ".localhost", ".internal")


def may_connect(address: Address, own: Collection[Address], *, listed: bool) -> bool:
    """`own`: the addresses of this machine. `listed`: hub.yaml names this very host, so it may be private."""
    # A zone names an interface of this machine; nothing public has one.
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    if listed:
        return _is_public(address) or any(address in network for network in _PRIVATE)
    return _is_public(address) and address not in own


def may_look_up(name: str, *, listed: bool) -> bool:
    """Whether resolvers would ask public name servers for this name, or hub.yaml lists it."""
    return listed or ("." in name and not name.endswith(_LOCAL_SUFFIXES))


def is_name(host: str) -> bool:
    """Whether this is a name in lower case, and no address to any resolver.

    Those take `127.1`, `2130706433` and `0x7f000001` for addresses: all that ends in a number.
    """
    return (
        len(host) <= MAX_NAME_CHARACTERS
        and _NAME.fullmatch(host) is not None
        and _NUMBER.fullmatch(host.rpartition(".")[2]) is None
    )


def _is_public(address: Address) -> bool:
    # `is_global` alone is no filter: 224.0.0.1, 192.0.0.192 and 2002:7f00:1:: are global by it.
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _NOT_PUBLIC)
    )
