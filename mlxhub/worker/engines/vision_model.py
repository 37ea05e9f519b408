"""A model that sees, in memory, by mlx-vlm: a text model whose prompts may have more than text."""

from typing import Any

import mlx.core as mx
from mlx_lm.tokenizer_utils import load as load_tokenizer
from mlx_lm.utils import load_config
from mlx_vlm.prompt_utils import MODEL_CONFIG
from mlx_vlm.utils import load_model, load_processor

from mlxhub.core.memory import context_length_of
from mlxhub.errors import LoadFailed
from mlxhub.registry.template_renderer import TemplateRenderer
from mlxhub.worker.engines.checkpoint import LoadOptions
from mlxhub.worker.engines.mlx_lm_adapter import TextModel, vocabulary_of
from mlxhub.worker.engines.mlx_lm_chats import find_encoder
from mlxhub.worker.engines.mlx_lm_loading import make_fast, sampling_defaults, tokenizer_options
from mlxhub.worker.engines.reasoning import find_reasoning
from mlxhub.worker.engines.senses import find_senses
from mlxhub.worker.engines.sight import Sight
from mlxhub.worker.engines.sighted_rows import SightedLanguage, SightedModelRows

_UNSUPPORTED = ("draft", "adapter", "kv_bits")


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
        sight=Sight(processor, find_senses(config, model, processor), family, vocabulary),
    )


def _tokenizer_options(options: LoadOptions, processor: Any) -> dict[str, Any]:
    """Some keep their template with what processes pictures."""
    said = tokenizer_options(options)
    own = getattr(processor, "chat_template", None)
    return said if own is None else {"chat_template": own, **said}
