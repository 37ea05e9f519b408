"""What differs between the plist an agent has and the one it should have, in the words of hub.yaml."""

import json
import plistlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.parsers.expat import ExpatError

from pydantic import BaseModel

from mlxhub.core.agents import GENERATION_OPTION
from mlxhub.core.config import WorkerSettings

# Only the build differs: the same settings, other code.
CODE = "code"
# launchd holds another definition than the file, or nobody can tell what the file said.
DEFINITION = "definition"

_SETTINGS_OPTION = "--settings"
_ENVIRONMENT = "EnvironmentVariables"
_STARTS_BY_ITSELF = ("RunAtLoad", "KeepAlive")


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key and its two values as text; None where there is no such key, and where values say nothing."""

    key: str
    before: str | None = None
    after: str | None = None


def changed_keys(before: bytes | None, after: bytes) -> tuple[KeyChange, ...]:
    """Empty for equal bytes. `before` may be anything: somebody may have edited it."""
    if before == after:
        return ()
    old = None if before is None else plist_facts(before)
    new = plist_facts(after)
    if old is None or new is None:
        return (KeyChange(DEFINITION),)
    changes = tuple(
        KeyChange(key, old.get(key), new.get(key)) for key in {**new, **old} if old.get(key) != new.get(key)
    )
    return changes or (KeyChange(CODE),)


def plist_facts(plist: bytes) -> dict[str, str] | None:
    """Every setting that a plist carries but its generation, as text by key; None where it is no plist."""
    try:
        properties = plistlib.loads(plist)
    except (plistlib.InvalidFileException, ExpatError, ValueError, OverflowError):
        return None
    if not isinstance(properties, dict):
        return None
    facts = {"default": _text(any(properties.get(key) for key in _STARTS_BY_ITSELF))}
    arguments = properties.get("ProgramArguments")
    if isinstance(arguments, list):
        facts |= _argument_facts([str(argument) for argument in arguments])
    environment = properties.get(_ENVIRONMENT)
    if isinstance(environment, dict):
        facts |= {f"environment {name}": _text(value) for name, value in environment.items()}
    rest = properties.keys() - {"ProgramArguments", _ENVIRONMENT, *_STARTS_BY_ITSELF}
    return facts | {str(key): _text(properties[key]) for key in sorted(rest, key=str)}


def port_of(plist: bytes) -> int | None:
    """The port that the program of this plist serves at, as far as the plist says."""
    port = (plist_facts(plist) or {}).get("port", "")
    return int(port) if port.isdecimal() else None


def _argument_facts(arguments: list[str]) -> dict[str, str]:
    """Options come in pairs, after the words that say which program it is."""
    first = next((i for i, word in enumerate(arguments) if word.startswith("--")), len(arguments))
    facts = {"program": " ".join(arguments[:first])}
    options = arguments[first:]
    for name, value in zip(options[::2], options[1::2], strict=False):
        if name == _SETTINGS_OPTION:
            facts |= _settings_facts(value)
        elif name != GENERATION_OPTION:
            facts[name.removeprefix("--").replace("-", "_")] = value
    return facts


def _settings_facts(settings: str) -> dict[str, str]:
    """With what the defaults are now: an option at its default is left out of a plist."""
    try:
        said = json.loads(settings)
    except ValueError:
        return {"settings": settings}
    if not isinstance(said, dict):
        return {"settings": settings}
    return _DEFAULTS | dict(_flat(said))


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _text(value)


def _text(value: object) -> str:
    """As YAML would have it, near enough for people."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _default_settings() -> Iterator[tuple[str, object]]:
    for name, field in WorkerSettings.model_fields.items():
        if not field.is_required():
            default = field.get_default()
            yield name, default.model_dump(mode="json") if isinstance(default, BaseModel) else default


_DEFAULTS = dict(_flat(dict(_default_settings())))
