"""JSON of a model, read within limits: size, depth, and numbers that are numbers."""

import json
from collections.abc import Iterator

from mlxhub.registry.model_files import ModelFile
from mlxhub.registry.refused import DOWNLOAD_AGAIN, IntakeRefused

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

MAX_BYTES = 32_000_000
MAX_TOKENIZER_BYTES = 64_000_000
MAX_DEPTH = 32
# A tokenizer with half a million merges has one list for each. An empty one takes 20 times its two bytes.
MAX_CONTAINERS = 2_000_000


def read_bytes(file: ModelFile, limit: int) -> bytes:
    try:
        with file.path.open("rb") as opened:
            content = opened.read(limit + 1)
    except OSError as error:
        raise IntakeRefused(f"{file.name} cannot be read: {error.strerror}", "Correct its rights") from None
    if len(content) > limit:
        raise IntakeRefused(f"{file.name} has more than {limit // 1_000_000} MB", DOWNLOAD_AGAIN)
    return content


def read_text(file: ModelFile, limit: int) -> str:
    try:
        return read_bytes(file, limit).decode()
    except UnicodeDecodeError:
        raise IntakeRefused(f"{file.name} is not UTF-8", DOWNLOAD_AGAIN) from None


def read_json(file: ModelFile) -> Json:
    """As the loaders read it, so that what is checked is what they get."""
    limit = MAX_TOKENIZER_BYTES if file.last_name == "tokenizer.json" else MAX_BYTES
    text = read_text(file, limit)
    if text.count("[") + text.count("{") > MAX_CONTAINERS:
        raise IntakeRefused(f"{file.name} has more than {MAX_CONTAINERS} lists and objects", DOWNLOAD_AGAIN)
    try:
        value: Json = json.loads(text)
    except RecursionError:
        raise _too_deep(file) from None
    except ValueError as error:
        raise IntakeRefused(f"{file.name} cannot be read: it is not JSON ({error})", DOWNLOAD_AGAIN) from None
    if _is_deeper_than(MAX_DEPTH, value):
        raise _too_deep(file)
    return value


def read_object(file: ModelFile) -> dict[str, Json]:
    value = read_json(file)
    if not isinstance(value, dict):
        raise IntakeRefused(f"{file.name} is no JSON object", DOWNLOAD_AGAIN)
    return value


def members(value: Json) -> Iterator[tuple[str, Json]]:
    """Each key with its value, at any depth. What stands in a list stands under the list's own key too."""
    waiting = _within("", value)
    while waiting:
        key, each = waiting.pop()
        yield key, each
        waiting += _within(key, each)


def _within(key: str, value: Json) -> list[tuple[str, Json]]:
    if isinstance(value, dict):
        return list(value.items())
    return [(key, member) for member in value] if isinstance(value, list) else []


def _too_deep(file: ModelFile) -> IntakeRefused:
    return IntakeRefused(f"{file.name} is nested deeper than {MAX_DEPTH} levels", DOWNLOAD_AGAIN)


def _is_deeper_than(limit: int, value: Json) -> bool:
    """Level by level: what is deep enough to be refused must not be walked by recursion."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [
            member
            for each in level
            for member in (each.values() if isinstance(each, dict) else each)
            if isinstance(member, dict | list)
        ]
        if not level:
            return False
    return True
