"""A model of this hub is not removed from under it."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.core.agents import render_hub
from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.paths import Paths
from mlxhub.errors import PullFailed
from mlxhub.files.machine import Machine, this_machine
from mlxhub.files.manifest import record
from mlxhub.fleet.pulls import remove_model


@pytest.fixture
def machine(paths: Paths, tmp_path: Path) -> Machine:
    own = this_machine()
    runtime = replace(
        own.runtime, environment={"HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "cache")}
    )
    return replace(own, paths=paths, home=tmp_path, runtime=runtime)


def refused(machine: Machine, repo: str = "org/tiny") -> PullFailed:
    with pytest.raises(PullFailed) as failed:
        remove_model(machine, repo, {})
    return failed.value


@pytest.mark.parametrize(
    "entry",
    [
        "model_path: org/tiny",
        "model_path: ~/cache/models--org--tiny/snapshots/abc",
        "model_path: org/large, draft_model: org/tiny",
    ],
)
def test_a_model_of_hub_yaml_stays(machine: Machine, entry: str) -> None:
    machine.paths.config.write_text(f"models:\n  - {{name: alpha, {entry}}}\n")
    failed = refused(machine)
    assert failed.code == "in_use"
    assert "in hub.yaml as alpha. First: mlxhub models disable alpha" in str(failed)


def test_a_model_that_hub_yaml_names_no_more_and_a_worker_still_has_stays(machine: Machine) -> None:
    machine.paths.config.write_text("models: []\n")
    config = HubConfig(models=(ModelConfig(name="alpha", model_path="org/tiny"),))
    rendered = render_hub(config, {"alpha": 47850}, machine.paths, machine.runtime)
    agent = next(agent for label, agent in rendered.items() if label.endswith(".alpha"))
    plist = machine.paths.plist(agent.label)
    plist.parent.mkdir()
    machine.paths.state.mkdir()
    record(machine.paths, plist, agent.plist, label=agent.label)
    plist.write_bytes(agent.plist)
    failed = refused(machine)
    assert (failed.code, "is still what alpha serves" in str(failed)) == ("in_use", True)


@pytest.mark.parametrize("place", ["/models/tiny", "~/models/tiny", "./tiny"])
def test_a_directory_of_the_users_own_is_never_deleted(machine: Machine, place: str) -> None:
    assert "mlxhub deletes from the cache only" in str(refused(machine, place))
