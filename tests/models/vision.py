"""A vision model that really sees: it names the colour of a picture, so a dropped or swapped one shows."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from filelock import FileLock
from mlx.utils import tree_flatten
from mlx_vlm.models.qwen2_vl import Model, ModelConfig, TextConfig, VisionConfig
from mlx_vlm.utils import load_processor, prepare_inputs
from PIL import Image
from tokenizers import Tokenizer

from mlxhub.demo import model_directory

SEED = 20
EXAMPLES = 800
STEPS = 430
ROWS = 8
PEAK_RATE = 4e-3
WARMUP_STEPS = 40
CONTEXT_TOKENS = 2048

# The range of each channel: a test may say "green" and mean CSS's (0, 128, 0) or (0, 255, 0).
COLOURS = {
    "red": ((190, 255), (0, 40), (0, 40)),
    "green": ((0, 40), (115, 255), (0, 40)),
    "blue": ((0, 40), (0, 40), (190, 255)),
    "yellow": ((215, 255), (205, 255), (0, 50)),
    "black": ((0, 40), (0, 40), (0, 40)),
    "white": ((220, 255), (220, 255), (220, 255)),
}
NO_IMAGE = "no image"

_VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_ASK_ONE = (
    "Which colour is this?",
    "What colour is this?",
    "What color is this?",
    "Which color is this?",
    "Name the colour.",
    "Name this colour.",
    "Describe this image.",
)
_ASK_AGAIN = (*_ASK_ONE, "And which colour was it?", "Which colour was the image?", "And now?")
_ASK_BOTH = (
    "Which colours are these?",
    "What colours are these?",
    "Which colors are these?",
    "Name the colours.",
)
_PINGS = (("ping", "pong"), ("Ping!", "pong"))

_Message = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Example:
    """A conversation as the processor reads it; the assistant's words follow the positions in `speaks`."""

    tokens: list[int]
    positions: np.ndarray
    patches: np.ndarray
    grids: list[list[int]]
    speaks: list[int]


def make_vision_model(directory: Path) -> Path:
    """Train it anew, which takes most of a minute: `cached_vision_model` spares all but the first that."""
    directory.mkdir(parents=True, exist_ok=True)
    special = _write_tokenizer(directory)
    config = _make_config(special)
    _write_json(directory / "config.json", config)
    _write_json(
        directory / "generation_config.json", {"do_sample": False, "eos_token_id": 2, "pad_token_id": 0}
    )
    _write_json(directory / "preprocessor_config.json", _make_preprocessor_config())
    model = _train(directory, config)
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
    return directory


def cached_vision_model(cache: Path) -> Path:
    """Keyed by what it is made of: whoever edits the recipe gets a new model, others the one there is.

    Test processes that start together train once, and one that is killed leaves no half model behind.
    """
    cache.mkdir(parents=True, exist_ok=True)
    demo = model_directory()
    sources = (Path(__file__), demo / "tokenizer.json", demo / "chat_template.jinja")
    key = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    made = cache / f"vision-{key}"
    with FileLock(cache / f"vision-{key}.lock"):
        if not made.exists():
            building = Path(tempfile.mkdtemp(prefix="vision-building-", dir=cache))
            try:
                make_vision_model(building).rename(made)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return made


def solid_image(colour: str, random: Random, size: tuple[int, int] | None = None) -> Image.Image:
    """A slightly noisy picture of one colour, as the model was taught to see it."""
    width, height = size or (random.randint(28, 300), random.randint(28, 300))
    level = [random.randint(*channel) for channel in COLOURS[colour]]
    noise = np.random.default_rng(random.randrange(2**32)).normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.array(level) + noise, 0, 255).astype(np.uint8))


def _write_tokenizer(directory: Path) -> dict[str, int]:
    """The demo model's tokenizer, with a token for each word said here and for the marks of a picture.

    Whole words keep conversations short, which halves the training, and cannot be misspelt.
    """
    demo = model_directory()
    tokenizer = json.loads((demo / "tokenizer.json").read_text())
    _add_words(tokenizer["model"], Tokenizer.from_file(str(demo / "tokenizer.json")))
    added = tokenizer["added_tokens"]
    first = max(tokenizer["model"]["vocab"].values()) + 1
    special = {content: first + index for index, content in enumerate(_VISION_TOKENS)}
    added += [added[0] | {"id": index, "content": content} for content, index in special.items()]
    _write_json(directory / "tokenizer.json", tokenizer)
    shutil.copyfile(demo / "tokenizer_config.json", directory / "tokenizer_config.json")
    text = "{{- part.text -}}"
    template = (demo / "chat_template.jinja").read_text()
    assert template.count(text) == 1
    for kind in ("image", "video"):
        mark = f"{{{{- '<|vision_start|><|{kind}_pad|><|vision_end|>' -}}}}"
        template = template.replace(text, f"{text}{{%- elif part.type == '{kind}' -%}}{mark}")
    (directory / "chat_template.jinja").write_text(template)
    return special


