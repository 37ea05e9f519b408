"""Pictures that a request names by address: fetched where hub.yaml allows it, from public servers only."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mlxhub.core.config import WorkerSettings
from mlxhub.refusals import InvalidRequest, OutboundFailed
from mlxhub.worker.engines.engine import Asked, ChatPrompt, GenerationRequest

if TYPE_CHECKING:
    from mlxhub.clients.outbound import Outbound

_ADDRESSES = ("http://", "https://")


def check_pictures(urls: Sequence[str], settings: WorkerSettings) -> tuple[str, ...]:
    """Raises InvalidRequest for what is neither sent nor may be fetched."""
    for number, url in enumerate(urls, 1):
        if url[:5].lower() == "data:":
            continue
        if not url.lower().startswith(_ADDRESSES):
            raise InvalidRequest(f"messages: image {number} must be a data: URI with base64.", "messages")
        if not settings.fetch_images:
            raise InvalidRequest(
                f"messages: image {number} is an address, and this model fetches none. Send a data: URI, or "
                "have `fetch_images: true` set for the model in hub.yaml.",
                "messages",
            )
    return tuple(urls)


def linking_prompt(request: Asked) -> ChatPrompt | None:
    """Its prompt, if that names pictures by address."""
    if not isinstance(request, GenerationRequest) or not isinstance(request.prompt, ChatPrompt):
        return None
    return request.prompt if any(map(_is_address, request.prompt.pictures)) else None


class LinkedPictures:
    """All that one worker fetches, within its limits together."""

    def __init__(self) -> None:
        self._outbound: Outbound | None = None

    async def fetched(self, request: GenerationRequest, prompt: ChatPrompt) -> GenerationRequest:
        """With what lies at the addresses of its prompt, once `check_pictures` let them pass.

        Raises OutboundRefused and OutboundFailed.
        """
        outbound = self._outbound
        if outbound is None:
            outbound = self._outbound = await asyncio.to_thread(_make_outbound)
        pictures = await asyncio.gather(*(_fetched(outbound, each) for each in prompt.pictures))
        return replace(request, prompt=replace(prompt, pictures=tuple(pictures)))


def _make_outbound() -> "Outbound":
    """Its client takes 8 MB, and time to read certificates."""
    from mlxhub.clients.outbound import Outbound, OutboundRules  # noqa: PLC0415 - few models fetch

    return Outbound(OutboundRules())


async def _fetched(outbound: "Outbound", picture: str | bytes) -> str | bytes:
    if isinstance(picture, bytes) or not _is_address(picture):
        return picture
    fetched = await outbound.get(picture)
    if fetched.status != 200:
        host = picture.split("/")[2]
        raise OutboundFailed(host, f"it answered {fetched.status}.")
    return fetched.body


def _is_address(picture: str | bytes) -> bool:
    return isinstance(picture, str) and picture.lower().startswith(_ADDRESSES)
