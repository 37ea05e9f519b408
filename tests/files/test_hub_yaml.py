"""hub.yaml on disk, and promises that outlive it."""

import json
import os
import plistlib
import socket
from pathlib import Path

import psutil
import pytest

from mlxhub.core.paths import Paths
from mlxhub.errors import ConfigError, StateUnreadable
from mlxhub.files import hub_yaml
from mlxhub.files.hub_yaml import known_ports, missing_models, promised_ports, read_hub_yaml
from mlxhub.files.manifest import record
from mlxhub.files.ports import is_free, port_holder


def write(paths: Paths, *names: str, start: int = 20_000) -> None:
    models = "".join(f"  - {{name: {name}, model_path: builtin:demo}}\n" for name in names)
    paths.config.write_text(f"model_starting_port: {start}\nmodels:\n{models}")


def test_a_missing_file_says_how_to_get_one(paths: Paths) -> None:
    with pytest.raises(ConfigError, match=r"does not exist\. Write one with: mlxhub init"):
        read_hub_yaml(paths.config)


def test_a_directory_and_bytes_that_are_no_text_are_faults(paths: Paths) -> None:
    paths.config.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_hub_yaml(paths.config)
    paths.config.rmdir()
    paths.config.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_hub_yaml(paths.config)


def test_ports_are_kept_when_models_come_and_go(paths: Paths) -> None:
    write(paths, "a", "b")
    first = promised_ports(read_hub_yaml(paths.config), paths)
    write(paths, "c", "b")
    second = promised_ports(read_hub_yaml(paths.config), paths)
    assert second["b"] == first["b"]
    assert second["c"] not in first.values()
    assert json.loads(paths.ports.read_text()) == first | second


def test_lost_promises_are_read_from_the_plists(paths: Paths) -> None:
    write(paths, "a", "b")
    promised = promised_ports(read_hub_yaml(paths.config), paths)
    paths.agents.mkdir()
    for name, port in promised.items():
        plist = paths.plist(f"io.mlxhub.worker.{name}")
        arguments = ["mlxhub-worker", "worker", "--settings", json.dumps({"name": name, "port": port})]
        content = plistlib.dumps({"Label": plist.stem, "ProgramArguments": arguments})
        record(paths, plist, content, label=plist.stem)
        plist.write_bytes(content)
    paths.ports.unlink()
    with socket.create_server(("127.0.0.1", promised["a"])):  # our worker, which runs
        assert known_ports(read_hub_yaml(paths.config), paths) == promised
        assert promised_ports(read_hub_yaml(paths.config), paths) == promised
    assert json.loads(paths.ports.read_text()) == promised


def test_a_state_file_that_is_no_file_is_named_and_not_waited_for(paths: Paths) -> None:
    write(paths, "a")
    paths.state.mkdir()
    os.mkfifo(paths.ports)
    with pytest.raises(StateUnreadable, match="not a file"):
        known_ports(read_hub_yaml(paths.config), paths)


def test_a_new_promise_avoids_a_port_that_is_held_and_an_old_one_stays(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        held = stranger.getsockname()[1]
        write(paths, "a", start=held)
        assert promised_ports(read_hub_yaml(paths.config), paths)["a"] != held
        paths.ports.write_text(json.dumps({"a": held}))
        assert promised_ports(read_hub_yaml(paths.config), paths) == {"a": held}


def test_the_holder_of_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        holder = port_holder(port)
        assert holder is not None
        assert holder.pid == os.getpid()
        assert holder.command
        assert " ".join(psutil.Process().cmdline()).startswith(holder.command)
    assert is_free(port)


def test_a_model_directory_that_is_not_there_is_warned_of(paths: Paths) -> None:
    paths.config.write_text(
        "models:\n"
        "  - {name: a, model_path: /nowhere/at/all}\n"
        "  - {name: b, model_path: ./beside}\n"
        "  - {name: c, model_path: org/repo}\n"
    )
    (paths.config.parent / "beside").mkdir()
    warnings = missing_models(read_hub_yaml(paths.config), paths, Path("/home/ann"))
    assert warnings == [
        'model "a": there is no directory /nowhere/at/all. It cannot be loaded until there is one.'
    ]


def test_a_disk_that_does_not_answer_in_time_is_warned_of(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.config.write_text("models:\n  - {name: a, model_path: /}\n")
    monkeypatch.setattr(hub_yaml, "DIRECTORY_SECONDS", 0.0)
    assert missing_models(read_hub_yaml(paths.config), paths, Path("/home/ann")) == [
        'model "a": looking for / did not end within 0 s. Is its disk attached?'
    ]


@pytest.mark.parametrize("damaged", ['{"a": 99999999}', '{"a": -1}', '{"a": 20001, "b": 20001}', "{"])
def test_damaged_promises_are_named_with_their_file(paths: Paths, damaged: str) -> None:
    write(paths, "a", "b")
    paths.state.mkdir()
    paths.ports.write_text(damaged)
    with pytest.raises(StateUnreadable, match=r"ports\.json cannot be read"):
        promised_ports(read_hub_yaml(paths.config), paths)
