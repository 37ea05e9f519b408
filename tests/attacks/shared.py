"""One hub for all processes of a test run: installing it takes longer than most attacks on it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from mlxhub.files.locks import hold_lock
from tests.stories.conftest import LiveHub

START_SECONDS = 180


@dataclass(frozen=True)
class _Shared:
    home: Path
    port: int
    first_port: int
    prefix: str
    users: int


_SHARED = TypeAdapter(_Shared)


@contextlib.contextmanager
def shared_hub(directory: Path, start: Callable[[Path], LiveHub]) -> Iterator[LiveHub]:
    """The first who comes starts it, the last who leaves removes it; who comes later starts another one."""
    file = directory / "hub.json"
    with _alone(directory):
        if file.exists():
            known = _SHARED.validate_json(file.read_bytes())
            hub = LiveHub(known.home, known.port, known.first_port, known.prefix)
        else:
            hub = start(directory)
        _add_users(file, hub, 1)
    try:
        yield hub
    finally:
        with _alone(directory):
            if _add_users(file, hub, -1) == 0:
                file.unlink()
                hub.remove()


def place_of(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A directory that all processes of this run mean by this name."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "attacks" / name


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    with hold_lock(directory / "hub.lock", seconds=START_SECONDS):
        yield


def _add_users(file: Path, hub: LiveHub, change: int) -> int:
    before = _SHARED.validate_json(file.read_bytes()).users if file.exists() else 0
    now = _Shared(hub.home, hub.port, hub.first_port, hub.prefix, before + change)
    file.write_bytes(_SHARED.dump_json(now))
    return now.users
