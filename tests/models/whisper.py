"""A Whisper that hears nothing, but speaks sentences with times: enough to test what is done with them."""

import json
from itertools import islice, product
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_audio.stt.models.whisper.tokenizer import LANGUAGES
from mlx_audio.stt.models.whisper.whisper import Model, ModelDimensions
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import WhisperFeatureExtractor

SEED = 21
# Whisper's own: a decoder finds tokens by name, but how many languages there are by the model's shape.
VOCABULARY = 51865
FIRST_SPECIAL = 50257
FIRST_TIME = 50364
_HEADS = 2
_LAYERS = 2
_MELS = 80
_WIDTH = 64
_TEXT_TOKENS = 448
_SENTENCE = 12


def make_whisper(directory: Path) -> Path:
    """Speech of any length says the same: what is tested is how a transcript travels, not what it says."""
    directory.mkdir(parents=True, exist_ok=True)
    dimensions = {
        "n_mels": _MELS,
        "n_audio_ctx": 1500,
        "n_audio_state": _WIDTH,
        "n_audio_head": _HEADS,
        "n_audio_layer": _LAYERS,
        "n_vocab": VOCABULARY,
        "n_text_ctx": _TEXT_TOKENS,
        "n_text_state": _WIDTH,
        "n_text_head": _HEADS,
        "n_text_layer": _LAYERS,
    }
    mx.random.seed(SEED)
    model = Model(ModelDimensions(**dimensions), dtype=mx.float32)
    embeddings, positions = _scripted()
    model.decoder.token_embedding.weight = embeddings
    model.decoder.positional_embedding = positions
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
    _write_json(directory / "config.json", {"model_type": "whisper", "dtype": "float32", **dimensions})
    # Without it, mlx-audio aligns words by the last half of the layers; real checkpoints name heads.
    heads = [[_LAYERS - 1, head] for head in range(_HEADS)]
    _write_json(directory / "generation_config.json", {"alignment_heads": heads})
    _write_tokenizer(directory)
    WhisperFeatureExtractor(feature_size=_MELS).save_pretrained(directory)
    return directory


def _scripted() -> tuple[mx.array, mx.array]:
    """What stands where decides what comes next: a time, some words, a time, the end, and so on.

    Wholly random weights never end a transcript, are too unsure for the first temperature, and break
    the rules of times until a probability is not a number. A sentence is as long as the prompt it becomes.
    """
    embeddings = mx.random.normal((VOCABULARY, _WIDTH), scale=0.5)
    embeddings[FIRST_SPECIAL + 1 :] *= 0.02
    embeddings[[FIRST_TIME, FIRST_TIME + 50]] *= 50
    spoken = mx.random.randint(256, FIRST_SPECIAL, (_TEXT_TOKENS,))
    spoken[2::_SENTENCE] = FIRST_TIME
    spoken[_SENTENCE::_SENTENCE] = FIRST_TIME + 50  # after a second
    spoken[_SENTENCE + 1 :: _SENTENCE] = FIRST_SPECIAL
    return embeddings, 6 * embeddings[spoken]


def _write_tokenizer(directory: Path) -> None:
    """Byte by byte in, since nothing is learnt from what it reads; made-up words out."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    syllables = ["".join(pair) for pair in product("bcdfghjklmnpqrstvwxyz", "aeiou")]
    words = ("Ġ" + "".join(word) for word in product(syllables, repeat=3))
    text = [*alphabet, *islice(words, FIRST_SPECIAL - len(alphabet))]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(text)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(_special_tokens())
    # Real ones aren't special: a decoder that skips special tokens still writes the times.
    times = [AddedToken(f"<|{count * 0.02:.2f}|>", normalized=False) for count in range(1501)]
    tokenizer.add_tokens(times)
    assert tokenizer.get_vocab_size() == VOCABULARY
    tokenizer.save(str(directory / "tokenizer.json"))
    end = "<|endoftext|>"
    ends = dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), end)
    _write_json(directory / "tokenizer_config.json", {"tokenizer_class": "WhisperTokenizer", **ends})


def _special_tokens() -> list[str]:
    languages = list(LANGUAGES)[:99]
    tasks = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    return [f"<|{name}|>" for name in ("endoftext", "startoftranscript", *languages, *tasks)]


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
