"""Prompts with media, for processors that treat the beginning of a prompt in different ways."""

from typing import Any

import mlx.core as mx
import pytest
from transformers import AutoTokenizer

from mlxhub.core.medium import Medium
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.engines.engine import ChatPrompt
from mlxhub.worker.engines.senses import find_senses
from mlxhub.worker.engines.sight import Sight
from tests.models.senses import make_model_of_all_senses
from tests.worker.test_vision import file_of


class _Config:
    image_token_id = 643


class _Model:
    config = _Config()


class _Processor:
    """`adds`: a mark of its own, since mlx-vlm does not tell it not to."""

    image_token = "<|image|>"

    def __init__(self, tokenizer: Any, *, adds: bool) -> None:
        self.tokenizer = tokenizer
        self._adds = adds

    def __call__(self, text: str, images: object = None, **others: object) -> dict[str, Any]:
        ids = self.tokenizer(text, add_special_tokens=self._adds).input_ids
        return {"input_ids": mx.array([ids]), "pixel_values": mx.zeros((1, 3, 2, 2))}


class _Chats:
    def __init__(self, text: str) -> None:
        self._text = text

    def render(self, *given: object) -> str:
        return self._text


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(make_model_of_all_senses(tmp_path_factory.mktemp("senses")))


def shown(count: int = 1) -> ChatPrompt:
    content = [{"type": "image"}] * count
    return ChatPrompt(
        ({"role": "user", "content": content},), media=(Medium("image", file_of("red")),) * count
    )


def sight(tokenizer: Any, *, adds: bool) -> Sight:
    processor = _Processor(tokenizer, adds=adds)
    return Sight(processor, find_senses({}, _Model(), processor), "gemma4", 650)


@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("begins", ["<bos>", ""])
def test_a_prompt_begins_as_its_template_has_it(tokenizer: Any, begins: str, *, adds: bool) -> None:
    eyes = sight(tokenizer, adds=adds)
    for _ in range(2):  # what was found out once is remembered
        seen = eyes.encode(_Chats(begins + "<|image|>hello"), shown(), 100)  # type: ignore[arg-type]
        tokens = seen.inputs["input_ids"][0].tolist()
        assert tokens.count(tokenizer.bos_token_id) == (1 if begins or adds else 0)
        assert seen.places[0].begin == tokens.index(643)


def test_a_template_that_leaves_one_of_two_out(tokenizer: Any) -> None:
    with pytest.raises(InvalidRequest, match="chat template leaves image parts out"):
        sight(tokenizer, adds=False).encode(_Chats("<|image|>hello"), shown(2), 100)  # type: ignore[arg-type]


def test_keys_are_a_mediums_own(tokenizer: Any) -> None:
    eyes = sight(tokenizer, adds=False)
    chats: Any = _Chats("<|image|>hello")
    other = ChatPrompt(shown().messages, media=(Medium("image", file_of("blue")),))
    red, again, blue = (eyes.encode(chats, prompt, 100).keys for prompt in (shown(), shown(), other))
    assert red == again
    assert red[0] != blue[0]
    assert min(red[0], blue[0]) >= 650
    assert red[1:] == blue[1:]
