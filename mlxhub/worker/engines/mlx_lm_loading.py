"""A text model into memory, with all that hub.yaml says of how, on the engine thread."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from loguru import logger
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load, load_adapters

from mlxhub.core.memory import context_length_of, is_quantised
from mlxhub.errors import LoadFailed
from mlxhub.registry.template_renderer import TemplateRenderer
from mlxhub.worker.engines.checkpoint import LoadOptions
from mlxhub.worker.engines.device import has_slow_halves
from mlxhub.worker.engines.mlx_lm_adapter import TextModel, vocabulary_of
from mlxhub.worker.engines.mlx_lm_api import check_api
from mlxhub.worker.engines.mlx_lm_chats import find_encoder
from mlxhub.worker.engines.model_rows import ModelRows
from mlxhub.worker.engines.read_prompts import is_always_cuttable
from mlxhub.worker.engines.reasoning import find_reasoning
from mlxhub.worker.engines.rows import KvBits
from mlxhub.worker.engines.sampling import SamplingDefaults

# Of a row of numbers; both must divide it. The larger one takes less memory for scales.
_KV_GROUPS = (64, 32)

check_api()


def load_text_model(options: LoadOptions, renderer: TemplateRenderer) -> TextModel:
    """`renderer` is closed with the model.

    Raises LoadFailed where the options do not fit the model, and whatever mlx-lm raises on bad files.
    """
    model, tokenizer, config = _load(options.directory, options, tokenizer_options(options))
    if options.chat_template is not None and "chat_template_type" in tokenizer.init_kwargs:
        raise LoadFailed(
            options.name, "chat_template_file: mlx-lm renders this model's chats without one. Leave it out."
        )
    if options.adapter is not None:
        model = _adapted(options.name, model, options.adapter)
    make_fast(model, config)
    kv_bits = None if options.kv_bits is None else _kv_bits(options.name, model, options.kv_bits)
    vocabulary, context_length = vocabulary_of(config, tokenizer), context_length_of(config)
    draft = None
    if options.draft is not None:
        draft, its_tokenizer, its_config = _draft(options, model, tokenizer, options.draft)
        vocabulary = min(vocabulary, vocabulary_of(its_config, its_tokenizer))
        context_length = min(context_length, context_length_of(its_config))
    return TextModel(
        tokenizer,
        find_encoder(tokenizer, renderer),
        ModelRows(model, vocabulary, kv_bits, draft, options.draft_tokens),
        sampling_defaults(options.directory),
        find_reasoning(tokenizer, options.reasoning_parser),
        vocabulary=vocabulary,
        context_length=context_length,
    )


def _load(
    directory: Path, options: LoadOptions, tokenizer_options: Mapping[str, Any]
) -> tuple[Any, Any, Mapping[str, Any]]:
    # Both flags, or transformers asks on the terminal whether to run a tokenizer's code.
    loaded: Any = load(
        str(directory),
        tokenizer_config={"trust_remote_code": options.trust_remote_code, **tokenizer_options},
        return_config=True,
        trust_remote_code=options.trust_remote_code,
    )
    model, tokenizer, config = loaded
    # mlx-lm first fills a model with random numbers, lazily, and they are replaced before anybody computes
    # them: without this the key of MLX's generator hangs on to them all, 30 KB at each load.
    mx.eval(mx.random.state)
    return model, tokenizer, config


def _adapted(name: str, model: Any, adapter: Path) -> Any:
    try:
        adapted = load_adapters(model, str(adapter))
    except Exception as error:
        logger.exception("The adapter does not fit")
        raise LoadFailed(name, "adapter_path: it does not fit this model. The log says more.") from error
    adapted.eval()
    return adapted


def make_fast(model: Any, config: Mapping[str, Any]) -> None:
    if has_slow_halves() and not is_quantised(config):
        model.set_dtype(mx.float32)
        mx.eval(model.parameters())


def tokenizer_options(options: LoadOptions) -> dict[str, Any]:
    said = {"chat_template": options.chat_template, "tool_parser_type": options.tool_call_parser}
    return {key: value for key, value in said.items() if value is not None}


def _kv_bits(name: str, model: Any, bits: int) -> KvBits:
    """Tried with one token: whether a model's attention can do it is known to nothing but its code."""
    for group_size in _KV_GROUPS:
        try:
            state = [
                layer.to_quantized(group_size=group_size, bits=bits) for layer in make_prompt_cache(model)
            ]
            mx.eval(model(mx.array([[0]]), cache=state))
        except Exception as error:  # noqa: BLE001 - a model's code raises anything
            logger.debug("kv_bits: {} in groups of {}: {}", bits, group_size, error)
        else:
            return KvBits(bits, group_size)
    raise LoadFailed(name, "kv_bits: this model cannot use it. Leave it out.")


def _draft(options: LoadOptions, model: Any, tokenizer: Any, directory: Path) -> tuple[Any, Any, Any]:
    draft, its_tokenizer, config = _load(directory, options, {})
    make_fast(draft, config)
    if its_tokenizer.get_vocab() != tokenizer.get_vocab():
        raise LoadFailed(
            options.name, "draft_model: its tokens are not those of the model. Choose one of the same family."
        )
    for each, whose in ((model, "this model"), (draft, "the draft model")):
        if not is_always_cuttable(each) or len(make_prompt_cache(each)) != len(each.layers):
            raise LoadFailed(
                options.name,
                f"draft_model: {whose} cannot take back what it has read. Leave draft_model out.",
            )
    return draft, its_tokenizer, config


def sampling_defaults(directory: Path) -> SamplingDefaults:
    file = directory / "generation_config.json"
    said = json.loads(file.read_text()) if file.exists() else {}
    plain = SamplingDefaults()
    if said.get("do_sample") is False:
        return SamplingDefaults(temperature=0.0)
    return SamplingDefaults(
        temperature=float(said.get("temperature") or plain.temperature),
        top_p=float(said.get("top_p") or plain.top_p),
        top_k=int(said.get("top_k") or plain.top_k),
    )
