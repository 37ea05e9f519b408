"""A model on disk gets into hub.yaml and out of it, and nothing else of that file changes."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.core.paths import Paths
from mlxhub.errors import ConfigError, MlxhubError, UnknownModel
from mlxhub.files import hub_yaml
from mlxhub.files.hub_yaml import read_hub_yaml
from mlxhub.files.machine import Machine, this_machine
from mlxhub.fleet.catalogue import disable_model, discovered_models, enable_model
from tests.registry.models import demo_copy, say

WRITTEN = """\
# my hub
discovery: {{paths: [{models}]}}
port: 8000   # fixed

models:
  - name: demo   # the small one
    model_path: builtin:demo

# the end
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def machine(paths: Paths, models: Path, tmp_path: Path) -> Machine:
    paths.config.write_text(WRITTEN.format(models=models))
    paths.config.chmod(0o640)
    for name in ("org/Tiny-4bit", "other/Tiny-4bit", "My Model"):
        demo_copy(models / name)
    own = this_machine()
    cache = replace(own.runtime, environment={"HF_HUB_CACHE": str(tmp_path / "cache")})
    return replace(own, paths=paths, runtime=cache)


def text(machine: Machine) -> str:
    return machine.paths.config.read_text()


def test_an_enabled_model_is_an_entry_of_its_own_and_the_rest_stays(machine: Machine, models: Path) -> None:
    before = text(machine)
    enabled = enable_model(machine, str(models / "My Model"))
    assert (enabled.name, enabled.again) == ("my-model", False)
    entry = f"  - name: my-model\n    model_path: {models / 'My Model'}\n"
    assert (
        text(machine)
        .replace(entry, "")
        .splitlines()[7]
        .startswith("  # qwen3, 0.1 M parameters, f16, about ")
    )
    assert [line for line in text(machine).splitlines() if line in before.splitlines()] == before.splitlines()
    assert machine.paths.config.with_name("hub.yaml.before-edit").read_text() == before
    assert machine.paths.config.stat().st_mode & 0o777 == 0o640
    model = read_hub_yaml(machine.paths.config).find("my-model")
    assert model is not None
    assert model.model_path == str(models / "My Model")


def test_a_name_may_be_chosen_and_a_taken_one_gets_a_number(machine: Machine, models: Path) -> None:
    assert enable_model(machine, str(models / "org/Tiny-4bit")).name == "tiny-4bit"
    assert enable_model(machine, str(models / "other/Tiny-4bit")).name == "tiny-4bit-2"
    assert enable_model(machine, str(models / "other/Tiny-4bit"), "second").name == "second"
    with pytest.raises(ConfigError, match="demo"):
        enable_model(machine, str(models / "My Model"), "demo")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("nowhere", "There is no model"),
        ("Tiny-4bit", "can mean .*org/Tiny-4bit or .*other/Tiny-4bit"),
        ("demo", "is in .* already"),
        ("Broken", "cannot be loaded: .*no model"),
        ("Seeing", "which the installed mlx-vlm does not know"),
    ],
)
def test_what_cannot_be_meant_or_loaded_leaves_hub_yaml_alone(
    machine: Machine, models: Path, wanted: str, says: str
) -> None:
    next(demo_copy(models / "Broken").glob("*.safetensors")).unlink()
    say(demo_copy(models / "Seeing"), "config.json", vision_config={}, model_type="no_such_vl")
    before = text(machine)
    with pytest.raises(MlxhubError, match=says):
        enable_model(machine, wanted)
    assert text(machine) == before


def test_one_that_is_there_is_not_enabled_twice_by_mistake(machine: Machine, models: Path) -> None:
    enable_model(machine, "My Model")
    with pytest.raises(MlxhubError, match="already, as my-model"):
        enable_model(machine, str(models / "My Model"))


def test_a_disabled_model_is_a_comment_with_all_its_options_and_comes_back(machine: Machine) -> None:
    before = text(machine)
    disable_model(machine, "demo")
    assert "  # - name: demo   # the small one\n  #   model_path: builtin:demo\n" in text(machine)
    assert read_hub_yaml(machine.paths.config).models == ()
    assert enable_model(machine, "demo").again
    assert text(machine) == before
    with pytest.raises(UnknownModel):
        disable_model(machine, "nobody")


def test_what_a_person_saves_meanwhile_is_not_overwritten(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading it and writing it, as an editor would."""
    write = hub_yaml.write_atomically

    def write_and_save(path: Path, content: bytes, *, mode: int = 0o600) -> None:
        write(path, content, mode=mode)
        if path.name.endswith(".before-edit"):
            machine.paths.config.write_text(f"{text(machine)}# saved by a person\n")

    monkeypatch.setattr(hub_yaml, "write_atomically", write_and_save)
    with pytest.raises(MlxhubError, match="edited by somebody else"):
        enable_model(machine, "My Model")
    assert text(machine).endswith("# saved by a person\n")
    assert "my-model" not in text(machine)


def test_discovery_says_which_are_in_hub_yaml_and_which_fit(machine: Machine, models: Path) -> None:
    enable_model(machine, "My Model")
    config = read_hub_yaml(machine.paths.config)
    found = discovered_models(machine, config, limit_bytes=1_000_000)
    assert found.complete
    assert {Path(model.model_path).name: model.models for model in found.models} == {
        "My Model": ["my-model"],
        "Tiny-4bit": [],
    }
    assert [model.fits for model in found.models] == [False] * 3
    assert [model.fits for model in discovered_models(machine, config, None).models] == [None] * 3