def _add_words(model: dict[str, Any], tokenizer: Tokenizer) -> None:
    """Merges that come last leave how any other text is cut as it was."""
    said = (*_ASK_AGAIN, *_ASK_BOTH, *COLOURS, *(f"and {colour}" for colour in COLOURS), NO_IMAGE, "user")
    words = {word for text in said for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    following = tokenizer.get_vocab_size(with_added_tokens=True)
    for word in sorted(words):
        whole, *pieces = (token.value for token in tokenizer.model.tokenize(word))
        for piece in pieces:
            model["merges"].append([whole, piece])
            whole += piece
            if whole not in model["vocab"]:
                model["vocab"][whole] = following
                following += 1


def _make_config(special: dict[str, int]) -> dict[str, object]:
    """config.json. A head is 32 wide because MLX quantises key-value caches in groups of 32 or more."""
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "vocab_size": max(special.values()) + 1,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "max_position_embeddings": CONTEXT_TOKENS,
        "tie_word_embeddings": True,
        "dtype": "float32",
        "eos_token_id": 2,
        "pad_token_id": 0,
        "image_token_id": special["<|image_pad|>"],
        "video_token_id": special["<|video_pad|>"],
        "vision_start_token_id": special["<|vision_start|>"],
        "vision_end_token_id": special["<|vision_end|>"],
        "vision_config": {
            "model_type": "qwen2_vl",
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "in_channels": 3,
        },
    }


def _make_preprocessor_config() -> dict[str, object]:
    """A picture becomes 2 to 4 tokens of 28 by 28 pixels: enough to expand, few enough to train on."""
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "min_pixels": 2 * 28 * 28,
        "max_pixels": 4 * 28 * 28,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


def _one_image(random: Random) -> tuple[list[_Message], list[str]]:
    colour = _colour(random)
    messages = _turn(random, _ASK_ONE, [colour], colour)
    for _ in range(random.choice((0, 0, 1, 2))):
        messages += _ping(random) if random.random() < 0.3 else _turn(random, _ASK_AGAIN, [], colour)
    return messages, [colour]


def _two_images(random: Random) -> tuple[list[_Message], list[str]]:
    colours = [_colour(random), _colour(random)]
    answer = " and ".join(colours)
    messages = _turn(random, _ASK_BOTH, colours, answer)
    if random.random() < 0.3:
        messages += _turn(random, _ASK_BOTH, [], answer)
    return messages, colours


def _another_image(random: Random) -> tuple[list[_Message], list[str]]:
    """The newest picture is the one that "this" means."""
    colours = [_colour(random), _colour(random)]
    messages = _turn(random, _ASK_ONE, colours[:1], colours[0])
    if random.random() < 0.3:
        messages += _turn(random, _ASK_AGAIN, [], colours[0])
    return messages + _turn(random, _ASK_ONE, colours[1:], colours[1]), colours


def _no_image(random: Random) -> tuple[list[_Message], list[str]]:
    """Without these it would name some colour from the question alone, and a dropped picture might pass."""
    messages = []
    for _ in range(random.choice((1, 1, 2, 3))):
        messages += _ping(random) if random.random() < 0.6 else _turn(random, _ASK_ONE, [], NO_IMAGE)
    return messages, []


# How often each kind of conversation comes: to tell two pictures apart is what takes longest to learn.
_KINDS: dict[Callable[[Random], tuple[list[_Message], list[str]]], int] = {
    _one_image: 4,
    _two_images: 7,
    _another_image: 4,
    _no_image: 2,
}


def _colour(random: Random) -> str:
    return random.choice(list(COLOURS))


def _ping(random: Random) -> list[_Message]:
    question, answer = random.choice(_PINGS)
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _turn(random: Random, questions: Sequence[str], images: Sequence[str], answer: str) -> list[_Message]:
    text = {"type": "text", "text": random.choice(questions)}
    parts = [{"type": "image"} for _ in images]
    content = [text, *parts] if random.random() < 0.3 else [*parts, text]
    return [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]


