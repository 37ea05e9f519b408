"""What mlxhub relies on in mlx-lm, checked against the installed one."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlxhub.demo import model_directory
from mlxhub.demo.golden import PONG
from mlxhub.registry.template_renderer import TemplateRenderer
from mlxhub.worker.engines import mlx_lm_api, mlx_lm_loading
from mlxhub.worker.engines.checkpoint import LoadOptions
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    FinishReason,
    ParsedCall,
    PreparedRequest,
    SamplingOptions,
)
from mlxhub.worker.engines.memory_limits import MemoryLimits
from mlxhub.worker.engines.mlx_lm_adapter import TextModel
from mlxhub.worker.engines.mlx_lm_api import check_api
from mlxhub.worker.engines.mlx_lm_loading import load_text_model
from mlxhub.worker.engines.rows import Rows
from mlxhub.worker.engines.sampling import Samplers, SamplingDefaults


@pytest.fixture(scope="module")
def model() -> Iterator[TextModel]:
    model = load_text_model(LoadOptions("demo", model_directory()), TemplateRenderer("demo"))
    yield model
    model.close()


def test_an_mlx_lm_that_lacks_what_is_called_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    check_api()

    def insert(prompts: object) -> None: ...

    monkeypatch.setattr(mlx_lm_api, "_NEEDED", {insert: frozenset({"prompts", "samplers"})})
    with pytest.raises(ImportError, match=r"insert lacks samplers\. Install mlx-lm>="):
        check_api()


def alone(_model: TextModel, _rows: Rows) -> None:
    pass


def with_another(model: TextModel, rows: Rows) -> None:
    rows.insert(model.new_row(4, PreparedRequest((5, 6), 1000, SamplingOptions())))
    rows.next(4)


@pytest.mark.parametrize("begin", [alone, with_another])
def test_rows_say_when_a_prompt_is_done_then_a_token_per_step_and_how_it_ended(
    model: TextModel, begin: Callable[[TextModel, Rows], None]
) -> None:
    rows = model.new_rows(MemoryLimits(0), 4, largest_chunk=4)
    begin(model, rows)
    prompt = model.encode_chat(ChatPrompt(({"role": "user", "content": "ping"},)), 2048).tokens
    rows.insert(model.new_row(5, PreparedRequest(tuple(prompt), 50, SamplingOptions())))
    detokenizer = model.new_detokenizer()
    was_ready, said = False, []
    while True:
        step = rows.next(4)
        assert was_ready or all(sampled.handle != 5 for sampled in step.sampled)
        was_ready = was_ready or 5 in step.ready
        said += [sampled for sampled in step.sampled if sampled.handle == 5]
        if said and said[-1].reason:
            break
    for token in said[:-1]:
        assert (token.handle, token.reason) == (5, None)
        detokenizer.add_token(token.token)
    detokenizer.finalize()
    assert detokenizer.last_segment == PONG
    assert said[-1].reason is FinishReason.STOP
    rows.close()


def test_the_model_says_what_it_is(model: TextModel) -> None:
    assert (model.context_length, model.vocabulary) == (2048, 640)
    assert (model.markers.tool_start, model.markers.tool_end) == ("<tool_call>", "</tool_call>")


def test_calls_are_parsed_and_other_text_is_a_value_error(model: TextModel) -> None:
    call = model.parse_tool_call('\n{"name": "f", "arguments": {"a": "ü"}}\n', ())
    assert call == (ParsedCall("f", '{"a": "ü"}'),)
    for text in ("", "{", "[1]", '{"name": 5}', '{"arguments": {}}'):
        with pytest.raises(ValueError):  # noqa: PT011 - each parser has its own words
            model.parse_tool_call(text, ())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, SamplingDefaults(1.0, 1.0, 0)),
        ({"do_sample": False, "temperature": 0.6}, SamplingDefaults(0.0)),
        (
            {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20},
            SamplingDefaults(0.6, 0.95, 20),
        ),
    ],
)
def test_the_models_own_sampling(tmp_path: Path, said: dict[str, object], expected: SamplingDefaults) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps(said))
    assert mlx_lm_loading.sampling_defaults(tmp_path) == expected


def test_equal_options_share_a_sampler_so_that_a_batch_samples_in_one_call() -> None:
    samplers = Samplers(SamplingDefaults(), vocabulary=100)
    warm = samplers.sampler(SamplingOptions(temperature=0.5))
    assert samplers.sampler(SamplingOptions(temperature=0.5)) is warm
    assert samplers.sampler(SamplingOptions(temperature=0.6)) is not warm
    greedy = samplers.sampler(SamplingOptions(temperature=0))
    assert samplers.sampler(SamplingOptions(top_p=0.0)) is greedy
    assert samplers.sampler(SamplingOptions(temperature=0.5, seed=1)) is not warm
