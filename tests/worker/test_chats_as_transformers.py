"""A chat rendered by the program for it comes out exactly as transformers and mlx-lm make it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlx_lm.tokenizer_utils import TokenizerWrapper
from transformers import PreTrainedTokenizerFast

from mlxhub.demo import model_directory
from mlxhub.registry.template_environment import said
from mlxhub.registry.template_renderer import Chat, ChatTemplate, Refused, TemplateRenderer
from mlxhub.worker.engines.engine import ChatPrompt, JsonObject
from mlxhub.worker.engines.mlx_lm_chats import ChatEncoder, find_encoder
from tests.worker.real_templates import CHATML, TEMPLATES

ENOUGH = 10**6
SPECIAL_TOKENS = {"bos_token": "<s>", "unk_token": "<unk>"}
DEMO = "the demo's own"

texts = st.text(max_size=12) | st.sampled_from(
    [
        "",
        " \n",
        "<|im_end|>",
        "<think>\na</think>\n\nb",
        "</think>",
        "\u2028é\U0001f600",
        "<&>\"'",
        "\x00\x1b",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
contents = (
    texts | st.none() | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts}), max_size=2)
)
calls = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["123456789", "call_1"]),
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {"name": texts, "arguments": texts | st.dictionaries(texts, values, max_size=3)}
        ),
    }
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": contents},
    optional={
        "tool_calls": st.lists(calls, max_size=2) | st.none(),
        "reasoning_content": texts | st.none(),
        "thinking": texts | st.none(),
        "reasoning": texts | st.none(),
        "name": texts,
        "tool_call_id": texts,
    },
)
# As most are, so that templates that insist on an order are not only heard to refuse.
plain_turns = st.lists(texts, min_size=1, max_size=5).map(
    lambda said: [
        {"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(said)
    ]
)
conversations = st.lists(messages, min_size=1, max_size=5) | plain_turns
tool = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {
                "name": texts,
                "description": texts,
                "parameters": st.fixed_dictionaries(
                    {
                        "type": st.just("object"),
                        "properties": st.dictionaries(
                            texts, st.just({"type": "array", "items": {"type": "string"}}), max_size=2
                        ),
                    },
                    optional={"required": st.lists(texts, max_size=2)},
                ),
            }
        ),
    }
)
tool_lists = st.lists(tool, max_size=2)
options = st.sampled_from([{}, {"enable_thinking": True}, {"enable_thinking": False}])


def tokenizer_with(template: Any, *, thinks: bool = False, **tokens: str) -> Any:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(model_directory()), **tokens)
    if template != DEMO:
        tokenizer.chat_template = template
    if thinks:
        tokenizer.add_tokens(["<think>", "</think>"])
    return TokenizerWrapper(tokenizer)


class Both:
    """One tokenizer, whose chats are made by transformers, and by us."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        renderer = TemplateRenderer("m")
        found = find_encoder(tokenizer, renderer)
        assert found is not None
        self.encoder: ChatEncoder = found
        self.renderer = renderer

    def ours(self, prompt: ChatPrompt, *, add_generation_prompt: bool) -> tuple[str, list[int]] | str:
        chat = Chat(prompt.messages, add_generation_prompt)
        given = {"enable_thinking": self._tokenizer.has_thinking, **prompt.template_options}
        text = self.renderer.render([chat], prompt.tools or None, given, ENOUGH)[0]
        encoded = next(self.encoder.encode([chat], prompt, ENOUGH))
        if isinstance(text, Refused):
            assert encoded == text
            return text.said
        assert isinstance(encoded, list)
        return text, encoded

    def theirs(self, prompt: ChatPrompt, *, add_generation_prompt: bool) -> tuple[str, list[int]] | str:
        given = {
            "tools": list(prompt.tools) or None,
            "add_generation_prompt": add_generation_prompt,
            **prompt.template_options,
        }
        try:
            text = self._tokenizer.apply_chat_template(list(prompt.messages), tokenize=False, **given)
        except Exception as error:  # noqa: BLE001 - whatever a template makes it raise
            return said(error)
        return text, self._tokenizer.apply_chat_template(list(prompt.messages), tokenize=True, **given)


