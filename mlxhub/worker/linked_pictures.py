"""Pictures that a request names by address: fetched where hub.yaml allows it, from public servers only."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mlxhub.core.config import WorkerSettings
from mlxhub.refusals import InvalidRequest, OutboundFailed
from mlxhub.worker.engines.engine import ChatPrompt, GenerationRequest

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


async def with_pictures(request: GenerationRequest) -> GenerationRequest:
    """With what lies at the addresses it names, once `check_pictures` let them pass.

    Raises OutboundRefused and OutboundFailed.
    """
    prompt = request.prompt
    if not isinstance(prompt, ChatPrompt) or not any(_is_address(each) for each in prompt.pictures):
        return request
    from mlxhub.clients.outbound import Outbound, OutboundRules  # noqa: PLC0415 - its client takes 8 MB

    outbound = Outbound(OutboundRules())
    pictures = await asyncio.gather(*(_fetched(outbound, each) for each in prompt.pictures))
    return replace(request, prompt=replace(prompt, pictures=tuple(pictures)))


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
