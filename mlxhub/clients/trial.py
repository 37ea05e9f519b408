"""One request as somebody else would send it, to see whether it is refused."""

from collections.abc import Mapping

import httpx

_SECONDS = 3.0


def status_of(
    base_url: str, method: str, path: str, *, headers: Mapping[str, str], content: bytes = b""
) -> int | None:
    """The status of the answer; None where there is none."""
    try:
        with httpx.Client(base_url=base_url, trust_env=False, timeout=_SECONDS) as client:
            return client.request(method, path, headers=dict(headers), content=content).status_code
    except httpx.TransportError:
        return None
