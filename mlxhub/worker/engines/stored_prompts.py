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
from mlx_lm.models.cache import load_prompt_cache, save_prompt_cache

from mlxhub.errors import StateUnwritable
from mlxhub.files.state import make_private_directory
from mlxhub.registry.safetensors_header import header_fault
from mlxhub.worker.engines.prompt_cache import Kept, PromptCache, as_tokens

# By the hash of its content: nothing in a file is believed unless it is as it was written.
_NAME = re.compile(r"[0-9a-f]{64}\.safetensors")
_UNFINISHED = "unfinished.safetensors"
_MOST_FILES = 1024


class StoredPrompts:
    """Of one model, in a directory of their own; on the engine thread.

    Files that are damaged, or that another model or another version wrote, are deleted. So is what no longer
    fits into `most_bytes`, the least recently used first; 0 deletes all.
    """

    def __init__(self, directory: Path, fingerprint: str, most_bytes: int) -> None:
        """`fingerprint`: of everything that what is known of a prompt depends on."""
        self._directory = directory
        self._fingerprint = fingerprint
        self._most_bytes = most_bytes
        self._index: PromptCache[Path] = PromptCache(_MOST_FILES, most_bytes)
        for file in _files(directory):
            described = self._described(file)
            if described is None:
                logger.warning("What was kept of a prompt is not this model's, or damaged: {}", file.name)
                file.unlink(missing_ok=True)
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
        there = {_key(entry): entry for entry in self._index.entries}
        self._drop_all_but({_key(kept) for kept in wanted}, room)
        stored = []
        try:
            for kept in wanted:
                if time.monotonic() > ends:
                    logger.info("Not all that was kept of prompts was written: it took over {:g} s", seconds)
                    break
                stored.append(there.get(_key(kept)) or self._write(kept))
        except (OSError, StateUnwritable, RuntimeError) as error:
            logger.warning("What was kept of prompts could not be written: {}", error)
            (self._directory / _UNFINISHED).unlink(missing_ok=True)
        now = time.time_ns()
        for place, entry in enumerate(reversed(stored), -len(stored)):
            self._index.forget(entry)
            self._add(entry)
            with contextlib.suppress(OSError):
                # One after the other: the system's own clock gives several files the same time.
                used = now + place * 1_000_000
                os.utime(entry.state, ns=(used, used))

    def _fitting(self, entries: Sequence[Kept[Any]]) -> tuple[list[Kept[Any]], int]:
        """What there is space for, the last first, and the space that is left."""
        room, fitting = self._most_bytes, []
        for kept in reversed(entries):
            if kept.state_bytes <= room:
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
            entry.state.unlink(missing_ok=True)

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
            file.unlink(missing_ok=True)

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
            return Kept(as_tokens(tokens), file, file.stat().st_size, cuttable)
        except (OSError, ValueError, KeyError, RuntimeError):
            return None


def _files(directory: Path) -> Iterator[Path]:
    """The one used last comes last."""
    try:
        found = [entry for entry in os.scandir(directory) if entry.is_file(follow_symlinks=False)]
    except OSError:
        return
    for entry in sorted(found, key=lambda entry: entry.stat(follow_symlinks=False).st_mtime_ns):
        if _NAME.fullmatch(entry.name):
            yield Path(entry.path)
        elif entry.name == _UNFINISHED:
            Path(entry.path).unlink(missing_ok=True)


def _read(file: Path) -> list[Any] | None:
    """None, and the file is gone, where it is not what was written."""
    try:
        if f"{_digest(file)}.safetensors" == file.name:
            state: list[Any] = load_prompt_cache(str(file))  # type: ignore[no-untyped-call]
            mx.eval([layer.state for layer in state])
            os.utime(file)
            return state
        fault = "its content is not what was written"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the prompt can be read anew
        fault = str(error)
    logger.warning("What was kept of a prompt cannot be used: {}: {}", file.name, fault)
    file.unlink(missing_ok=True)
    return None


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _key(kept: Kept[Any]) -> bytes:
    return kept.tokens.tobytes()
