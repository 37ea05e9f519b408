"""Pictures and videos that a request names by address: fetched where hub.yaml lets it, from the public."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mlxhub.core.config import WorkerSettings
from mlxhub.core.medium import Medium, is_data_uri
from mlxhub.refusals import InvalidRequest, OutboundFailed
from mlxhub.worker.engines.engine import Asked, ChatPrompt, GenerationRequest

if TYPE_CHECKING:
    from mlxhub.clients.outbound import Outbound

_ADDRESSES = ("http://", "https://")


def check_media(media: Sequence[Medium], settings: WorkerSettings) -> tuple[Medium, ...]:
    """Raises InvalidRequest for what is neither sent nor may be fetched."""
    seen: Counter[str] = Counter()
    for medium in media:
        seen[medium.kind] += 1
        what = f"messages: {medium.kind} {seen[medium.kind]}"
        if isinstance(medium.content, str) and is_data_uri(medium.content):
            continue
        if not _is_address(medium):
            raise InvalidRequest(f"{what} must be a data: URI with base64.", "messages")
        if not settings.fetch_images:
            raise InvalidRequest(
                f"{what} is an address, and this model fetches none. Send a data: URI, or "
                "have `fetch_images: true` set for the model in hub.yaml.",
                "messages",
            )
    return tuple(media)


def linking_prompt(request: Asked) -> ChatPrompt | None:
    """Its prompt, if that names media by address."""
    if not isinstance(request, GenerationRequest) or not isinstance(request.prompt, ChatPrompt):
        return None
    return request.prompt if any(map(_is_address, request.prompt.media)) else None


class LinkedMedia:
    """All that one worker fetches, within its limits together."""

    def __init__(self) -> None:
        self._outbound: Outbound | None = None

    async def fetched(self, request: GenerationRequest, prompt: ChatPrompt) -> GenerationRequest:
        """With what lies at the addresses of its prompt, once `check_media` let them pass.

        Raises OutboundRefused and OutboundFailed.
        """
        outbound = self._outbound
        if outbound is None:
            outbound = self._outbound = await asyncio.to_thread(_make_outbound)
        media = await asyncio.gather(*(_fetched(outbound, each) for each in prompt.media))
        return replace(request, prompt=replace(prompt, media=tuple(media)))


def _make_outbound() -> "Outbound":
    """Its client takes 8 MB, and time to read certificates."""
    from mlxhub.clients.outbound import Outbound, OutboundRules  # noqa: PLC0415 - few models fetch

    return Outbound(OutboundRules())


async def _fetched(outbound: "Outbound", medium: Medium) -> Medium:
    if not isinstance(medium.content, str) or not _is_address(medium):
        return medium
    fetched = await outbound.get(medium.content)
    if fetched.status != 200:
        host = medium.content.split("/")[2]
        raise OutboundFailed(host, f"it answered {fetched.status}.")
    return replace(medium, content=fetched.body)


def _is_address(medium: Medium) -> bool:
    return isinstance(medium.content, str) and medium.content.lower().startswith(_ADDRESSES)
