"""Settings of clients: this hub gets in, and out again, and nothing else changes."""

import json
import tomllib

import pytest
import yaml

from mlxhub.core.client_settings import Client, Offer, connected, disconnected
from mlxhub.core.hub_edit import NotEditable

OFFER = Offer("http://127.0.0.1:8000", None, "qwen", ("demo", "qwen"), 40_960)
CLAUDE = '{"model": "opus", "env": {"ANTHROPIC_MODEL": "mine", "OTHER": "1"}, "hooks": {}}'
CONTINUE = """\
name: Mine
version: 1.0.0
schema: v1
models:
  # the good one
  - name: Sonnet   # paid
    provider: anthropic
    model: sonnet
rules: []
"""


def test_claude_code_gets_the_address_and_the_model_for_every_tier() -> None:
    env = json.loads(connected(Client.CLAUDE, None, OFFER))["env"]
    assert env == {
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:8000",
        "ANTHROPIC_AUTH_TOKEN": "none",
        "ANTHROPIC_MODEL": "qwen",
        "ANTHROPIC_DEFAULT_OPUS_MODEL": "qwen",
        "ANTHROPIC_DEFAULT_SONNET_MODEL": "qwen",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "qwen",
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "40960",
    }


def test_what_else_claude_code_is_told_stays() -> None:
    said = json.loads(connected(Client.CLAUDE, CLAUDE, OFFER))
    assert list(said) == ["model", "env", "hooks"]
    assert said["env"]["OTHER"] == "1"


def test_codex_gets_a_profile_with_the_key_only_where_one_is_needed() -> None:
    profile = tomllib.loads(connected(Client.CODEX, None, OFFER))
    assert (profile["model"], profile["model_provider"], profile["model_context_window"]) == (
        "qwen",
        "mlxhub",
        40_960,
    )
    assert profile["model_providers"]["mlxhub"] == {
        "name": "mlxhub",
        "base_url": "http://127.0.0.1:8000/v1",
        "wire_api": "responses",
    }
    keyed = tomllib.loads(connected(Client.CODEX, None, Offer("http://h", 'a"b', "m", ("m",))))
    assert keyed["model_providers"]["mlxhub"]["experimental_bearer_token"] == 'a"b'
    assert "model_context_window" not in keyed


@pytest.mark.parametrize("before", [None, "", CONTINUE], ids=["no file", "an empty one", "some models"])
def test_continue_gets_every_model(before: str | None) -> None:
    after = connected(Client.CONTINUE, before, OFFER)
    models = yaml.safe_load(after)["models"]
    ours = [model for model in models if model["provider"] == "openai"]
    assert [(model["name"], model["model"], model["apiBase"]) for model in ours] == [
        ("demo (mlxhub)", "demo", "http://127.0.0.1:8000/v1"),
        ("qwen (mlxhub)", "qwen", "http://127.0.0.1:8000/v1"),
    ]
    if before:
        assert [line for line in after.splitlines() if line in CONTINUE.splitlines()] == CONTINUE.splitlines()


@pytest.mark.parametrize("client", [Client.CLAUDE, Client.CODEX, Client.CONTINUE])
@pytest.mark.parametrize("before", [None, "there"], ids=["no file", "a file"])
def test_out_again_as_before(client: Client, before: str | None) -> None:
    there = {Client.CLAUDE: CLAUDE, Client.CONTINUE: CONTINUE}.get(client, "# mine\n")
    text = None if before is None else there
    after = connected(client, text, OFFER)
    assert disconnected(client, after, text, after) == text


def test_what_claude_code_wrote_meanwhile_stays() -> None:
    after = connected(Client.CLAUDE, CLAUDE, OFFER)
    said = json.loads(after)
    said["theme"] = "dark"
    said["env"] |= {"ANTHROPIC_BASE_URL": "http://elsewhere", "NEW": "2"}
    left = disconnected(Client.CLAUDE, json.dumps(said), CLAUDE, after)
    assert left is not None
    assert json.loads(left) == {
        "model": "opus",
        "env": {
            "ANTHROPIC_MODEL": "mine",
            "OTHER": "1",
            "ANTHROPIC_BASE_URL": "http://elsewhere",
            "NEW": "2",
        },
        "hooks": {},
        "theme": "dark",
    }


def test_an_environment_that_was_ours_alone_goes() -> None:
    after = connected(Client.CLAUDE, "{}", OFFER)
    said = json.loads(after) | {"theme": "dark"}
    left = disconnected(Client.CLAUDE, json.dumps(said), "{}", after)
    assert left is not None
    assert json.loads(left) == {"theme": "dark"}


def test_what_somebody_wrote_into_continues_settings_meanwhile_stays() -> None:
    after = connected(Client.CONTINUE, CONTINUE, OFFER)
    edited = after.replace("# the good one", "# the better one")
    left = disconnected(Client.CONTINUE, edited, CONTINUE, after)
    assert left == CONTINUE.replace("# the good one", "# the better one")


def test_a_profile_that_somebody_edited_is_theirs() -> None:
    after = connected(Client.CODEX, None, OFFER)
    with pytest.raises(NotEditable, match="changed since"):
        disconnected(Client.CODEX, after + "# mine\n", None, after)


@pytest.mark.parametrize(
    ("client", "text", "reason"),
    [
        (Client.CLAUDE, "{", "not valid JSON"),
        (Client.CLAUDE, "[]", "no JSON object"),
        (Client.CLAUDE, '{"env": []}', '"env" is no object'),
        (Client.CONTINUE, "models: [", "not valid YAML"),
        (Client.CONTINUE, "models: [{name: a}]", "brackets"),
        (Client.CONTINUE, "models:\n  - name: qwen (mlxhub)\n", "already"),
        (Client.OPENWEBUI, None, "database"),
    ],
)
def test_what_cannot_be_edited_is_left_alone(client: Client, text: str | None, reason: str) -> None:
    with pytest.raises(NotEditable, match=reason):
        connected(client, text, OFFER)
