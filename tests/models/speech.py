"""A speaker that hisses for half a second: what is tested is how speech is asked for, cut and sent."""

import json
from itertools import pairwise
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_audio.tts.models.soprano import Model, ModelConfig
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SEED = 24
# Each is 2048 samples of 32000 a second.
SOUNDS = 8
_WIDTH = 64
_MARKS = ("[STOP]", "[TEXT]", "[START]")


def make_soprano(directory: Path) -> Path:
    """55 MB, nearly all the decoder: mlx-audio ignores what a checkpoint says of its decoder's size.

    Nor may the directory's path contain "soprano-1.1": mlx-audio reads another size out of that.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _write_tokenizer(directory)
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "soprano",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": _WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "max_position_embeddings": 1024,
        "tie_word_embeddings": False,
        "sample_rate": 32000,
        "dtype": "float32",
        "eos_token_id": tokenizer.token_to_id("[STOP]"),
        "pad_token_id": tokenizer.token_to_id("[STOP]"),
    }
    _write_json(directory / "config.json", config)
    mx.random.seed(SEED)
    model = Model(ModelConfig.from_dict({**config, "model_path": str(directory)}))
    _script(model, tokenizer)
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
    return directory


def _script(model: Model, tokenizer: Tokenizer) -> None:
    """Each sound leads to the next and the last to the end: random weights would go on for half a minute."""
    embeddings = mx.random.normal((tokenizer.get_vocab_size(), _WIDTH), scale=3)
    head = mx.zeros(embeddings.shape)
    path = [tokenizer.token_to_id(token) for token in ("[START]", *_sounds(), "[STOP]")]
    for token, following in pairwise(path):
        head[following] = embeddings[token]
    model.language_model.embed_tokens.weight = embeddings
    model.language_model.lm_head.weight = head


def _write_tokenizer(directory: Path) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {token: index for index, token in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([*_MARKS, *_sounds()])
    tokenizer.save(str(directory / "tokenizer.json"))
    _write_json(
        directory / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "[STOP]", "pad_token": "[STOP]"},
    )
    return tokenizer


def _sounds() -> list[str]:
    return [f"[{index}]" for index in range(SOUNDS)]


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
