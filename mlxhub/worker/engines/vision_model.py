"""A model that sees, in memory, by mlx-vlm: a text model whose prompts may have pictures."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from threading import Lock
from typing import Any

import mlx.core as mx
from mlx_lm.tokenizer_utils import load as load_tokenizer
from mlx_lm.utils import load_config
from mlx_vlm.prompt_utils import MODEL_CONFIG, get_message_json
from mlx_vlm.utils import load_model, load_processor, prepare_inputs

from mlxhub.core.memory import context_length_of
from mlxhub.errors import LoadFailed
from mlxhub.refusals import InvalidRequest
from mlxhub.registry.template_renderer import Chat, TemplateRenderer
from mlxhub.worker.engines.checkpoint import LoadOptions
from mlxhub.worker.engines.engine import ChatPrompt, JsonObject
from mlxhub.worker.engines.mlx_lm_adapter import TextModel, vocabulary_of
from mlxhub.worker.engines.mlx_lm_chats import ChatEncoder, find_encoder
from mlxhub.worker.engines.mlx_lm_loading import make_fast, sampling_defaults, tokenizer_options
from mlxhub.worker.engines.reasoning import find_reasoning
from mlxhub.worker.engines.seen import Seen
from mlxhub.worker.engines.sighted_rows import SightedLanguage, SightedModelRows
from mlxhub.worker.media.pictures import Picture, decode_pictures, picture_keys

_UNSUPPORTED = ("draft", "adapter", "kv_bits")


class Sight:
    """Prompts with pictures, up to what the model itself takes.

    `family`: by which mlx-vlm knows how its chats speak of pictures.
    """

    def __init__(self, processor: Any, config: Any, family: str, vocabulary: int) -> None:
        self._processor = processor
        self._family = family
        self._vocabulary = vocabulary
        self._picture_tokens = _picture_tokens(config, processor)
        # Processors change their tokenizer's padding while they work.
        self._lock = Lock()

    def encode(self, chats: ChatEncoder, prompt: ChatPrompt, context_length: int) -> Seen:
        """Raises InvalidRequest, and ContextOverflow where the text alone says so."""
        pictures = decode_pictures(prompt.pictures)
        messages = tuple(self._formatted(message) for message in prompt.messages)
        text = chats.render(Chat(messages), prompt, context_length)
        inputs = self._processed(text, pictures)
        tokens: list[int] = inputs["input_ids"][0].tolist()
        ends, keys = [], tokens[:]
        for begin, end, digest in _spans(tokens, self._picture_tokens, pictures):
            keys[begin:end] = picture_keys(digest, end - begin, self._vocabulary)
            ends.append(end)
        return Seen(inputs, tuple(keys), tuple(ends))

    def _formatted(self, message: JsonObject) -> JsonObject:
        """As chats of this family are written."""
        content = message["content"]
        if isinstance(content, str):
            return message
        parts = [part for part in content if isinstance(part, dict)] if isinstance(content, Sequence) else []
        count = sum(part["type"] == "image" for part in parts)
        role = str(message["role"])
        try:
            told = get_message_json(self._family, parts, role, skip_image_token=not count, num_images=count)
        except ValueError as error:
            raise InvalidRequest(f"messages: {str(error).splitlines()[0]}", "messages") from None
        return {**message, "content": told["content"] if isinstance(told, dict) else told}

    def _processed(self, text: str, pictures: Sequence[Picture]) -> dict[str, Any]:
        try:
            with self._lock:
                inputs: dict[str, Any] = prepare_inputs(  # type: ignore[no-untyped-call]
                    self._processor,
                    images=[picture.image for picture in pictures],
                    prompts=text,
                    image_token_index=next(iter(self._picture_tokens), None),
                )
                # Here: what is not yet evaluated belongs to this thread's stream (docs/decisions/0016).
                mx.eval([value for value in inputs.values() if isinstance(value, mx.array)])
        except Exception as error:  # each model's processor raises what it likes
            raise InvalidRequest(
                f"messages: the model's image processor refused a picture ({type(error).__name__}). "
                "Send one that is larger, and not many times as wide as high.",
                "messages",
            ) from error
        return {key: value for key, value in inputs.items() if value is not None}


def _spans(
    tokens: Sequence[int], picture_tokens: Collection[int], pictures: Sequence[Picture]
) -> Iterator[tuple[int, int, bytes]]:
    """Where pictures begin and end, and what is there. Raises InvalidRequest where there are none.

    Some processors cut a picture into several: then each piece is known by all pictures and its place.
    """
    places = groupby(range(len(tokens)), key=lambda place: tokens[place] in picture_tokens)
    runs = [[*run] for is_picture, run in places if is_picture]
    if not runs:
        raise InvalidRequest("messages: this model's chat template leaves pictures out.", "messages")
    together = b"".join(picture.digest for picture in pictures)
    one_each = len(runs) == len(pictures)
    for number, run in enumerate(runs):
        digest = pictures[number].digest if one_each else together + number.to_bytes(4, "big")
        yield run[0], run[-1] + 1, digest


def load_vision_model(options: LoadOptions, renderer: TemplateRenderer) -> TextModel:
    """As `load_text_model`."""
    if said := [key for key in _UNSUPPORTED if getattr(options, key) is not None]:
        raise LoadFailed(options.name, f"{said[0]}: models that see cannot use it. Leave it out.")
    directory = options.directory
    config = load_config(directory)
    family = str(config["model_type"])
    if family.lower() not in MODEL_CONFIG:
        raise LoadFailed(options.name, f'mlx-vlm does not know how chats of "{family}" speak of pictures.')
    model = load_model(directory)
    make_fast(model, config)
    mx.eval(model.parameters(), mx.random.state)
    processor = load_processor(directory, add_detokenizer=False)
    tokenizer = load_tokenizer(
        directory, _tokenizer_options(options, processor), eos_token_ids=config.get("eos_token_id")
    )
    language = SightedLanguage(model)
    vocabulary = vocabulary_of(config, tokenizer)
    return TextModel(
        tokenizer,
        find_encoder(tokenizer, renderer),
        SightedModelRows(language, vocabulary),
        sampling_defaults(directory),
        find_reasoning(tokenizer, options.reasoning_parser),
        vocabulary=vocabulary,
        context_length=context_length_of(config),
        sight=Sight(processor, model.config, family, vocabulary),
    )


def _tokenizer_options(options: LoadOptions, processor: Any) -> dict[str, Any]:
    """Some keep their template with what processes pictures."""
    said = tokenizer_options(options)
    own = getattr(processor, "chat_template", None)
    return said if own is None else {"chat_template": own, **said}


def _picture_tokens(config: Any, processor: Any) -> frozenset[int]:
    """What stands for a piece of a picture in a prompt."""
    names = ("image_token_id", "image_token_index", "media_placeholder_token_id")
    found = {token for name in names if isinstance(token := getattr(config, name, None), int)}
    own = getattr(processor, "image_token_id", None)
    return frozenset(found | ({own} if isinstance(own, int) else set()))
