"""How a model's chats become tokens."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from mlxhub.refusals import ContextOverflow, GenerationFailed, InvalidRequest
from mlxhub.registry.template_renderer import (
    MAX_CHARACTERS,
    Chat,
    ChatTemplate,
    Refused,
    RendererBroken,
    TemplateBeyond,
    TemplateRenderer,
)
from mlxhub.worker.engines.engine import ChatPrompt

Encoded = list[int] | Refused


class ChatEncoder(Protocol):
    def encode(self, chats: Sequence[Chat], prompt: ChatPrompt, context_length: int) -> Iterator[Encoded]:
        """Each chat with the tools and options of `prompt`, as it is asked for.

        Raises ContextOverflow where a text alone says so, and InvalidRequest.
        """

    def render(self, chat: Chat, prompt: ChatPrompt, context_length: int) -> str:
        """The text of one. Raises as `encode`, and InvalidRequest where the template refuses it."""

    def close(self) -> None: ...


def find_encoder(tokenizer: Any, renderer: TemplateRenderer) -> ChatEncoder | None:
    """None: the model has no chats. `renderer` is closed with the encoder, or at once where none needs it."""
    if tokenizer.has_chat_template and not _has_own_code(tokenizer):
        renderer.learn(ChatTemplate(tokenizer.chat_template, tokenizer.special_tokens_map))
        return _TemplateEncoder(tokenizer, renderer)
    renderer.close()
    return _LibraryEncoder(tokenizer) if tokenizer.has_chat_template else None


def refusal(refused: Refused) -> InvalidRequest:
    said = " ".join(refused.said.split())[:300]
    return InvalidRequest(f"The model's chat template refused the messages: {said}", "messages")


def longest_token(tokenizer: Any) -> int:
    """Characters in the vocabulary's own spelling, which has at least one for each of the text's."""
    return max(map(len, tokenizer.get_vocab()), default=1)


def _has_own_code(tokenizer: Any) -> bool:
    """Whether Python renders its chats: a module of mlx-lm, or a class of a tokenizer's own.

    The former, and transformers' classes, are libraries. A model's own class is there only where somebody
    said trust_remote_code. So these stay in this process.
    """
    renders = type(tokenizer._tokenizer).apply_chat_template  # noqa: SLF001 - there is no public way
    is_usual: bool = renders.__module__ == "transformers.tokenization_utils_base"
    return tokenizer._chat_template is not None or not is_usual  # noqa: SLF001 - likewise


class _TemplateEncoder:
    """What transformers and mlx-lm do of a jinja template, with the renderer in the place of their own."""

    def __init__(self, tokenizer: Any, renderer: TemplateRenderer) -> None:
        self._tokenizer = tokenizer
        self._renderer = renderer
        self._longest_token = longest_token(tokenizer)

    def encode(self, chats: Sequence[Chat], prompt: ChatPrompt, context_length: int) -> Iterator[Encoded]:
        for text in self._rendered(chats, prompt, context_length):
            yield (
                text if isinstance(text, Refused) else self._tokenizer.encode(text, add_special_tokens=False)
            )

    def render(self, chat: Chat, prompt: ChatPrompt, context_length: int) -> str:
        text = self._rendered([chat], prompt, context_length)[0]
        if isinstance(text, Refused):
            raise refusal(text)
        return text

    def _rendered(
        self, chats: Sequence[Chat], prompt: ChatPrompt, context_length: int
    ) -> list[str | Refused]:
        most_characters = context_length * self._longest_token
        options = {"enable_thinking": self._tokenizer.has_thinking, **prompt.template_options}
        try:
            return self._renderer.render(chats, prompt.tools or None, options, most_characters)
        except TemplateBeyond as beyond:
            if beyond.is_long and most_characters <= MAX_CHARACTERS:
                raise ContextOverflow(context_length + 1, context_length, at_least=True) from None
            raise InvalidRequest(
                f"The model's chat template {beyond.why} for these messages.", "messages"
            ) from None
        except RendererBroken as broken:
            raise GenerationFailed(str(broken)) from broken

    def close(self) -> None:
        self._renderer.close()


class _LibraryEncoder:
    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, chats: Sequence[Chat], prompt: ChatPrompt, context_length: int) -> Iterator[Encoded]:
        for chat in chats:
            yield self._tokenizer.apply_chat_template(
                list(chat.messages),
                tools=list(prompt.tools) or None,
                add_generation_prompt=chat.add_generation_prompt,
                tokenize=True,
                **prompt.template_options,
            )

    def render(self, chat: Chat, prompt: ChatPrompt, context_length: int) -> str:
        raise InvalidRequest("What writes this model's chats knows no pictures.", "messages")

    def close(self) -> None:
        pass