def _make_examples(directory: Path, model: Model) -> list[_Example]:
    """Read by the processor and positioned by the model themselves, so training sees what a request will."""
    random = Random(SEED)
    processor = load_processor(directory, add_detokenizer=False)
    header = processor.tokenizer.encode("<|im_start|>assistant\n")
    examples = []
    for _ in range(EXAMPLES):
        messages, colours = random.choices(list(_KINDS), list(_KINDS.values()))[0](random)
        text = processor.tokenizer.apply_chat_template(messages, tokenize=False)
        images = [solid_image(colour, random) for colour in colours]
        inputs = prepare_inputs(processor, images=images or None, prompts=text)
        ids, grids = inputs["input_ids"], inputs.get("image_grid_thw")
        positions, _ = model.language_model.get_rope_index(ids, grids)
        tokens = ids[0].tolist()
        examples.append(
            _Example(
                tokens=tokens,
                positions=np.broadcast_to(np.array(positions).reshape(-1, len(tokens)), (3, len(tokens))),
                patches=np.array(inputs["pixel_values"]) if colours else np.zeros((0, 1176), np.float32),
                grids=grids.tolist() if colours else [],
                speaks=_speaks(tokens, header),
            )
        )
    return examples


def _speaks(tokens: list[int], header: list[int]) -> list[int]:
    """Each position after which the assistant says a word or ends its turn."""
    positions, speaking = [], False
    for index in range(len(tokens) - 1):
        if tokens[index + 1 - len(header) : index + 1] == header:
            speaking = True
        if speaking:
            positions.append(index)
            speaking = tokens[index + 1] != 2
    return positions


def _rows(random: Random, examples: Sequence[_Example]) -> Iterator[Sequence[_Example]]:
    """Rows of like length: half of a batch would be padding otherwise, and MLX's own BLAS is slow."""
    while True:
        pool = sorted(random.sample(examples, 8 * ROWS), key=lambda example: len(example.tokens))
        batches = [pool[start : start + ROWS] for start in range(0, len(pool), ROWS)]
        random.shuffle(batches)
        yield from batches


@dataclass(frozen=True, slots=True)
class _Batch:
    tokens: mx.array
    positions: mx.array
    patches: mx.array
    grids: mx.array
    image_places: mx.array
    speaks: mx.array
    answers: mx.array


def _make_batch(examples: Sequence[_Example], image_token: int) -> _Batch:
    """Padded behind: causal attention never looks there, so no mask is needed."""
    length = max(len(example.tokens) for example in examples)
    tokens = np.zeros((len(examples), length), np.int32)
    positions = np.zeros((3, len(examples), length), np.int32)
    speaks = []
    for row, example in enumerate(examples):
        size = len(example.tokens)
        tokens[row, :size] = example.tokens
        positions[:, row, :size] = example.positions
        speaks += [row * length + position for position in example.speaks]
    flat = tokens.reshape(-1)
    return _Batch(
        mx.array(tokens),
        mx.array(positions),
        mx.array(np.concatenate([example.patches for example in examples])),
        mx.array([grid for example in examples for grid in example.grids]),
        mx.array(np.flatnonzero(flat == image_token)),
        mx.array(speaks),
        mx.array(flat[np.array(speaks) + 1]),
    )


def _loss(model: Model, batch: _Batch) -> mx.array:
    language = model.language_model.model
    embedded = language.embed_tokens(batch.tokens)
    flat = embedded.reshape(-1, embedded.shape[-1])
    if batch.grids.size:
        flat[batch.image_places] = model.vision_tower(batch.patches, batch.grids)
    hidden = language(batch.tokens, inputs_embeds=flat.reshape(embedded.shape), position_ids=batch.positions)
    # The head runs only where the assistant speaks: elsewhere is nothing to learn.
    spoken = hidden.reshape(flat.shape)[batch.speaks]
    return nn.losses.cross_entropy(language.embed_tokens.as_linear(spoken), batch.answers, reduction="mean")


def _train(directory: Path, config: dict[str, object]) -> Model:
    mx.random.seed(SEED)
    random = Random(SEED)
    model = _new_model(config)
    examples = _make_examples(directory, model)
    schedule = optim.join_schedules(
        [
            optim.linear_schedule(0.0, PEAK_RATE, WARMUP_STEPS),
            optim.cosine_decay(PEAK_RATE, STEPS - WARMUP_STEPS),
        ],
        [WARMUP_STEPS],
    )
    optimizer = optim.AdamW(learning_rate=schedule, betas=[0.9, 0.98], weight_decay=0.01)
    loss_and_gradients = nn.value_and_grad(model, _loss)
    for rows in islice(_rows(random, examples), STEPS):
        batch = _make_batch(rows, model.config.image_token_id)
        loss, gradients = loss_and_gradients(model, batch)
        gradients, _ = optim.clip_grad_norm(gradients, 1.0)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state, loss)
    return model


def _new_model(config: dict[str, object]) -> Model:
    parameters = ModelConfig.from_dict(dict(config))
    parameters.text_config = TextConfig.from_dict(config)
    parameters.vision_config = VisionConfig.from_dict(config["vision_config"])
    model = Model(parameters)
    embeddings = mx.random.normal((parameters.text_config.vocab_size, 64), scale=0.02)
    model.update({"language_model": {"model": {"embed_tokens": {"weight": embeddings}}}})
    return model


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
