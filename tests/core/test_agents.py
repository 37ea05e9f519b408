"""Plists: the golden ones are exactly what docs/hub.example.yaml installs for Ann on her Mac."""

import plistlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.core.agents import RenderedAgent, Runtime, render_hub, worker_settings
from mlxhub.core.config import HubConfig, parse_config
from mlxhub.core.paths import Paths
from mlxhub.core.ports import assign_ports

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "launchd"
HOME = Path("/Users/ann")
SUPPORT = HOME / "Library/Application Support/mlxhub"
PATHS = Paths(
    config=SUPPORT / "hub.yaml",
    state=SUPPORT / "state",
    logs=HOME / "Library/Logs/mlxhub",
    agents=HOME / "Library/LaunchAgents",
    programs=SUPPORT / "bin",
    supervisor=SUPPORT / "launchd",
)
RUNTIME = Runtime(
    python=str(SUPPORT / "env/bin/python"),
    environment={
        "HOME": str(HOME),
        "PATH": "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "en_US.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    },
    build="golden",
)


def agents_of(config: HubConfig) -> dict[str, RenderedAgent]:
    return render_hub(config, assign_ports(config, {}, lambda _port: True), PATHS, RUNTIME)


@pytest.fixture(scope="module")
def example() -> HubConfig:
    return parse_config((ROOT / "docs/hub.example.yaml").read_text())


def test_golden_plists_are_what_the_example_installs(example: HubConfig) -> None:
    golden = {path.stem: path.read_bytes() for path in GOLDEN.glob("*.plist")}
    assert {label: agent.plist for label, agent in agents_of(example).items()} == golden


def test_golden_plists_are_accepted_by_an_independent_reader() -> None:
    """Apple's plutil on a Mac; elsewhere plistutil of libplist, which scripts/test asks for."""
    plutil = shutil.which("plutil") if Path("/usr/bin/plutil").exists() else None
    for path in GOLDEN.glob("*.plist"):
        command = [plutil, "-lint", str(path)] if plutil else ["plistutil", "-i", str(path), "-f", "xml"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        assert plutil or path.stem in done.stdout


def test_eager_agents_start_and_restart_and_lazy_ones_do_neither(example: HubConfig) -> None:
    starts = {
        label: (plist.get("RunAtLoad"), plist.get("KeepAlive"))
        for label, agent in agents_of(example).items()
        for plist in [plistlib.loads(agent.plist)]
    }
    eager = (True, {"SuccessfulExit": False})
    assert starts == {
        "io.mlxhub.controller": eager,
        "io.mlxhub.worker.demo": eager,
        "io.mlxhub.worker.qwen3-4b": eager,
        "io.mlxhub.worker.coder": (None, None),
    }


def test_the_generation_is_in_the_arguments_and_changes_with_any_setting(example: HubConfig) -> None:
    before = agents_of(example)["io.mlxhub.worker.demo"]
    demo = example.models[0].model_copy(update={"jit": False})
    after = agents_of(example.model_copy(update={"models": (demo, *example.models[1:])}))
    assert plistlib.loads(before.plist)["ProgramArguments"][-2:] == ["--generation", before.generation]
    assert after["io.mlxhub.worker.demo"].generation != before.generation
    assert after["io.mlxhub.worker.coder"] == agents_of(example)["io.mlxhub.worker.coder"]


def test_another_build_restarts_every_agent(example: HubConfig) -> None:
    ports = assign_ports(example, {}, lambda _port: True)
    before = render_hub(example, ports, PATHS, RUNTIME)
    after = render_hub(example, ports, PATHS, replace(RUNTIME, build="next"))
    assert all(before[label].plist != after[label].plist for label in before)


def test_agents_start_through_a_launcher_of_their_own_name(example: HubConfig) -> None:
    begin = {
        label: plistlib.loads(agent.plist)["ProgramArguments"][:3]
        for label, agent in agents_of(example).items()
        if label in ("io.mlxhub.controller", "io.mlxhub.worker.demo")
    }
    assert begin == {
        "io.mlxhub.controller": [
            f"{SUPPORT}/bin/mlxhub-controller",
            f"{SUPPORT}/state/parked/controller.txt",
            f"{SUPPORT}/env/bin/python",
        ],
        "io.mlxhub.worker.demo": [
            f"{SUPPORT}/bin/mlxhub-worker",
            f"{SUPPORT}/state/parked/demo.txt",
            f"{SUPPORT}/env/bin/python",
        ],
    }


def test_homes_and_relative_paths_are_expanded(example: HubConfig) -> None:
    plist = plistlib.loads(agents_of(example)["io.mlxhub.worker.coder"].plist)
    assert "/Users/ann/models/coder" in plist["ProgramArguments"][-3]
    assert all("~" not in argument for argument in plist["ProgramArguments"])


def test_all_that_a_model_names_becomes_an_absolute_path() -> None:
    config = parse_config(
        "models:\n  - name: a\n    model_path: ./a\n    draft_model: ~/small\n    adapter_path: lora\n"
        "    chat_template_file: ../mine.jinja\n  - {name: b, model_path: org/repo, draft_model: org/small}\n"
    )
    settings = [worker_settings(config, model, 9000, PATHS, HOME) for model in config.models]
    assert settings[0].model_path == str(PATHS.config.parent / "a")
    assert settings[0].draft_model == str(HOME / "small")
    assert settings[0].adapter_path == str(PATHS.config.parent / "lora")
    assert settings[0].chat_template_file == str(PATHS.config.parent / "../mine.jinja")
    assert (settings[1].model_path, settings[1].draft_model) == ("org/repo", "org/small")
    assert settings[1].adapter_path is None
