"""How chats of a family of mlx-vlm's are written: where in a message its media stand."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlx_vlm.prompt_utils import get_message_json

from mlxhub.refusals import InvalidRequest
from mlxhub.worker.engines.engine import JsonObject


def written(family: str, message: JsonObject) -> JsonObject:
    """A message as the family's chat template takes it. Raises InvalidRequest where it cannot have that."""
    content = message["content"]
    if isinstance(content, str):
        return message
    parts: list[dict[str, Any]] = [{**part} for part in content if isinstance(part, Mapping)]  # type: ignore[union-attr]
    kinds = [part["type"] for part in parts if part["type"] != "text"]
    try:
        told = _told(family, str(message["role"]), parts, kinds)
    except ValueError as error:
        raise InvalidRequest(f"messages: {str(error).splitlines()[0]}", "messages") from None
    said = told["content"] if isinstance(told, dict) else told
    return {**message, "content": _renamed(said, kinds) if isinstance(said, list) else said}


def _told(family: str, role: str, parts: list[dict[str, Any]], kinds: Sequence[str]) -> Any:
    # Of lists of parts mlx-vlm keeps the order of pictures alone, so all media go as such; and of users alone
    # it keeps them at all, so everybody speaks as one: what the template makes of that is seen in its text.
    role = "user" if kinds else role
    as_pictures = [part if part["type"] == "text" else {"type": "image"} for part in parts]
    told = get_message_json(
        family, as_pictures, role, skip_image_token=not kinds, num_images=len(kinds), num_audios=0
    )
    others = [kind for kind in kinds if kind != "image"]
    if not others or (isinstance(told, dict) and isinstance(told["content"], list)):
        return told
    pictures = len(kinds) - len(others)
    return get_message_json(
        family,
        [part for part in parts if part["type"] in ("text", "image")],
        role,
        skip_image_token=not pictures,
        num_images=pictures,
        num_audios=others.count("audio"),
    )


def _renamed(content: list[Any], kinds: Sequence[str]) -> list[Any]:
    """Each picture as what it is."""
    media = [part for part in content if part["type"] != "text"]
    if len(media) != len(kinds):
        raise InvalidRequest("messages: this model's chats cannot have so many parts.", "messages")
    left = iter(kinds)
    renamed = []
    for part in content:
        kind = "text" if part["type"] == "text" else next(left)
        renamed.append(part if kind in ("text", "image") else {"type": kind})
    return renamed
