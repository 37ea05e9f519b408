"""Keys that differ between two plists, in the words of hub.yaml."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.agents import Runtime, render_hub
from mlxhub.core.config import HubConfig, parse_config
from mlxhub.core.differences import KeyChange, changed_keys, port_of
from mlxhub.core.paths import Paths

RUNTIME = Runtime(python="/env/bin/python", environment={"HOME": "/home/u"}, build="b1")
PATHS = Paths(*(Path("/hub") / name for name in ("hub.yaml", "state", "logs", "agents", "bin", "launchd")))
MODEL = "models: [{name: a, model_path: /m/a, port: 9001, queue_size: 5}]"


def plists(text: str, runtime: Runtime = RUNTIME) -> dict[str, bytes]:
    config: HubConfig = parse_config(text)
    agents = render_hub(config, {"a": 9001}, PATHS, runtime)
    return {label.removeprefix("io.mlxhub."): agent.plist for label, agent in agents.items()}


def changed(text: str, label: str = "worker.a") -> tuple[KeyChange, ...]:
    return changed_keys(plists(MODEL)[label], plists(text)[label])


def test_equal_plists_differ_in_nothing() -> None:
    assert changed(MODEL) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MODEL.replace("5", "6"), [KeyChange("queue_size", "5", "6")]),
        (MODEL.replace(", queue_size: 5", ""), [KeyChange("queue_size", "5", "100")]),
        (MODEL.replace("/m/a", "/m/b"), [KeyChange("model_path", "/m/a", "/m/b")]),
        (MODEL.replace("5}", "5, default: false}"), [KeyChange("default", "true", "false")]),
        (MODEL.replace("5}", "5, sampling: {top_k: 3}}"), [KeyChange("sampling.top_k", "null", "3")]),
        (MODEL.replace("5}", "5, aliases: [b]}"), [KeyChange("aliases", "[]", '["b"]')]),
        (
            MODEL.replace("5}", "5, auto_unload_minutes: null, preload: true}"),
            [KeyChange("preload", "false", "true"), KeyChange("auto_unload_minutes", "30", "null")],
        ),
    ],
)
def test_settings_are_named_as_in_hub_yaml_defaults_included(text: str, expected: list[KeyChange]) -> None:
    assert set(changed(text)) == set(expected)


def test_the_controllers_options_are_keys_too() -> None:
    assert changed(f"port: 9000\nlog_level: DEBUG\n{MODEL}", "controller") == (
        KeyChange("port", "8000", "9000"),
        KeyChange("log_level", "INFO", "DEBUG"),
    )


def test_another_build_of_the_same_settings_is_code() -> None:
    new = plists(MODEL, Runtime(RUNTIME.python, RUNTIME.environment, build="b2"))["worker.a"]
    assert changed_keys(plists(MODEL)["worker.a"], new) == (KeyChange("code"),)


def test_the_environment_is_compared_by_name() -> None:
    environment = {"HOME": "/home/u", "HF_HOME": "/big"}
    new = plists(MODEL, Runtime(RUNTIME.python, environment, "b1"))["worker.a"]
    assert changed_keys(plists(MODEL)["worker.a"], new) == (KeyChange("environment HF_HOME", None, "/big"),)


@given(st.binary())
def test_whatever_lies_there_is_compared(before: bytes) -> None:
    """Somebody's editor may have left anything."""
    assert changed_keys(before, plists(MODEL)["worker.a"]) == (KeyChange("definition"),)


def test_the_port_of_a_worker_and_of_the_controller_is_found() -> None:
    assert (port_of(plists(MODEL)["worker.a"]), port_of(plists(MODEL)["controller"])) == (9001, 8000)
    assert port_of(b"no plist") is None
