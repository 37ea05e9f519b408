"""A gemma4 that takes text, pictures, video and sound: what it says means nothing, but differs."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_vlm.models.gemma4.config import AudioConfig, ModelConfig, TextConfig, VisionConfig
from mlx_vlm.models.gemma4.gemma4 import Model

from mlxhub.demo import model_directory

SEED = 25
CONTEXT_TOKENS = 2048
SLIDING_WINDOW = 64
IMAGE_TOKENS = 9
# mlx-vlm refuses any smaller budget. A square frame becomes 64 tokens of them.
FRAME_TOKENS = 70
VIDEO_FRAMES = 4
# Half a minute, as long as the sound that mlx-vlm encodes: with fewer it would drop the end.
AUDIO_TOKENS = 750
AUDIO_MS_PER_TOKEN = 40
SAMPLES_PER_SECOND = 16000

_WIDTH = 64
_PATCH = 8
_POOLED = 2
_LAYERS = (
    "sliding_attention",
    "sliding_attention",
    "full_attention",
    # The last two keep no keys and values of their own, as most layers of the real small ones.
    "sliding_attention",
    "full_attention",
)
_SHARED_LAYERS = 2

# Named as the tokenizer's attributes that the processor reads, and spelt as Google spells them.
_MEDIA_TOKENS = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
    "video_token": "<|video|>",
}
_TURN_TOKENS = ("<bos>", "<|turn>", "<turn|>")

# What a model said is not trimmed, unlike in Google's: a conversation stays a prefix of its continuation.
_CHAT_TEMPLATE = r"""
{%- macro words(text, role) -%}{{- text if role == 'model' else text | trim -}}{%- endmacro -%}
{{- bos_token -}}
{%- for message in messages -%}
{%- set role = 'model' if message.role == 'assistant' else message.role -%}
{{- '<|turn>' + role + '\n' -}}
{%- if message.content is string -%}{{- words(message.content, role) -}}
{%- elif message.content -%}
{%- for part in message.content -%}
{%- if part.type == 'text' -%}{{- words(part.text, role) -}}
{%- elif part.type == 'image' -%}{{- '\n\n<|image|>\n\n' -}}
{%- elif part.type == 'audio' -%}{{- '<|audio|>' -}}
{%- elif part.type == 'video' -%}{{- '\n\n<|video|>\n\n' -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<turn|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|turn>model\n' -}}{%- endif -%}
"""


def make_model_of_all_senses(directory: Path) -> Path:
    """It speaks readable nonsense until it is stopped: greedily, it never ends its turn."""
    directory.mkdir(parents=True, exist_ok=True)
    ids = _write_tokenizer(directory)
    config = _make_config(ids)
    _write_json(directory / "config.json", config)
    end = {"bos_token_id": ids["<bos>"], "eos_token_id": ids["<turn|>"], "pad_token_id": 0}
    _write_json(directory / "generation_config.json", {"do_sample": False, **end})
    _write_json(directory / "processor_config.json", _make_processor_config())
    (directory / "chat_template.jinja").write_text(_CHAT_TEMPLATE)
    mx.random.seed(SEED)
    model = _new_model(len(ids))
    _vary_weights(model, ids)
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
    return directory


def _write_tokenizer(directory: Path) -> dict[str, int]:
    """The demo model's, with the marks of turns and media behind; returns every token's id."""
    demo = model_directory()
    tokenizer = json.loads((demo / "tokenizer.json").read_text())
    added = tokenizer["added_tokens"]
    ids: dict[str, int] = tokenizer["model"]["vocab"] | {token["content"]: token["id"] for token in added}
    first = max(ids.values()) + 1
    for index, content in enumerate((*_TURN_TOKENS, *_MEDIA_TOKENS.values()), start=first):
        added.append(added[0] | {"id": index, "content": content})
        ids[content] = index
    # Google's begin every text so by themselves, as the template does.
    bos = ids["<bos>"]
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [bos], "tokens": ["<bos>"]}},
    }
    _write_json(directory / "tokenizer.json", tokenizer)
    settings = json.loads((demo / "tokenizer_config.json").read_text())
    turns = {"bos_token": "<bos>", "eos_token": "<turn|>"}
    _write_json(directory / "tokenizer_config.json", settings | turns | _MEDIA_TOKENS)
    return ids


def _make_config(ids: dict[str, int]) -> dict[str, object]:
    media = {f"{name}_id": ids[content] for name, content in _MEDIA_TOKENS.items()}
    return {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "dtype": "float32",
        "tie_word_embeddings": True,
        "eos_token_id": [ids["<turn|>"]],
        "pad_token_id": 0,
        "vision_soft_tokens_per_image": IMAGE_TOKENS,
        **media,
        "text_config": _make_text_config(len(ids)),
        "vision_config": _make_vision_config(),
        "audio_config": {"model_type": "gemma4_audio", **_make_audio_config()},
    }


def _make_text_config(vocabulary: int) -> dict[str, Any]:
    """A head is 32 wide or more because MLX quantises key-value caches in groups of 32 or more."""
    return {
        "model_type": "gemma4_text",
        "vocab_size": vocabulary,
        "vocab_size_per_layer_input": vocabulary,
        "hidden_size": _WIDTH,
        "hidden_size_per_layer_input": 32,
        "intermediate_size": 64,
        "num_hidden_layers": len(_LAYERS),
        "num_kv_shared_layers": _SHARED_LAYERS,
        "layer_types": list(_LAYERS),
        "sliding_window": SLIDING_WINDOW,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "global_head_dim": 64,
        "use_double_wide_mlp": True,
        # As in the real small ones, which read a picture like text: the large ones see it all at once.
        "use_bidirectional_attention": None,
        "final_logit_softcapping": 30.0,
        "max_position_embeddings": CONTEXT_TOKENS,
        "rope_parameters": {
            "full_attention": {
                "partial_rotary_factor": 0.25,
                "rope_theta": 1000000.0,
                "rope_type": "proportional",
            },
            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
        },
        "tie_word_embeddings": True,
        "pad_token_id": 0,
    }


def _make_vision_config() -> dict[str, Any]:
    return {
        "model_type": "gemma4_vision",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "global_head_dim": 16,
        "patch_size": _PATCH,
        "pooling_kernel_size": _POOLED,
        # The longest side a frame can have, in patches.
        "position_embedding_size": FRAME_TOKENS * _POOLED,
        "default_output_length": IMAGE_TOKENS,
    }


def _make_audio_config() -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "subsampling_conv_channels": [16, 8],
        "output_proj_dims": 64,
    }


def _make_processor_config() -> dict[str, object]:
    patches = {"patch_size": _PATCH, "pooling_kernel_size": _POOLED}
    return {
        "processor_class": "Gemma4Processor",
        "image_processor": {
            "image_processor_type": "Gemma4ImageProcessor",
            "max_soft_tokens": IMAGE_TOKENS,
            **patches,
        },
        "video_processor": {
            "video_processor_type": "Gemma4VideoProcessor",
            "max_soft_tokens": FRAME_TOKENS,
            "num_frames": VIDEO_FRAMES,
            **patches,
        },
        "feature_extractor": {
            "feature_extractor_type": "Gemma4AudioFeatureExtractor",
            "sampling_rate": SAMPLES_PER_SECOND,
        },
        "image_seq_length": IMAGE_TOKENS,
        "audio_seq_length": AUDIO_TOKENS,
        "audio_ms_per_token": AUDIO_MS_PER_TOKEN,
    }


def _new_model(vocabulary: int) -> Model:
    return Model(
        ModelConfig(
            text_config=TextConfig(**_make_text_config(vocabulary)),
            vision_config=VisionConfig(**_make_vision_config()),
            audio_config=AudioConfig(**_make_audio_config()),
        )
    )


def _vary_weights(model: Model, ids: dict[str, int]) -> None:
    """Untouched, a new model repeats its last word, or says marks and halves of characters."""
    language = model.language_model.model
    embeddings = mx.zeros((len(ids), _WIDTH))
    said = mx.array(sorted(index for token, index in ids.items() if _is_readable(token)))
    embeddings[said] = mx.random.normal((said.size, _WIDTH), scale=0.06)
    language.embed_tokens.weight = embeddings
    per_layer = language.embed_tokens_per_layer
    per_layer.weight = mx.random.normal(per_layer.weight.shape, scale=0.2)
    # Embeddings are also the head: signs at random keep a word from resembling itself.
    language.norm.weight = 6.0 * mx.where(mx.random.bernoulli(shape=(_WIDTH,)), 1.0, -1.0)
    table = model.vision_tower.patch_embedder.position_embedding_table
    model.vision_tower.patch_embedder.position_embedding_table = mx.random.normal(table.shape, scale=0.1)
    for layer in model.audio_tower.layers:
        weight = layer.lconv1d.depthwise_conv1d.weight
        layer.lconv1d.depthwise_conv1d.weight = mx.random.normal(weight.shape, scale=0.5)


def _is_readable(token: str) -> bool:
    """A space is spelt "Ġ" in the vocabulary."""
    return token.replace("Ġ", "a").isascii() and not token.startswith("<") and token.isprintable()


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
