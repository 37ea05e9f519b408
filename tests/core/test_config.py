"""hub.yaml: what is right is read, and everything wrong is said with its line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.config import HubConfig, parse_config
from mlxhub.errors import ConfigError, Fault

DEMO = "models:\n  - name: demo\n    model_path: builtin:demo\n"


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    return [str(fault) for fault in caught.value.faults]


def test_defaults_are_filled_in() -> None:
    hub = parse_config(DEMO)
    assert (hub.host, hub.port, hub.model_starting_port) == ("127.0.0.1", 8000, 47850)
    assert hub.models[0].default is True
    assert hub.models[0].auto_unload_minutes == 30


ECHO = "models:\n  - {name: m, model_path: 'echo:', model_type: echo}\n"


def test_the_engine_of_tests_is_as_unknown_as_any_other_type() -> None:
    fault = faults_of(ECHO)[0]
    assert fault.startswith("hub.yaml:2: model_type of model \"m\": input should be 'lm', 'multimodal', ")
    assert fault.endswith("'command' (it is 'echo').")
    assert faults_of(ECHO.replace("type: echo", "type: ecco"))[0].endswith("'command' (it is 'ecco').")
    assert "echo" not in json.dumps(HubConfig.model_json_schema())


def test_where_something_is_tested_an_echo_may_be_named() -> None:
    assert parse_config(ECHO, testing=True).models[0].model_type == "echo"
    with pytest.raises(ConfigError, match=r"'command' \(it is 'ecco'\)"):
        parse_config(ECHO.replace("type: echo", "type: ecco"), testing=True)


def test_a_model_is_found_by_name_and_by_alias() -> None:
    hub = parse_config(DEMO + "    aliases: [gpt-4o-mini]\n")
    assert hub.find("demo") is hub.find("gpt-4o-mini") is hub.models[0]
    assert hub.find("other") is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "hub.yaml: is empty. Write a new one with: mlxhub init --force"),
        ("# only a comment\n", "hub.yaml: is empty. Write a new one with: mlxhub init --force"),
        ("- 1\n", "hub.yaml:1: must be a mapping, as in `port: 8000`."),
        (
            "port: 1\nprot: 2\n",
            'hub.yaml:2: unknown key "prot". See docs/hub-yaml.md for the keys there are.',
        ),
        ("port: 1\nport: 2\n", 'hub.yaml:2: "port" stands here twice (first in line 1). Remove one.'),
        ("port: x\n", "hub.yaml:1: port: input should be a valid integer (it is 'x')."),
        ("port: 0\n", "hub.yaml:1: port: input should be greater than or equal to 1 (it is 0)."),
        (
            "host: 0.0.0.0\n",
            "hub.yaml:1: host: other machines reach this address, so add `api_key: required` "
            "(it is '0.0.0.0').",
        ),
        (
            "models:\n  - {name: controller, model_path: x}\n",
            'hub.yaml:2: name of model "controller": this name is taken by a part of mlxhub itself: '
            "choose another (it is 'controller').",
        ),
        (
            'log_path: "l\\x01"\n',
            "hub.yaml:1: 'l\\x01' has a control character, such as a line break. Take it out.",
        ),
        (
            "models: [a]\n",
            "hub.yaml:1: model no. 1: input should be a mapping, as in `name: value` (it is 'a').",
        ),
        (
            "label_prefix: io.worker.x\n",
            'hub.yaml:1: label_prefix: ".worker." stands between prefix and name of models: leave it out '
            "(it is 'io.worker.x').",
        ),
        ("models:\n  - model_path: x\n", 'hub.yaml:2: "name" is missing of model no. 1.'),
        (
            "models:\n  - name: A b\n    model_path: x\n",
            'hub.yaml:2: "A b" cannot be a model name. Use 1 to 63 of a-z 0-9 . _ -, '
            "beginning with a letter or digit.",
        ),
        (
            DEMO + "    port: 8000\n",
            'hub.yaml:4: the controller and model "demo" both use port 8000. Give one of them another port.',
        ),
        (
            DEMO + "    port: 8101\n  - name: chat\n    model_path: x\n    port: 8101\n",
            'hub.yaml:7: models "demo" and "chat" both use port 8101. Give one of them another port.',
        ),
        (
            DEMO + "  - name: chat\n    model_path: x\n    aliases: [demo]\n",
            'hub.yaml:6: "demo" means model "demo" already. Use another name or alias.',
        ),
        (
            DEMO + "  - name: demo\n    model_path: x\n",
            'hub.yaml:4: "demo" means model "demo" already. Use another name or alias.',
        ),
        (
            DEMO + "    jit: maybe\n",
            "hub.yaml:4: jit of model \"demo\": input should be a valid boolean (it is 'maybe').",
        ),
        (
            DEMO + "    sampling: {temperature: 3}\n",
            'hub.yaml:4: temperature of model "demo": input should be less than or equal to 2 (it is 3).',
        ),
        (
            "groups:\n  - {name: a, max_loaded: 1}\n  - {name: a, max_loaded: 2}\n",
            'hub.yaml:3: there is a group "a" already. Use another name, or remove one.',
        ),
        (
            "groups:\n  - {name: a, max_loaded: 0}\n",
            'hub.yaml:2: max_loaded of group "a": input should be greater than or equal to 1 (it is 0).',
        ),
        ("groups:\n  - {max_loaded: 1}\n", 'hub.yaml:2: "name" is missing of group no. 1.'),
        (
            "groups:\n  - {name: A b, max_loaded: 1}\n",
            'hub.yaml:2: "A b" cannot be a group name. Use 1 to 63 of a-z 0-9 . _ -, '
            "beginning with a letter or digit.",
        ),
        (
            "memory_limit: 48\n",
            "hub.yaml:1: memory_limit: input should be a valid string (it is 48).",
        ),
        (
            "memory_limit: 120%\n",
            "hub.yaml:1: memory_limit: must be auto, a size such as 48GB, or a share such as 75% "
            "(it is '120%').",
        ),
        (
            DEMO + "    memory_limit: 75%\n",
            "hub.yaml:4: memory_limit of model \"demo\": must be a size such as 48GB or 900MB (it is '75%').",
        ),
        (
            DEMO + "    auto_unload_minutes: .nan\n",
            'hub.yaml:4: auto_unload_minutes of model "demo": input should be a finite number (it is nan).',
        ),
    ],
)
def test_one_fault_is_said_with_its_line(text: str, fault: str) -> None:
    assert faults_of(text) == [fault]


def test_every_fault_is_said_at_once_in_the_order_of_lines() -> None:
    text = "prot: 1\nmodels:\n  - name: B!\n    model_path: 7\n    port: 8101\n  - name: c\n    port: 8101\n"
    assert [fault.split(": ")[0] for fault in faults_of(text)] == [
        "hub.yaml:1",
        "hub.yaml:3",
        "hub.yaml:4",
        "hub.yaml:6",
        "hub.yaml:7",
    ]


def test_broken_yaml_names_the_line() -> None:
    assert faults_of("port: 8000\nmodels: [\n")[0].startswith("hub.yaml:3: not valid YAML")


def test_anchors_that_repeat_themselves_are_refused() -> None:
    layers = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert any("too many values" in fault for fault in faults_of("l0: &l0 [x]\n" + layers))


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n"])
def test_an_anchor_that_contains_itself_is_a_fault(text: str) -> None:
    assert any("too deep" in fault for fault in faults_of(text))


def test_a_model_list_without_entries_is_empty() -> None:
    assert parse_config("models:\n").models == ()


@given(st.text(max_size=200))
def test_any_text_gives_a_config_or_faults(text: str) -> None:
    """Any other exception would fail this."""
    outcome: object
    try:
        outcome = parse_config(text)
    except ConfigError as error:
        outcome = error.faults[0]
    assert isinstance(outcome, HubConfig | Fault)
