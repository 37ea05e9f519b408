"""Keys, tickets and proofs as values: what each end has to show, and whether what it shows is right."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "mlxh_"
# Both ends are on one machine and read one clock; a request is on its way for less than a second.
TICKET_SECONDS = 30.0
_TICKET_SCHEME = "Mlxhub"
_MAX_BYTES = 512


@dataclass(frozen=True, slots=True)
class Key:
    """`until` in Unix seconds: an old one that is still taken for a while. None: the one in use."""

    secret: str
    until: float | None = None


def bearer(authorizations: list[bytes]) -> bytes | None:
    """The one way in: a single `Authorization: Bearer KEY`."""
    return _shown(authorizations, b"bearer")


def is_known(shown: bytes, keys: Iterable[Key], now: float) -> bool:
    """Compares digests, and with every key, so that time tells neither where nor with which it differs."""
    digest = _digest(shown)
    known = False
    for key in keys:
        in_force = key.until is None or now < key.until
        known |= hmac.compare_digest(digest, _digest(key.secret.encode())) and in_force
    return known


def make_ticket(secret: str, method: str, port: int, target: str, now: float) -> str:
    """An Authorization for exactly this request to a worker: nobody else can do anything with it."""
    time = str(int(now))
    return f"{_TICKET_SCHEME} {time}.{_signature(secret, time, method, port, target)}"


def is_ticket_for(
    authorizations: list[bytes], secret: str, method: str, port: int, target: str, now: float
) -> bool:
    """Whether there is one, for this request and of this moment."""
    shown = _shown(authorizations, _TICKET_SCHEME.lower().encode())
    if shown is None:
        return False
    time, _, signature = shown.partition(b".")
    if not time.isdigit() or abs(now - int(time[:15])) > TICKET_SECONDS:
        return False
    expected = _signature(secret, time.decode(), method, port, target)
    return hmac.compare_digest(_digest(signature), _digest(expected.encode()))


def make_proof(secret: str, port: int, nonce: str) -> str:
    """What only a worker of the hub can say to `nonce`, and only of the port at which it listens."""
    return _hmac(secret, "identity", str(port), nonce)


def is_proof(shown: str, keys: Iterable[Key], port: int, nonce: str, now: float) -> bool:
    """`nonce` is to be the asker's own, and another every time."""
    return is_known(
        shown.encode(errors="replace"),
        (Key(make_proof(key.secret, port, nonce), key.until) for key in keys),
        now,
    )


def _signature(secret: str, time: str, method: str, port: int, target: str) -> str:
    return _hmac(secret, time, method, str(port), target)


def _hmac(secret: str, *said: str) -> str:
    """Of different things the number of lines is different: a proof is never a ticket."""
    text = "\n".join(said).encode(errors="surrogateescape")
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def _shown(authorizations: list[bytes], scheme: bytes) -> bytes | None:
    if len(authorizations) != 1 or len(authorizations[0]) > _MAX_BYTES:
        return None
    named, _, shown = authorizations[0].partition(b" ")
    return shown.strip() or None if named.lower() == scheme else None


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
