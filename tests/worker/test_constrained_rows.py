"""Constrained rows in a batch, step by step: their neighbours, thinking, vocabularies and faults."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlxhub.core.constraint import CallableTool, Constraint, JsonText, ToolCalls
from mlxhub.refusals import GenerationFailed, InvalidRequest
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    SamplingOptions,
    TextPrompt,
)
from mlxhub.worker.engines.text import TextEngine
from mlxhub.worker.output.answer import RowReader
from mlxhub.worker.output.parser import Reasoning
from tests.worker.processes import make_random_model
from tests.worker.test_text_engine import GREEDY, make_engine, run_out

WILD = SamplingOptions(temperature=2, seed=4)
PAIR = JsonText(
    '{"type":"object","properties":{"a":{"type":"string","maxLength":6},"b":{"enum":[1,2]}},'
    '"required":["a","b"],"additionalProperties":false}'
)
CALLS = ToolCalls((CallableTool("f", PAIR.schema),))
THINK_START, THINK_END = 640, 641


@pytest.fixture
def engine(random_model: Path) -> Iterator[TextEngine]:
    engine = make_engine(str(random_model))
    engine.load()
    yield engine
    engine.unload()


@pytest.fixture(scope="module")
def thinking_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tokens more than the random model, for thinking, and a vocabulary padded beyond them."""
    directory = make_random_model(tmp_path_factory.mktemp("models") / "thinking", vocab_size=704)
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    like = tokenizer["added_tokens"][-1]
    tokenizer["added_tokens"] += [
        {**like, "id": THINK_START, "content": "<think>"},
        {**like, "id": THINK_END, "content": "</think>"},
    ]
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    template = (directory / "chat_template.jinja").read_text()
    spans = (
        "{%- if add_generation_prompt and enable_thinking is defined -%}"
        "{{- '<think>\\n' if enable_thinking else '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}"
    )
    (directory / "chat_template.jinja").write_text(template + spans)
    return directory


def wanted(
    constraint: Constraint | None, sampling: SamplingOptions = WILD, text: str = "x"
) -> GenerationRequest:
    return GenerationRequest(TextPrompt(text), sampling, 300, constraint=constraint)


def submit(engine: TextEngine, handle: int, request: GenerationRequest) -> None:
    engine.submit(handle, engine.compile(engine.prepare(request)))


def said(engine: TextEngine, requests: list[GenerationRequest]) -> list[str]:
    for handle, request in enumerate(requests):
        submit(engine, handle, request)
    ended = run_out(engine)
    return [ended[handle][0] for handle in range(len(requests))]


@pytest.mark.parametrize("sampling", [GREEDY, WILD], ids=["greedy", "wild"])
def test_rows_answer_as_each_alone_whoever_is_beside_them(
    engine: TextEngine, sampling: SamplingOptions
) -> None:
    requests = [
        wanted([None, PAIR, CALLS, None][number % 4], sampling, f"prompt {number} " * (number + 1))
        for number in range(8)
    ]
    alone = [said(engine, [request])[0] for request in requests]
    assert said(engine, requests) == alone
    for answer in alone[1::4]:
        assert set(json.loads(answer)) == {"a", "b"}


def test_a_broken_processor_costs_its_own_row(engine: TextEngine) -> None:
    class Broken:
        def new_processor(self) -> Any:
            calls = iter(range(3))

            def break_down(_tokens: Any, logits: Any) -> Any:
                next(calls)
                return logits

            return break_down

    requests = [wanted(None), wanted(PAIR)]
    alone = said(engine, requests)
    prepared = engine.prepare(wanted(None))
    for handle, request in enumerate(requests):
        submit(engine, handle, request)
    engine.submit(7, replace(prepared, grammar=Broken()))
    texts = {0: "", 1: ""}
    failed: list[Failed] = []
    while engine.has_work:
        for delta in engine.step():
            if isinstance(delta, Failed):
                failed.append(delta)
            elif delta.handle in texts and not isinstance(delta, Finished | Failed):
                texts[delta.handle] += getattr(delta, "text", "")
            elif isinstance(delta, Finished):
                texts[delta.handle] += delta.text
    assert [type(each.error) for each in failed] == [GenerationFailed]
    assert failed[0].handle == 7
    assert [texts[0], texts[1]] == alone


@pytest.mark.parametrize("enable_thinking", [None, True, False])
@pytest.mark.parametrize("constraint", [PAIR, CALLS], ids=["json", "calls"])
def test_reasoning_is_free_and_the_answer_is_not(
    thinking_model: Path, constraint: Constraint, enable_thinking: bool | None
) -> None:
    engine = make_engine(str(thinking_model))
    loaded = engine.load()
    options: Any = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
    tool: Any = {"type": "function", "function": {"name": "f"}}
    prompt = ChatPrompt(({"role": "user", "content": "x"},), (tool,), options)
    reasoned = 0
    for seed in range(6):
        # An eager end of thinking: a random model would seldom find it.
        sampling = SamplingOptions(2, seed=seed, logit_bias={THINK_END: 6.0, THINK_START: 3.0})
        prepared = engine.prepare(GenerationRequest(prompt, sampling, 2000, constraint=constraint))
        assert prepared.in_reasoning == (enable_thinking is not False)
        engine.submit(0, engine.compile(prepared))
        text, end = run_out(engine)[0]
        reader = RowReader(loaded, prompt.tools, in_reasoning=prepared.in_reasoning, constraint=constraint)
        parts = reader.finish(text, end.reason).parts
        reasoned += isinstance(parts[0], Reasoning)
        assert end.reason is FinishReason.STOP
        answer = parts[-1]
        given = json.loads(answer.arguments if constraint is CALLS else answer.text)  # type: ignore[union-attr]
        assert set(given) == {"a", "b"}
    assert (reasoned > 0) == (enable_thinking is not False)
    engine.unload()


def test_calls_that_are_not_json_are_refused(tmp_path: Path, random_model: Path) -> None:
    directory = tmp_path / "other"
    shutil.copytree(random_model, directory)
    (directory / "chat_template.jinja").write_text(
        "{%- for message in messages -%}{{ message.content }}{%- endfor -%}{#- <tool_call>\n<function= -#}"
    )
    engine = make_engine(str(directory))
    engine.load()
    with pytest.raises(InvalidRequest, match="cannot be enforced") as refused:
        submit(engine, 0, wanted(CALLS))
    assert refused.value.param == "tool_choice"
    engine.unload()


def test_a_grammar_is_compiled_once(engine: TextEngine) -> None:
    first = engine.compile(engine.prepare(wanted(PAIR)))
    assert engine.prepare(wanted(PAIR, text="another")).grammar is first.grammar is not None
    assert engine.prepare(wanted(CALLS)).grammar is None
    for number in range(32):
        engine.compile(engine.prepare(wanted(JsonText(f'{{"const":{number}}}'))))
    assert engine.prepare(wanted(PAIR)).grammar is None
