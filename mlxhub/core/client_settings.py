"""Settings of clients that make them use this hub, and what they were before: texts in, texts out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from mlxhub.core.hub_edit import NotEditable, with_model, without_lines_of

NO_KEY = "none"
_BY_US = "mlxhub"


class Client(StrEnum):
    """Those whose settings are a file. `OPENWEBUI` keeps its own in a database."""

    CLAUDE = "claude"
    CODEX = "codex"
    CONTINUE = "continue"
    OPENWEBUI = "openwebui"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hub has to offer. `url`: of the controller, without a path.

    `model`: for clients that want one; `context_length`: how many tokens it holds, None where nobody knows.
    """

    url: str
    key: str | None
    model: str
    models: tuple[str, ...]
    context_length: int | None = None


def environment(url: str, key: str | None) -> dict[str, str]:
    """What OpenAI's and Anthropic's libraries look for."""
    shown = key or NO_KEY
    return {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": shown,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": shown,
    }


def connected(client: Client, text: str | None, offer: Offer) -> str:
    """The client's settings with this hub in them. `text` None: there are none. Raises NotEditable."""
    match client:
        case Client.CLAUDE:
            return _claude(text, offer)
        case Client.CODEX:
            return _codex(offer)
        case Client.CONTINUE:
            return _continue(text, offer)
        case Client.OPENWEBUI:
            raise NotEditable("Open WebUI keeps its settings in a database")


def disconnected(client: Client, text: str, before: str | None, after: str) -> str | None:
    """The settings without what `connected` made of `before`; None: without the file.

    Where somebody changed them since, that stays. Raises NotEditable.
    """
    if text == after:
        return before
    match client:
        case Client.CLAUDE:
            return _claude_without(text, before, after)
        case Client.CONTINUE:
            return _continue_without(text, before, after)
        case _:
            raise NotEditable("it was changed since")


def _claude(text: str | None, offer: Offer) -> str:
    """https://code.claude.com/docs/en/settings: `env` is what it finds in its environment."""
    said = _json_object(text)
    own = said.get("env", {})
    if not isinstance(own, dict):
        raise NotEditable('"env" is no object')
    models = ("ANTHROPIC_MODEL", *(f"ANTHROPIC_DEFAULT_{tier}_MODEL" for tier in ("OPUS", "SONNET", "HAIKU")))
    ours = {
        "ANTHROPIC_BASE_URL": offer.url,
        "ANTHROPIC_AUTH_TOKEN": offer.key or NO_KEY,
        **dict.fromkeys(models, offer.model),
    }
    if offer.context_length is not None:
        # Of a model it does not know it believes that it holds a million, and never shortens a conversation.
        ours["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] = str(offer.context_length)
    return _as_json(said | {"env": own | ours})


def _claude_without(text: str, before: str | None, after: str) -> str:
    said, then, ours = _json_object(text), _json_object(before).get("env", {}), _json_object(after)["env"]
    env = said.get("env")
    if not isinstance(env, dict):
        return text
    kept = {}
    for key, value in env.items():
        is_ours = key in ours and ours[key] == value and then.get(key) != value
        if not is_ours:
            kept[key] = value
        elif key in then:
            kept[key] = then[key]
    rest = {key: value for key, value in said.items() if key != "env"}
    return _as_json(said | {"env": kept} if kept else rest)


def _codex(offer: Offer) -> str:
    """A profile is a file of its own, which is laid over the user's: nothing of theirs is touched."""
    lines = [
        f"# Written by: mlxhub connect codex. Use it with: codex --profile {_BY_US}",
        f"model = {json.dumps(offer.model)}",
        f'model_provider = "{_BY_US}"',
        *([] if offer.context_length is None else [f"model_context_window = {offer.context_length}"]),
        "",
        f"[model_providers.{_BY_US}]",
        f'name = "{_BY_US}"',
        f"base_url = {json.dumps(offer.url + '/v1')}",
        'wire_api = "responses"',
    ]
    if offer.key is not None:
        lines.append(f"experimental_bearer_token = {json.dumps(offer.key)}")
    return "\n".join(lines) + "\n"


def _continue(text: str | None, offer: Offer) -> str:
    changed = (
        text if text is not None and text.strip() else "name: Local\nversion: 1.0.0\nschema: v1\nmodels: []\n"
    )
    for model in offer.models:
        entry = {
            "name": _title(model),
            "provider": "openai",
            "model": model,
            "apiBase": f"{offer.url}/v1",
            "apiKey": offer.key or NO_KEY,
        }
        if entry["name"] in _titles(changed):
            raise NotEditable(f'it has a model with the name "{entry["name"]}" already')
        changed = with_model(changed, entry, "Written by: mlxhub connect continue")
    return changed


def _continue_without(text: str, before: str | None, after: str) -> str:
    changed = text
    for title in _titles(after):
        if title not in _titles(before) and title in _titles(changed):
            changed = without_lines_of(changed, title)
    return changed


def _title(model: str) -> str:
    return f"{model} ({_BY_US})"


def _titles(text: str | None) -> list[str]:
    try:
        said = yaml.safe_load(text or "")
    except yaml.YAMLError as error:
        raise NotEditable("it is not valid YAML") from error
    models = said.get("models") if isinstance(said, dict) else None
    return [model["name"] for model in models or [] if isinstance(model, dict) and "name" in model]


def _json_object(text: str | None) -> dict[str, Any]:
    if text is None or not text.strip():
        return {}
    try:
        said = json.loads(text)
    except ValueError as error:
        raise NotEditable("it is not valid JSON") from error
    if not isinstance(said, dict):
        raise NotEditable("it is no JSON object")
    return said


def _as_json(said: Mapping[str, Any]) -> str:
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"