@pytest.fixture(scope="module", params=[DEMO, *TEMPLATES])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    made = Both(tokenizer_with(TEMPLATES.get(request.param, DEMO), **SPECIAL_TOKENS))
    yield made
    made.encoder.close()


Many = Callable[[Callable[..., None]], Callable[..., None]]
many: Many = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@many
@given(conversations, tool_lists, options, st.booleans())
def test_texts_tokens_and_refusals_are_those_of_transformers(
    both: Both, said: list[JsonObject], tools: list[JsonObject], wanted: JsonObject, ends: bool
) -> None:
    prompt = ChatPrompt(tuple(said), tuple(tools), wanted)
    ours = both.ours(prompt, add_generation_prompt=ends)
    theirs = both.theirs(prompt, add_generation_prompt=ends)
    if isinstance(theirs, str):
        # What is forbidden, and what they check before the template, they say in their own words.
        assert isinstance(ours, str), theirs
        assert ours == theirs or "underscore-prefixed" in theirs
    else:
        assert ours == theirs


@pytest.mark.parametrize("thinks", [False, True])
@pytest.mark.parametrize("wanted", [{}, {"enable_thinking": True}, {"enable_thinking": False}])
def test_thinking_is_what_mlx_lm_makes_of_the_vocabulary(thinks: bool, wanted: JsonObject) -> None:
    both = Both(tokenizer_with("{{ enable_thinking }}", thinks=thinks))
    prompt = ChatPrompt(({"role": "user", "content": "x"},), (), wanted)
    assert both.ours(prompt, add_generation_prompt=True) == both.theirs(prompt, add_generation_prompt=True)
    both.encoder.close()


def test_of_several_templates_without_a_default_none_is_taken() -> None:
    both = Both(tokenizer_with({"rag": CHATML, "tool_use": CHATML}))
    hello = ({"role": "user", "content": "x"},)
    assert "none of them is named default" in both.ours(ChatPrompt(hello), add_generation_prompt=True)
    assert "no default specified" in both.theirs(ChatPrompt(hello), add_generation_prompt=True)
    with_tools = ChatPrompt(hello, ({"type": "function", "function": {"name": "f"}},))
    assert both.ours(with_tools, add_generation_prompt=True) == both.theirs(
        with_tools, add_generation_prompt=True
    )
    both.encoder.close()


def test_without_messages_there_is_no_chat() -> None:
    both = Both(tokenizer_with(DEMO))
    assert isinstance(both.ours(ChatPrompt(()), add_generation_prompt=True), str)
    assert isinstance(both.theirs(ChatPrompt(()), add_generation_prompt=True), str)
    both.encoder.close()


def test_half_a_character_comes_through_as_it_is() -> None:
    renderer = TemplateRenderer("m")
    renderer.learn(ChatTemplate("{{ messages[0].content }}", {}))
    chat = Chat(({"role": "user", "content": "a\ud83d\n\u2028"},))
    assert renderer.render([chat], None, {}, ENOUGH) == ["a\ud83d\n\u2028"]
    renderer.close()


def test_python_renders_where_there_is_no_jinja_template() -> None:
    """A module of mlx-lm, and a tokenizer with code of its own."""

    def module(said: list[JsonObject], **_: Any) -> str:
        return f"mine {said[0]['content']}"

    class Own(PreTrainedTokenizerFast):
        def apply_chat_template(self, *_: Any, **__: Any) -> list[int]:
            return [1, 2]

    hello = ChatPrompt(({"role": "user", "content": "x"},))
    plain = PreTrainedTokenizerFast.from_pretrained(str(model_directory()))
    renderer = TemplateRenderer("m")
    by_module = find_encoder(TokenizerWrapper(plain, chat_template=module), renderer)
    own = find_encoder(TokenizerWrapper(Own.from_pretrained(str(model_directory()))), TemplateRenderer("m"))
    assert by_module is not None
    assert own is not None
    chats = [Chat(hello.messages)]
    assert next(by_module.encode(chats, hello, ENOUGH)) == plain.encode("mine x", add_special_tokens=False)
    assert next(own.encode(chats, hello, ENOUGH)) == [1, 2]


def test_a_model_without_a_template_has_no_chats() -> None:
    assert find_encoder(tokenizer_with(None), TemplateRenderer("m")) is None
