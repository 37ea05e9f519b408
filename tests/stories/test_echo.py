"""A hub whose models are echoes: real processes from real plists, and no model behind them."""

from collections.abc import Iterator
from dataclasses import replace

import openai
import pytest

from tests.stories.conftest import LiveHub
from tests.stories.test_chat import says

SCRIPT = "echo: token 0.01, fail_load once"
ECHO = f"{{name: m, model_type: echo, model_path: '{SCRIPT}'}}"


@pytest.fixture
def testing_hub(hub: LiveHub) -> Iterator[LiveHub]:
    testing = replace(hub, testing=True)
    yield testing
    testing.remove()


def test_an_install_hands_on_that_something_is_tested(testing_hub: LiveHub) -> None:
    hub = testing_hub
    hub.write(ECHO)
    hub.ok("install")
    with hub.client() as client:
        with pytest.raises(openai.InternalServerError, match="its script says so"):
            client.chat.completions.create(model="m", messages=says("hello"))
        hub.ok("load-model", "m")
        answer = client.chat.completions.create(model="m", messages=says("to be or not"))
    assert answer.choices[0].message.content == "to be or not"
    hub.ok("reload")
    assert hub.model("m")["memory"] == "ready", "the controller knows that word too: nothing restarted"
    assert "echo:" not in hub.run("doctor").stdout, "nothing is missing on disk"


def test_without_that_word_hub_yaml_has_a_fault_and_nothing_is_installed(hub: LiveHub) -> None:
    hub.write(ECHO)
    refused = hub.run("install")
    assert refused.returncode == 1
    assert "'command' (it is 'echo')" in refused.stdout + refused.stderr
    assert hub.processes() == []
