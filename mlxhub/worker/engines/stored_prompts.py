"""What a model has read of prompts, in files: bounded, and checked when they are read."""

import base64
import contextlib
import hashlib
import os
import re
import time
from array import array
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import mlx.core as mx
from loguru import logger
from mlx_lm.models import cache
from mlx_lm.models.cache import load_prompt_cache, save_prompt_cache

from mlxhub.files.state import make_private_directory
from mlxhub.registry.safetensors_header import header_fault
from mlxhub.worker.engines.prompt_cache import Kept, PromptCache, as_tokens

# By the hash of its content: nothing in a file is believed unless it is as it was written.
_NAME = re.compile(r"[0-9a-f]{64}\.safetensors")
_UNFINISHED = "unfinished.safetensors"
_MOST_FILES = 1024
# Written, hashed and read within a few seconds: a step waits for it, or an unload, or the end of a process.
LARGEST_FILE = 2_000_000_000
_HEADER_BYTES = 2_000_000


class StoredPrompts:
    """Of one model, in a directory of their own; on the engine thread.

    Files that are damaged, or that another model or another version wrote, are deleted. So is what no longer
    fits into `most_bytes`, the least recently used first; 0 deletes all.
    """

    def __init__(self, directory: Path, fingerprint: str, most_bytes: int, largest: int) -> None:
        """`fingerprint`: of everything that what is known of a prompt depends on. `largest`: bytes of one."""
        self._directory = directory
        self._fingerprint = fingerprint
        self._most_bytes = most_bytes
        self._largest = largest
        self._index: PromptCache[Path] = PromptCache(_MOST_FILES, most_bytes)
        for file in _files(directory):
            described = self._described(file)
            if described is None:
                logger.warning("What was kept of a prompt is not this model's, or damaged: {}", file.name)
                _delete(file)
            else:
                self._add(described)

    def find(self, tokens: Sequence[int], beyond: int) -> Kept[Any] | None:
        """What begins like them for more than `beyond` tokens, read from its file."""
        while (hit := self._index.find(tokens)) is not None and hit.length > beyond:
            state = _read(hit.kept.state)
            if state is not None:
                size = sum(layer.nbytes for layer in state)
                return Kept(hit.kept.tokens, state, state_bytes=size, cuttable=hit.kept.cuttable)
            self._index.forget(hit.kept)
        return None

    def store(self, entries: Sequence[Kept[Any]], seconds: float) -> None:
        """The last of them first, as far as the time and the space go."""
        ends = time.monotonic() + seconds
        wanted, room = self._fitting(entries)
        there = {_key(entry): entry for entry in self._index.entries if entry.state.exists()}
        self._drop_all_but({_key(kept) for kept in wanted}, room)
        stored = []
        for kept in wanted:
            if time.monotonic() > ends:
                logger.info("Not all that was kept of prompts was written: it took over {:g} s", seconds)
                break
            try:
                stored.append(there.get(_key(kept)) or self._write(kept))
            except Exception as error:  # noqa: BLE001 - the prompt can be read anew; an unload must not fail
                logger.warning("What was kept of a prompt could not be written: {}", error)
                _delete(self._directory / _UNFINISHED)
        now = time.time_ns()
        for place, entry in enumerate(reversed(stored), -len(stored)):
            self._index.forget(entry)
            self._add(entry)
            # One after the other: the system's own clock gives several files the same time.
            _touch(entry.state, now + place * 1_000_000)

    def _fitting(self, entries: Sequence[Kept[Any]]) -> tuple[list[Kept[Any]], int]:
        """What there is space for, the last first, and the space that is left."""
        room, fitting = self._most_bytes, []
        for kept in reversed(entries):
            if kept.state_bytes <= min(room, self._largest) and _is_storable(kept.state):
                fitting.append(kept)
                room -= kept.state_bytes
        return fitting, room

    def _drop_all_but(self, wanted: AbstractSet[bytes], room: int) -> None:
        """Of the others the least recently used, as long as they take more than `room`."""
        others = [entry for entry in self._index.entries if _key(entry) not in wanted]
        taken = sum(entry.state_bytes for entry in others)
        for entry in others:
            if taken <= room:
                return
            taken -= entry.state_bytes
            self._index.forget(entry)
            _delete(entry.state)

    def _write(self, kept: Kept[Any]) -> Kept[Path]:
        make_private_directory(self._directory)
        unfinished = self._directory / _UNFINISHED
        said = {
            "fingerprint": self._fingerprint,
            "tokens": base64.b64encode(kept.tokens.tobytes()).decode(),
            "cuttable": str(kept.cuttable),
        }
        # Before MLX writes into it, so that it is nobody else's to read from the first byte on.
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        save_prompt_cache(str(unfinished), kept.state, said)
        file = self._directory / f"{_digest(unfinished)}.safetensors"
        unfinished.replace(file)
        return Kept(kept.tokens, file, file.stat().st_size, kept.cuttable)

    def _add(self, kept: Kept[Path]) -> None:
        before = {entry.state for entry in self._index.entries} | {kept.state}
        self._index.keep(kept)
        for file in before - {entry.state for entry in self._index.entries}:
            _delete(file)

    def _described(self, file: Path) -> Kept[Path] | None:
        """By what it says of itself."""
        try:
            with file.open("rb") as opened:
                if header_fault(opened) is not None:
                    return None
            loaded: Any = mx.load(str(file), return_metadata=True)
            metadata = loaded[1]
            if metadata["0.fingerprint"] != self._fingerprint:
                return None
            tokens = array("i", base64.b64decode(metadata["0.tokens"], validate=True))
            cuttable = metadata["0.cuttable"] == "True"
            size = file.stat().st_size
        except Exception:  # noqa: BLE001 - whatever is wrong with it
            return None
        return (
            Kept(as_tokens(tokens), file, size, cuttable) if size <= self._largest + _HEADER_BYTES else None
        )


def _files(directory: Path) -> Iterator[Path]:
    """The one used last comes last."""
    found: list[tuple[int, Path]] = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            if not entry.is_file(follow_symlinks=False):
                continue
            if entry.name == _UNFINISHED:
                _delete(Path(entry.path))
            elif _NAME.fullmatch(entry.name):
                found.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
    yield from (file for _, file in sorted(found))


def _read(file: Path) -> list[Any] | None:
    """None, and the file is gone, where it is not what was written."""
    try:
        if f"{_digest(file)}.safetensors" == file.name:
            state: list[Any] = load_prompt_cache(str(file))  # type: ignore[no-untyped-call]
            mx.eval([layer.state for layer in state])
            _touch(file, time.time_ns())
            return state
        fault = "its content is not what was written"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the prompt can be read anew
        fault = str(error)
    logger.warning("What was kept of a prompt cannot be used: {}: {}", file.name, fault)
    _delete(file)
    return None


def _delete(file: Path) -> None:
    """If it can be: nothing that goes wrong with what is kept may cost a load, an answer or an unload."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("What was kept of a prompt cannot be deleted: {}", error)


def _touch(file: Path, nanoseconds: int) -> None:
    with contextlib.suppress(OSError):
        os.utime(file, ns=(nanoseconds, nanoseconds))


def _is_storable(state: Sequence[Any]) -> bool:
    """mlx-lm finds a layer's class by its name again, among its own."""
    return all(type(layer).__module__ == cache.__name__ for layer in state)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _key(kept: Kept[Any]) -> bytes:
    return kept.tokens.tobytes()
