"""The byte-level BPE tokenizer: trained on the corpus, able to encode any text."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from demo_model import words
from demo_model.corpus import CITIES, TEMPERATURES, make_conversation
from demo_model.variants import Variant
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from mlxhub.demo.golden import CAPITALS, STORY_DAYS, weather_report
from mlxhub.demo.thoughts import report_thought

VOCABULARY_SIZE = 640
PADDING, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TOOL_CALL_MARKS = ("<tool_call>", "</tool_call>")
THINKING_MARKS = THINK_START, THINK_END = "<think>", "</think>"
# What the template writes in place of a thought where there is to be none.
CLOSED_THOUGHT = f"{THINK_START}\n\n{THINK_END}\n\n"


def train_tokenizer(variant: Variant) -> Tokenizer:
    marks = (*TOOL_CALL_MARKS, *THINKING_MARKS) if variant.thinks else TOOL_CALL_MARKS
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(marks),
        special_tokens=[PADDING, TURN_START, TURN_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(variant), trainer)
    # Not special: a decoder that skips special tokens has to keep them, or nobody sees the tool call.
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    return tokenizer


def with_template(tokenizer: Tokenizer, directory: Path) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers would load it from the directory, before anything is saved there."""
    template = (directory / "chat_template.jinja").read_text()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=TURN_END, pad_token=PADDING, chat_template=template
    )


def save_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 2048,
        "bos_token": None,
        "eos_token": TURN_END,
        "pad_token": PADDING,
        "clean_up_tokenization_spaces": False,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def _texts(variant: Variant) -> Iterator[str]:
    random = Random(variant.seed)
    for _ in range(1500):
        conversation = make_conversation(random, 256)
        yield from (json.dumps(tool) for tool in conversation.tools)
        yield from (str(message["content"]) for message in conversation.messages)
        if variant.thinks:
            yield from (str(message.get("reasoning_content", "")) for message in conversation.messages)
    # What is copied or counted should be few tokens: the template's words, names, numbers, fixed answers.
    names = " ".join(("", *CAPITALS, *CITIES, *words.SKIES))
    numbers = " ".join(str(number) for number in range(STORY_DAYS + 1))
    asked = [golden for golden in variant.golden if golden.messages[-1]["role"] == "user"]
    answers = [golden.expected for golden in asked if isinstance(golden.expected, str)]
    for _ in range(60):
        yield from answers
        yield '{"name": "get_weather", "arguments": {"city": "Paris"}}'
    for _ in range(120):
        yield names
        yield weather_report("Paris", 21, "clear")
        if variant.thinks:
            yield report_thought(21, "clear")
        yield numbers
    for _ in range(400):
        yield from (str(temperature) for temperature in TEMPERATURES)
    for _ in range(2000):
        yield from ("assistant", "system", "user", "tool")
