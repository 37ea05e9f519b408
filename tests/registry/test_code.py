"""Attack lines A36 and A40: nothing that a model brings is run, by whatever name it asks for it."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from mlxhub.errors import LoadFailed
from mlxhub.registry.intake import check_model
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions
from tests.registry.models import say, why_refused

SETTINGS = (
    "config.json",
    "tokenizer_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "generation_config.json",
    "config.4.0.0.json",
    "special_tokens_map.json",
    "sub/config.json",
)
ASKS: tuple[dict[str, Any], ...] = (
    {"model_file": "x.py"},
    {"auto_map": {"AutoConfig": "x.Config", "AutoTokenizer": [None, "x.Tokenizer"]}},
    {"auto_map": ["x.Tokenizer", None]},
    {"text_config": {"deeper": [{"auto_map": {"AutoModel": "org/other--x.Model"}}]}},
    {"text_config": {"model_file": "x.py"}},
)


def load(directory: Path, *, trust_remote_code: bool = False) -> None:
    engine = TextEngine(
        TextEngineOptions("m", str(directory), 2, Prefill(512, 512), trust_remote_code=trust_remote_code)
    )
    try:
        engine.load()
    finally:
        engine.unload()


def leave_canary(directory: Path) -> Path:
    """x.py builds a good model, and leaves the canary behind when it is run."""
    canary = directory.parent / "canary"
    (directory / "x.py").write_text(
        f"from pathlib import Path\nPath({str(canary)!r}).touch()\n"
        "from mlx_lm.models.qwen3 import Model, ModelArgs\n"
    )
    return canary


@pytest.mark.parametrize("asked", ASKS, ids=lambda asked: json.dumps(asked)[:40])
@pytest.mark.parametrize("file", SETTINGS)
def test_a36_settings_that_ask_for_code_are_refused(model: Path, file: str, asked: dict[str, Any]) -> None:
    say(model, file, **asked)
    key = "auto_map" if "auto_map" in json.dumps(asked) else "model_file"
    assert why_refused(model).startswith(
        f'{file} asks for code of its own to be run ("{key}"). Remove that key'
    )


def test_a36_a_name_in_capitals_hides_nothing(model: Path) -> None:
    """A Mac's disk gives it to whoever asks for tokenizer_config.json."""
    (model / "tokenizer_config.json").unlink()
    say(model, "Tokenizer_Config.JSON", auto_map={})
    assert "Tokenizer_Config.JSON asks for code of its own" in why_refused(model)


@pytest.mark.parametrize("asked", ASKS, ids=lambda asked: json.dumps(asked)[:40])
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a36_a_load_runs_no_code_of_the_model(model: Path, file: str, asked: dict[str, Any]) -> None:
    canary = leave_canary(model)
    say(model, file, **asked)
    with pytest.raises(LoadFailed) as failed:
        load(model)
    assert not canary.exists()
    assert "x.py would be run as code. Delete it" in failed.value.reason
    assert str(model) not in str(failed.value)


def test_a36_the_canary_does_sing_where_a_person_trusts_the_model(model: Path) -> None:
    canary = leave_canary(model)
    say(model, "config.json", model_file="x.py", model_type="of its own")
    with pytest.raises(LoadFailed, match="not a plain name"):
        load(model, trust_remote_code=True)
    say(model, "config.json", model_type="own")
    load(model, trust_remote_code=True)
    assert canary.exists()


@pytest.mark.parametrize(
    "name",
    [
        "modeling_x.py",
        "sub/x.py",
        "x.PY",
        "x.pyc",
        "x.so",
        "x.cpython-311-darwin.so",
        "libx.so.1.2",
        "x.dylib",
        "x.pyd",
        "x.whl",
        "x.egg",
        ".hidden.py",
    ],
)
def test_a36_code_is_refused_by_its_name(model: Path, name: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).touch()
    assert why_refused(model).startswith(f"{name} would be run as code. Delete it")
    check_model(model, trust_remote_code=True)


@pytest.mark.parametrize("key", ["model_type", "chat_template_type", "tool_parser_type"])
@pytest.mark.parametrize("name", ["../x", "a/b", "os;x", "a b", ["x"], 5, "x" * 101, "é"])
def test_a36_what_is_imported_by_name_is_a_plain_name(model: Path, key: str, name: Any) -> None:
    file = "config.json" if key == "model_type" else "tokenizer_config.json"
    say(model, file, **{key: name})
    assert f'{file}: "{key}" is not a plain name' in why_refused(model)
    assert f'{file}: "{key}" is not a plain name' in why_refused(model, trust_remote_code=True)


@pytest.mark.parametrize("model_type", ["no_such_model", "mlx_lm.utils", "..utils", None, ""])
def test_a36_a_model_type_that_mlx_lm_does_not_have_is_refused(model: Path, model_type: str | None) -> None:
    say(model, "config.json", model_type=model_type)
    why = f'says model_type "{model_type}", which the installed mlx-lm' if model_type else "does not say its"
    assert f"config.json {why}" in why_refused(model)


UNSAFE = ["pytorch_model.bin", "model.pt", "model.pth", "x.pkl", "x.pickle", "x.ckpt", "weights.npz", "a.npy"]
UNSAFE += ["model.gguf", "x.joblib", "tf_model.h5", "X.BIN", "sub/optimizer.bin"]


@pytest.mark.parametrize("name", UNSAFE)
def test_a40_formats_that_run_code_are_refused_also_beside_safetensors(model: Path, name: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(pickle.dumps({}))
    assert f"{name} is of a format whose loading can run code" in why_refused(model)
    check_model(model, trust_remote_code=True)


@pytest.mark.parametrize("trust_remote_code", [False, True])
@pytest.mark.parametrize("name", UNSAFE)
def test_a40_a_model_of_nothing_but_these_has_no_weights(
    model: Path, name: str, trust_remote_code: bool
) -> None:
    (model / "model.safetensors").unlink()
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(pickle.dumps({}))
    said = why_refused(model, trust_remote_code=trust_remote_code)
    assert f"has no model*.safetensors (it has {name}, which mlxhub does not load)" in said


@pytest.mark.parametrize("trust_remote_code", [False, True])
@pytest.mark.parametrize("file", ["model.safetensors", "adapters.safetensors", "sub/x.SafeTensors"])
def test_a40_a_pickle_by_the_name_of_safetensors_is_refused(
    model: Path, file: str, trust_remote_code: bool
) -> None:
    (model / file).parent.mkdir(exist_ok=True)
    (model / file).write_bytes(pickle.dumps({"weight": [1.0] * 100}))
    assert f"{file} is damaged" in why_refused(model, trust_remote_code=trust_remote_code)
