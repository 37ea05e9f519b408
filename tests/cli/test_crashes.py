"""`mlxhub crashes` tells what it knows also where hub.yaml has faults."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlxhub.cli.main import mlxhub
from mlxhub.core.restarts import Run
from mlxhub.errors import ConfigError
from mlxhub.files.generations import remember
from mlxhub.files.machine import this_machine
from mlxhub.files.runs import write_runs

APPLIED = "log_path: {logs}\nmodels:\n  - {{name: m, model_path: 'builtin:demo'}}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLXHUB_HOME", str(tmp_path))
    monkeypatch.setenv("MLXHUB_LAUNCHCTL", "/nowhere/launchctl")
    return tmp_path


def test_with_faults_in_hub_yaml_the_hub_last_applied_is_told_of(home: Path) -> None:
    paths = this_machine().paths
    remember(paths, APPLIED.format(logs=home / "elsewhere"), {}, good=True, time=time.time())
    paths.config.write_text("modles: []\n")
    (home / "elsewhere").mkdir()
    (home / "elsewhere" / "m.log").write_text("its last line\n")
    now = time.time()
    write_runs(paths.run_files("m"), (Run(5, now - 9, now - 7, "exit 70", "wedged", exact=True),))

    done = CliRunner().invoke(mlxhub, ["crashes", "--json"], catch_exceptions=False)

    assert done.exit_code == 0
    controller, model = json.loads(done.stdout)["processes"]
    assert (controller["name"], controller["deaths"]) == ("controller", [])
    assert (model["name"], model["deaths"][0]["reason"], model["log"]) == ("m", "wedged", ["its last line"])
    assert "[warn] " in done.stderr
    assert 'unknown key "modles"' in done.stderr


def test_before_anything_was_applied_the_faults_are_all_there_is(home: Path) -> None:
    (home / "hub.yaml").write_text("modles: []\n")
    done = CliRunner().invoke(mlxhub, ["crashes"])
    assert isinstance(done.exception, ConfigError)
