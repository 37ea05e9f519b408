"""What hub.yaml may say of how a model is loaded: an adapter, a chat template, and how its text is read."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from mlxhub.demo import MODEL_REFERENCE as DEMO
from mlxhub.demo import model_directory
from mlxhub.errors import LoadFailed
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    GenerationRequest,
    LoadedModel,
    SamplingOptions,
    TextPrompt,
)
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions
from tests.worker.test_text_engine import answer

GREEDY = SamplingOptions(temperature=0)
HELLO = ChatPrompt(({"role": "user", "content": "hello"},))
LORA = {"rank": 4, "scale": 20.0, "dropout": 0.0}
Open = Callable[..., TextEngine]


@pytest.fixture
def open_engine() -> Iterator[Open]:
    opened = []

    def open_one(path: str | Path = DEMO, **options: Any) -> TextEngine:
        engine = TextEngine(TextEngineOptions("m", str(path), 4, Prefill(32, 32), **options))
        opened.append(engine)
        engine.load()
        return engine

    yield open_one
    for engine in opened:
        engine.unload()


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """As `mlx_lm.lora` leaves one behind."""
    from mlx_lm import load
    from mlx_lm.tuner.utils import linear_to_lora_layers

    model = load(str(model_directory()))[0]
    model.freeze()
    linear_to_lora_layers(model, 2, LORA)
    mx.random.seed(3)
    trained = {
        name: mx.random.normal(weight.shape)
        for name, weight in tree_flatten(model.trainable_parameters())
    }  # fmt: skip
    directory = tmp_path / "adapter"
    directory.mkdir()
    mx.save_safetensors(str(directory / "adapters.safetensors"), trained)
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": LORA}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    return directory


def load_again(engine: TextEngine) -> LoadedModel:
    engine.unload()
    return engine.load()


def hello(engine: TextEngine) -> str:
    return answer(engine, GenerationRequest(HELLO, GREEDY, 20))


def test_an_adapter_changes_what_the_model_says(open_engine: Open, adapter: Path) -> None:
    assert hello(open_engine(adapter_path=str(adapter))) != hello(open_engine())


def test_an_adapter_that_cannot_be_is_refused_with_the_reason(
    open_engine: Open, adapter: Path, tmp_path: Path
) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(LoadFailed) as failed:
            open_engine(adapter_path=str(path))
        return failed.value.reason

    assert refused(tmp_path / "nowhere").startswith("adapter_path: there is no such directory")
    weights = (adapter / "adapters.safetensors").read_bytes()
    (adapter / "adapters.safetensors").write_bytes(weights[:-100])
    assert refused(adapter).startswith("adapter_path: adapters.safetensors is damaged")
    (adapter / "adapters.safetensors").unlink()
    assert refused(adapter).startswith("adapter_path: it has no adapters.safetensors")
    os.mkfifo(adapter / "adapters.safetensors")
    assert refused(adapter).startswith("adapter_path: adapters.safetensors is neither a file nor")


def test_an_adapter_of_another_model_is_refused(open_engine: Open, adapter: Path) -> None:
    weights: Any = mx.load(str(adapter / "adapters.safetensors"))
    wrong = {name: mx.concatenate([weight, weight]) for name, weight in weights.items()}
    mx.save_safetensors(str(adapter / "adapters.safetensors"), wrong)
    with pytest.raises(LoadFailed, match=r"adapter_path: it does not fit this model"):
        open_engine(adapter_path=str(adapter))


def test_a_chat_template_stands_for_the_models_own(open_engine: Open, tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{{- messages[0]['content'] + messages[0]['content'] }}")
    engine = open_engine(chat_template_file=str(file))
    doubled = engine.prepare(GenerationRequest(TextPrompt("hellohello"))).tokens
    assert engine.prepare(GenerationRequest(HELLO)).tokens == doubled


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "there is no such file"),
        ("{% for", "it is no jinja template"),
        ("{{ ''.__class__ }}", "it reaches for what it may not"),
        ("{{ 'a' * 2000000000 }}", "it"),
        ("x" * 1_000_001, r"has more than 1 MB"),
    ],
    ids=["missing", "broken", "escape", "memory", "large"],
)
def test_a_chat_template_is_tried_before_it_is_used(
    open_engine: Open, tmp_path: Path, text: str | None, reason: str
) -> None:
    file = tmp_path / "mine.jinja"
    if text is not None:
        file.write_text(text)
    with pytest.raises(LoadFailed, match=f"chat_template_file: .*{reason}"):
        open_engine(chat_template_file=str(file))


def test_a_tool_call_parser_says_how_calls_are_written(open_engine: Open) -> None:
    assert load_again(open_engine()).markers.tool_start == "<tool_call>"
    loaded = load_again(open_engine(tool_call_parser="mistral"))
    assert loaded.markers.tool_start == "[TOOL_CALLS]"
    assert loaded.parse_tool_call('f[ARGS]{"a": 1}', ())[0].name == "f"


def test_a_reasoning_parser_says_where_thinking_is(open_engine: Open) -> None:
    def loaded(parser: str | None) -> tuple[str | None, bool, bool]:
        engine = open_engine(reasoning_parser=parser)
        prepared = engine.prepare(GenerationRequest(HELLO))
        return load_again(engine).markers.think_start, prepared.in_reasoning, prepared.may_reason

    def quotes_it(parser: str) -> bool:
        asked = ChatPrompt(({"role": "user", "content": "What does the <think> tag mean?"},))
        return open_engine(reasoning_parser=parser).prepare(GenerationRequest(asked)).in_reasoning

    assert not quotes_it("think")
    assert loaded(None) == (None, False, False)
    assert loaded("none") == (None, False, False)
    assert loaded("think") == ("<think>", False, True)
    assert loaded("deepseek_r1") == ("<think>", True, True)
