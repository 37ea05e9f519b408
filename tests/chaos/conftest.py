"""A hub of echoes, small enough to be killed often."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from mlxhub.cli.local_hub import find_machine, open_hub
from tests.chaos.place import ASK_SECONDS, Place
from tests.stories.conftest import LiveHub, make_hub

SCRIPT = "echo: load 0.1, token 0.02, weights 20MB"
# What one reserves with such a script, its process included.
RESERVED_MB = 270
FREE = ("one", "two")
TURNS = ("ping", "pong")


def entry(name: str, more: str = "") -> str:
    return f"{{name: {name}, model_type: echo, model_path: '{SCRIPT}', queue_timeout: 40{more}}}"


@pytest.fixture
def testing_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Nothing is installed yet."""
    hub = replace(make_hub(tmp_path_factory.mktemp("chaos")), testing=True)
    yield hub
    hub.remove()


@pytest.fixture
def place(testing_hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Two take turns in memory, and there is room for two of four."""
    testing_hub.write(
        *(entry(name) for name in FREE),
        *(entry(name, ", group: turns") for name in TURNS),
        groups="[{name: turns, max_loaded: 1, idle_unload_trigger_min: 0}]",
        memory_limit=f"{2 * RESERVED_MB + 1}MB",
    )
    with installed(testing_hub, monkeypatch) as place:
        yield place


@pytest.fixture
def small_place(testing_hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    testing_hub.write(entry("one"))
    with installed(testing_hub, monkeypatch) as place:
        yield place


@contextmanager
def installed(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    hub.ok("install")
    monkeypatch.setenv("MLXHUB_HOME", str(hub.home))
    monkeypatch.setenv("MLXHUB_TESTING", "1")
    machine = find_machine(None)
    ports = {name: model.port for name, model in open_hub(machine).hub.models.items()}
    with httpx.Client(timeout=ASK_SECONDS, trust_env=False, verify=False) as http:
        yield Place(hub, machine, ports, http)
