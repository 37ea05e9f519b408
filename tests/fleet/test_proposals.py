"""A first hub.yaml has what of this machine's models fits into its memory."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.cli.initial import initial_hub_yaml
from mlxhub.core.config import DiscoveryConfig, HubConfig, parse_config
from mlxhub.core.paths import Paths
from mlxhub.files.machine import Machine, this_machine
from mlxhub.fleet.catalogue import enable_model
from mlxhub.fleet.proposals import Proposal, propose_models
from tests.registry.models import demo_copy, say

ROOM = 400_000_000


@pytest.fixture
def machine(paths: Paths, tmp_path: Path) -> Machine:
    own = this_machine()
    cache = replace(own.runtime, environment={"HF_HUB_CACHE": str(tmp_path / "cache")})
    return replace(own, paths=paths, runtime=cache)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def proposed(machine: Machine, models: Path, limit: int | None = ROOM) -> list[Proposal]:
    config = HubConfig(discovery=DiscoveryConfig(paths=(str(models),)))
    return propose_models(machine, config, limit)


def test_what_fits_is_on_with_what_it_is(machine: Machine, models: Path) -> None:
    demo_copy(models / "Tiny-4bit")
    [proposal] = proposed(machine, models)
    assert (proposal.name, proposal.is_on) == ("tiny-4bit", True)
    assert proposal.model_path == str(models / "Tiny-4bit")
    assert proposal.comment.startswith("qwen3, 0.1 M parameters, f16, about ")


def test_what_does_not_fit_or_cannot_be_loaded_is_not_proposed(machine: Machine, models: Path) -> None:
    demo_copy(models / "large")
    say(demo_copy(models / "code"), "config.json", auto_map={"AutoModel": "own.Model"})
    (demo_copy(models / "broken") / "config.json").write_text("{")
    assert [proposal.name for proposal in proposed(machine, models)] == ["large"]
    assert proposed(machine, models, 1_000_000) == []


def test_beyond_eight_they_are_comments_that_can_be_put_back(machine: Machine, models: Path) -> None:
    for number in range(10):
        demo_copy(models / f"m{number}")
    proposals = proposed(machine, models)
    assert [proposal.is_on for proposal in proposals] == [True] * 8 + [False] * 2
    text = initial_hub_yaml(lambda _port: True, "all of it", proposals)
    assert len(parse_config(text, source="hub.yaml").models) == 9
    machine.paths.config.write_text(text)
    off = proposals[-1].name
    assert enable_model(machine, off).again
    written = parse_config(machine.paths.config.read_text(), source="hub.yaml")
    assert written.models[-1].name == off


def test_names_are_never_the_same(machine: Machine, models: Path) -> None:
    for owner in ("a", "b", "c"):
        demo_copy(models / owner / "Same Name")
    assert sorted(proposal.name for proposal in proposed(machine, models)) == [
        "same-name",
        "same-name-2",
        "same-name-3",
    ]
