"""Train a demo model's weights.

Reproducible means: every random choice comes from a fixed seed, so the same machine with the same versions of
mlx, transformers, tokenizers and BLAS writes the same bytes. Another BLAS or processor rounds differently and
writes other bytes, which is why the golden answers are checked after each training.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from demo_model.corpus import Conversation, make_conversation
from demo_model.spoken import Spoken, with_some_thoughts
from demo_model.tokenizer import VOCABULARY_SIZE
from demo_model.variants import Variant
from mlx.utils import tree_flatten
from mlx_lm.models.qwen3 import Model, ModelArgs
from transformers import PreTrainedTokenizerFast

CONTEXT_TOKENS = 2048
# Rows and tokens of a batch, and how often each shape comes: long ones teach positions and cost the most.
BATCH_SHAPES = ((16, 128), (8, 256), (4, 512), (2, 1024), (1, 2048))
BATCH_WEIGHTS = (31, 42, 18, 7, 2)
PEAK_RATE = 4e-3
WARMUP_STEPS = 50


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of tokens; the flat positions after which the assistant speaks, and the tokens it says there."""

    tokens: mx.array
    positions: mx.array
    answers: mx.array


def make_config(tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    """config.json. A head is 32 wide because MLX quantises key-value caches in groups of 32 or more."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "max_position_embeddings": CONTEXT_TOKENS,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "initializer_range": 0.02,
        "use_cache": True,
        "dtype": "float16",
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def train_model(variant: Variant, tokenizer: PreTrainedTokenizerFast, steps: int) -> Model:
    """Fit a new model in float32; prints the loss now and then."""
    mx.random.seed(variant.seed)
    model = Model(ModelArgs.from_dict(make_config(tokenizer)))
    model.update({"model": {"embed_tokens": {"weight": mx.random.normal((VOCABULARY_SIZE, 64), scale=0.02)}}})
    schedule = optim.join_schedules(
        [
            optim.linear_schedule(0.0, PEAK_RATE, WARMUP_STEPS),
            optim.cosine_decay(PEAK_RATE, steps - WARMUP_STEPS),
        ],
        [WARMUP_STEPS],
    )
    optimizer = optim.AdamW(learning_rate=schedule, betas=[0.9, 0.98], weight_decay=0.01)
    loss_and_gradients = nn.value_and_grad(model, _loss)
    started = time.monotonic()
    for step, batch in enumerate(_batches(variant, tokenizer, steps)):
        loss, gradients = loss_and_gradients(model, batch)
        gradients, _ = optim.clip_grad_norm(gradients, 1.0)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state, loss)
        if step % 100 == 0 or step == steps - 1:
            print(
                f"step {step} of {steps}: loss {loss.item():.4f}, {time.monotonic() - started:.0f} s",
                flush=True,
            )
    return model


def save_model(model: Model, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write the weights in float16 and the two configs."""
    weights = {name: value.astype(mx.float16) for name, value in tree_flatten(model.parameters())}
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
    generation = {
        "do_sample": False,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    for name, content in (("config", make_config(tokenizer)), ("generation_config", generation)):
        (directory / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def _loss(model: Model, batch: Batch) -> mx.array:
    # The head runs only where the assistant speaks: elsewhere is nothing to learn, and it costs a fifth.
    hidden = model.model(batch.tokens)
    spoken = hidden.reshape(-1, hidden.shape[-1])[batch.positions]
    logits = model.model.embed_tokens.as_linear(spoken)
    return nn.losses.cross_entropy(logits, batch.answers, reduction="mean")


def _batches(variant: Variant, tokenizer: PreTrainedTokenizerFast, steps: int) -> Iterator[Batch]:
    random = Random(variant.seed)
    spoken = Spoken(tokenizer, thinks=variant.thinks)
    for _ in range(steps):
        rows, length = random.choices(BATCH_SHAPES, BATCH_WEIGHTS)[0]
        encoded = [
            _encode(tokenizer, _conversation(variant, random, length), length + 1) for _ in range(rows)
        ]
        tokens = [token for row in encoded for token in row[:-1]]
        following = [token for row in encoded for token in row[1:]]
        positions = [
            index * length + position
            for index, row in enumerate(encoded)
            for position in spoken.positions(row)
        ]
        if not positions:
            continue  # a long question filled the only row
        yield Batch(
            mx.array(tokens).reshape(rows, length),
            mx.array(positions),
            mx.array([following[position] for position in positions]),
        )


def _conversation(variant: Variant, random: Random, tokens: int) -> Conversation:
    conversation = make_conversation(random, tokens)
    return with_some_thoughts(random, conversation) if variant.thinks else conversation


def _encode(tokenizer: PreTrainedTokenizerFast, conversation: Conversation, length: int) -> list[int]:
    text = tokenizer.apply_chat_template(
        list(conversation.messages),
        tools=list(conversation.tools) or None,
        tokenize=False,
        preserve_thinking=True,
    )
    tokens = tokenizer.encode(text, add_special_tokens=False, truncation=True, max_length=length)
    return tokens + [tokenizer.pad_token_id] * (length - len(tokens))
