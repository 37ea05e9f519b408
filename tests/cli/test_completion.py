"""What a shell is told while somebody types."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HUB = """\
models:
  - {name: alpha, model_path: 'builtin:demo', aliases: [gpt-4o]}
  - {name: beta, model_path: 'builtin:demo'}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "hub.yaml").write_text(HUB)
    return tmp_path


def completed(home: Path, typed: str) -> list[str]:
    words = typed.split(" ")
    environment = os.environ | {
        "MLXHUB_HOME": str(home),
        "_MLXHUB_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    program = "import mlxhub.cli.main as m; m.mlxhub(prog_name='mlxhub')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("mlxhub restart-m", ["restart-model"]),
        ("mlxhub restart-model ", ["alpha", "gpt-4o", "beta"]),
        ("mlxhub restart-model alpha ", ["gpt-4o", "beta"]),
        ("mlxhub chat b", ["beta"]),
        ("mlxhub connect c", ["claude", "codex", "continue"]),
        ("mlxhub models disa", ["disable"]),
        ("mlxhub bench alpha --cha", ["--chart"]),
    ],
)
def test_commands_options_and_models_are_offered(home: Path, typed: str, offered: list[str]) -> None:
    assert completed(home, typed) == offered


def test_without_a_usable_hub_yaml_there_is_nothing_and_no_noise(home: Path) -> None:
    (home / "hub.yaml").write_text("models: [")
    assert completed(home, "mlxhub chat ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_own_part_is_printed(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlxhub", "completion", shell],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"_MLXHUB_COMPLETE={shell}_complete" in done.stdout
