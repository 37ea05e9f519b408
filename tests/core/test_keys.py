"""What a client shows, and whether it is right."""

import pytest

from mlxhub.core.keys import Key, bearer, is_known, is_proof, is_ticket_for, make_proof, make_ticket

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("authorizations", "shown"),
    [
        ([b"Bearer abc"], b"abc"),
        ([b"bearer  abc "], b"abc"),
        ([b"Bearer"], None),
        ([b"Bearer "], None),
        ([b"Basic abc"], None),
        ([b"Mlxhub abc"], None),
        ([b"Bearer a", b"Bearer a"], None),
        ([b"Bearer " + b"x" * 600], None),
        ([], None),
    ],
)
def test_there_is_one_way_in(authorizations: list[bytes], shown: bytes | None) -> None:
    assert bearer(authorizations) == shown


def test_a_key_is_known_until_it_is_over() -> None:
    keys = (Key("new"), Key("old", until=NOW + 5))
    assert is_known(b"new", keys, NOW + 10**6)
    assert is_known(b"old", keys, NOW)
    assert not is_known(b"old", keys, NOW + 5)
    for wrong in (b"", b"ne", b"newer", "neü".encode(), b"\xff\x00"):
        assert not is_known(wrong, keys, NOW)
    assert not is_known(b"", (), NOW)


def test_a_ticket_is_good_for_one_request_at_one_port_for_a_moment() -> None:
    ticket = [make_ticket("secret", "POST", 47850, "/load?a=1", NOW).encode()]
    assert is_ticket_for(ticket, "secret", "POST", 47850, "/load?a=1", NOW + 29)
    assert is_ticket_for(ticket, "secret", "POST", 47850, "/load?a=1", NOW - 29)
    for secret, method, port, target, now in [
        ("other", "POST", 47850, "/load?a=1", NOW),
        ("secret", "GET", 47850, "/load?a=1", NOW),
        ("secret", "POST", 47851, "/load?a=1", NOW),
        ("secret", "POST", 47850, "/load", NOW),
        ("secret", "POST", 47850, "/load?a=1", NOW + 31),
        ("secret", "POST", 47850, "/load?a=1", NOW - 31),
    ]:
        assert not is_ticket_for(ticket, secret, method, port, target, now)
    assert b"secret" not in ticket[0]


@pytest.mark.parametrize(
    "shown", [b"Mlxhub", b"Mlxhub 1000000", b"Mlxhub .", b"Mlxhub x.y", b"Mlxhub 1000000.\xff", b"Bearer 1.2"]
)
def test_what_is_no_ticket_is_none(shown: bytes) -> None:
    assert not is_ticket_for([shown], "secret", "GET", 1, "/", NOW)


def test_a_proof_is_good_for_one_nonce_at_one_port() -> None:
    proof = make_proof("secret", 47850, "aa")
    assert is_proof(proof, [Key("secret")], 47850, "aa", NOW)
    assert is_proof(proof, [Key("new"), Key("secret", until=NOW + 1)], 47850, "aa", NOW)
    for shown, key, port, nonce in [
        (proof, Key("other"), 47850, "aa"),
        (proof, Key("secret", until=NOW - 1), 47850, "aa"),
        (proof, Key("secret"), 47851, "aa"),
        (proof, Key("secret"), 47850, "ab"),
        ("", Key("secret"), 47850, "aa"),
        ("\ud800", Key("secret"), 47850, "aa"),
    ]:
        assert not is_proof(shown, [key], port, nonce, NOW)
    assert not is_proof(proof, [], 47850, "aa", NOW)
