"""What clients send within their requests: base64 in data: URIs."""

import base64
import binascii
import hashlib
import re

from mlxhub.refusals import InvalidRequest

_DATA = re.compile(r"data:[a-z0-9.+/-]*(?:;[a-z0-9=.+-]*)*?;base64,", re.IGNORECASE)


def data_of(sent: str | bytes, what: str) -> bytes:
    """Of a data: URI, or the bytes of a file as they are. `what` it is, for errors. Raises InvalidRequest."""
    if isinstance(sent, bytes):
        return sent
    found = _DATA.match(sent)
    if found is None:
        raise InvalidRequest(f"{what}: it must be a data: URI with base64.", "messages")
    try:
        return base64.b64decode(sent[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{what}: its base64 is not valid.", "messages") from None


def digest_of(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
