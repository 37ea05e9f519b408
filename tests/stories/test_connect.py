"""Clients that are told of a hub, and no longer when it goes."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.stories.conftest import LiveHub

DEMO = "{name: demo, model_path: 'builtin:demo'}"
BEFORE = '{"theme": "dark"}'


@pytest.fixture
def claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "codex"))
    settings = tmp_path / "claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(BEFORE)
    return settings


def test_claude_code_is_told_and_an_uninstall_puts_it_back(hub: LiveHub, claude: Path) -> None:
    hub.write(DEMO)
    hub.ok("install")
    said = hub.run("connect", "claude")
    assert "holds 2,048 tokens, fewer than claude begins with" in said.stderr
    assert f"Wrote {claude}. Start it with: claude" in said.stdout
    told = json.loads(claude.read_text())
    assert (told["theme"], told["env"]["ANTHROPIC_BASE_URL"]) == ("dark", hub.url)
    assert told["env"]["ANTHROPIC_MODEL"] == "demo"
    assert f"{claude} no longer names this hub" in hub.ok("uninstall")
    assert claude.read_text() == BEFORE


def test_a_hub_that_needs_a_key_gives_it_and_undo_takes_it_back(
    hub: LiveHub, claude: Path, tmp_path: Path
) -> None:
    hub.write(DEMO, DEMO.replace("demo,", "other,"), api_key="required")
    hub.ok("install")
    key = hub.ok("keys", "show").strip()
    refused = hub.run("connect", "codex")
    assert (refused.returncode, "one of: demo, other" in refused.stderr) == (2, True)
    hub.ok("connect", "codex", "--model", "other")
    profile = tmp_path / "codex" / "mlxhub.config.toml"
    provider = tomllib.loads(profile.read_text())["model_providers"]["mlxhub"]
    assert provider["experimental_bearer_token"] == key
    assert profile.stat().st_mode & 0o077 == 0
    assert "settings of codex may have the old key" in hub.run("keys", "rotate").stderr
    hub.ok("connect", "codex", "--model", "other")
    key = hub.ok("keys", "show").strip()
    assert key in profile.read_text()
    hub.ok("connect", "codex", "--undo")
    assert not profile.exists()
    assert json.loads(hub.ok("env", "--json"))["OPENAI_API_KEY"] == key
    assert f"set -gx OPENAI_BASE_URL {hub.url}/v1" in hub.ok("env", "--shell", "fish")
    assert f"export ANTHROPIC_BASE_URL={hub.url}" in hub.ok("env", "--shell", "zsh")
    assert "Nothing was written" in hub.ok("connect", "claude", "--undo")
    assert f"OPENAI_API_BASE_URL={hub.url}/v1" in hub.ok("connect", "openwebui")


def test_bench_measures_and_draws(demo_hub: LiveHub, tmp_path: Path) -> None:
    chart = tmp_path / "speed.svg"
    said = demo_hub.ok("bench", "demo", "--streams", "1,2", "--runs", "1", "--json", "--chart", str(chart))
    speeds = json.loads(said)["speeds"]
    assert [speed["streams"] for speed in speeds] == [1, 2]
    assert all(speed["tokens_per_second"] > 0 and speed["first_seconds"] > 0 for speed in speeds)
    assert all(speed["answer_tokens"] > 1 and speed["prompt_tokens"] > 100 for speed in speeds)
    assert "<svg" in chart.read_text()
    png = tmp_path / "speed.png"
    table = demo_hub.ok("bench", "demo", "--streams", "1", "--runs", "1", "--direct", "--chart", str(png))
    assert "TOKENS/S EACH" in table
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--streams", "1,x"], "no numbers with commas"),
        (["--streams", "0"], "from 1 to 256"),
        (["--chart", "speed.txt"], "a .png or an .svg"),
        (["--chart", "/nowhere/speed.svg"], "/nowhere is no directory"),
        (["--words", "3000", "--runs", "1"], "context length"),
    ],
)
def test_bench_says_what_is_wrong(demo_hub: LiveHub, arguments: list[str], said: str) -> None:
    refused = demo_hub.run("bench", "demo", *arguments)
    assert refused.returncode in (1, 2)
    assert said in refused.stderr
