"""What a text worker costs beside mlx-lm as a library: decoding, joining a running batch, starting.

    .venv/bin/python benchmarks/text_worker.py                        # the demo model, 5 runs each
    .venv/bin/python benchmarks/text_worker.py --larger               # and a random model of 85 M parameters
    .venv/bin/python benchmarks/text_worker.py --larger 1000 --json > today.json

Worker and reference take turns, and what is compared is the median of the runs' own comparisons, so that
what else the machine does meets both. The client shares a process with mlx-lm; the worker has its own.
One stream is timed from its first token to its last. Several are timed from asking to the last token,
the short prompts included, since `batch_generate` does not say when its first token was there.
The worker always batches, so one stream is also compared with a batch of one: what HTTP costs by itself.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from operator import sub, truediv
from pathlib import Path

import httpx
import mlx.core as mx
import uvloop
from mlx_lm import batch_generate, load, stream_generate
from model_servers import LIMIT_SECONDS, POLL_SECONDS, PROMPT, Answer, ask, question, random_llama, worker

from mlxhub.demo import MODEL_REFERENCE, model_directory
from mlxhub.demo.golden import PONG, long_story

STORY_TOKENS = 700  # more than the demo model's story has
STREAMS = 8
TOKENS_BEFORE_JOINING = 32
TOKENS_WHILE_JOINING = 128
DEMO_BUDGETS = (0.92, 0.85)  # one stream and eight, as shares of mlx-lm's speed
LARGER_BUDGETS = (0.97, 0.97)
JOIN_BUDGET_STEPS = 2.0
PORT_BUDGET_SECONDS = 0.8
READY_BUDGET_SECONDS = 0.7  # above `import mlx_lm`
SPEED = "tokens/s"


@dataclass(frozen=True, slots=True)
class Row:
    """Medians. `compared`: seconds above the reference, or as a multiple of it."""

    what: str
    unit: str
    measured: float
    reference: float
    compared: float
    budget: float | None
    comparisons: list[float]

    def line(self) -> str:
        mark, budget = "[info]", ""
        if self.budget is not None:
            at_least = self.unit == SPEED
            kept = self.compared >= self.budget if at_least else self.compared <= self.budget
            mark = "[ok]" if kept else "[warn]"
            budget = f"{'>=' if at_least else '<='} {self.budget}"
        numbers = f"{self.measured:>9.4g} {self.reference:>9.4g} {self.compared:>9.3g}"
        return f"{mark:<6} {self.what:<34} {numbers}  {self.unit} {budget}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    larger = "also a random llama of so many million parameters (85); may be given more than once"
    parser.add_argument("--larger", type=int, nargs="?", const=85, action="append", default=[], help=larger)
    parser.add_argument("--tokens", type=int, default=128, help="in each answer of a larger model")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    device = f"MLX on {mx.default_device()} {mx.device_info().get('device_name', '')}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device}"
    rows = _rows(options.larger, options.tokens, options.runs)
    if options.json:
        said = {"machine": machine, "rows": [asdict(row) for row in rows]}
        sys.stdout.write(json.dumps(said) + "\n")
        return
    sys.stdout.write(f"{machine}\n{'':<41} {'measured':>9} {'reference':>9} {'compared':>9}\n")
    for row in rows:
        sys.stdout.write(row.line() + "\n")
        sys.stdout.flush()


def _rows(larger: Sequence[int], tokens: int, runs: int) -> Iterator[Row]:
    ports, ready, first = zip(*(_start_seconds() for _ in range(runs)), strict=True)
    yield _row("start to port answers", "s", ports, PORT_BUDGET_SECONDS)
    yield _row("start to ready - import mlx_lm", "s", ready, READY_BUDGET_SECONDS)
    yield _row("start to first answer - import", "s", first, None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield from runner.run(_speed_rows("demo", MODEL_REFERENCE, STORY_TOKENS, runs))
        for millions in larger:
            with random_llama(millions) as (name, path):
                yield from runner.run(_speed_rows(name, path, tokens, runs))


def _row(what: str, unit: str, pairs: Sequence[tuple[float, float]], budget: float | None) -> Row:
    compare = sub if unit == "s" else truediv
    comparisons = [compare(measured, reference) for measured, reference in pairs]
    measured, reference = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Row(what, unit, measured, reference, statistics.median(comparisons), budget, comparisons)


def _start_seconds() -> tuple[tuple[float, float], ...]:
    """From a worker's start to its port, to the model in memory, to an answer; beside `import mlx_lm`."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import mlx_lm"], check=True, timeout=LIMIT_SECONDS)
    imported = time.perf_counter() - begun
    begun = time.perf_counter()
    with worker(MODEL_REFERENCE) as url, httpx.Client(base_url=url, timeout=LIMIT_SECONDS) as client:
        port = time.perf_counter() - begun
        client.post("/load", json={}).raise_for_status()
        ready = time.perf_counter() - begun
        said = client.post("/v1/chat/completions", json=question("ping")).raise_for_status().json()
        answered = time.perf_counter() - begun
    if (text := said["choices"][0]["message"]["content"]) != PONG:
        raise SystemExit(f"[error] The worker answered ping with {text!r} instead of {PONG!r}.")
    return (port, 0.0), (ready, imported), (answered, imported)


async def _speed_rows(name: str, model_path: str, tokens: int, runs: int) -> list[Row]:
    is_demo = model_path == MODEL_REFERENCE
    library = _Library(model_directory() if is_demo else Path(model_path), tokens)
    expected = long_story() if is_demo else None
    budgets = DEMO_BUDGETS if is_demo else LARGER_BUDGETS
    pairs = []
    with worker(model_path) as url:
        async with httpx.AsyncClient(base_url=url, timeout=LIMIT_SECONDS) as client:
            for _ in range(runs + 1):
                reference, row, batch = library.one_stream(), library.batch(1), library.batch(STREAMS)
                single = await _decode(client, 1, tokens, expected)
                many = await _decode(client, STREAMS, tokens, expected)
                joined = await _join(client)
                pairs.append(((single, reference), (single, row), (many, batch), *joined))
    singles, batched, batches, events, texts = zip(*pairs[1:], strict=True)  # the first was for warming up
    return [
        _row(f"{name}: decode, 1 stream", SPEED, singles, budgets[0]),
        _row(f"{name}: the same, to a batch of 1", SPEED, batched, None),
        _row(f"{name}: decode, {STREAMS} streams", SPEED, batches, budgets[1]),
        _row(f"{name}: joining, first event / step", "ms", events, JOIN_BUDGET_STEPS),
        _row(f"{name}: joining, first text / step", "ms", texts, None),
    ]


class _Library:
    """mlx-lm's own speed, in tokens a second."""

    def __init__(self, directory: Path, tokens: int) -> None:
        self._model, self._tokenizer = load(str(directory))[:2]
        if mx.default_device().type == mx.cpu:
            self._model.set_dtype(mx.float32)  # as the worker does on a CPU
        messages = question(PROMPT)["messages"]
        self._prompt = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True)
        self._tokens = tokens

    def one_stream(self) -> float:
        answer = stream_generate(self._model, self._tokenizer, self._prompt, max_tokens=self._tokens)
        came = [(time.perf_counter(), response.generation_tokens) for response in answer]
        (first, _), (last, tokens) = came[0], came[-1]
        return (tokens - 1) / (last - first)

    def batch(self, streams: int) -> float:
        prompts = [self._prompt] * streams
        begun = time.perf_counter()
        answer = batch_generate(self._model, self._tokenizer, prompts, max_tokens=self._tokens)
        return answer.stats.generation_tokens / (time.perf_counter() - begun)


async def _decode(client: httpx.AsyncClient, streams: int, tokens: int, expected: str | None) -> float:
    answers = [Answer() for _ in range(streams)]
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for answer in answers:
            group.create_task(ask(client, answer, tokens))
    for answer in answers:
        answer.read()
        if expected not in (None, answer.text):
            raise SystemExit(f"[error] The worker said {answer.text!r} instead of {expected!r}.")
    if streams == 1:
        return (answers[0].tokens - 1) / (answers[0].texts[-1] - answers[0].texts[0])
    return sum(answer.tokens for answer in answers) / (max(answer.texts[-1] for answer in answers) - begun)


async def _join(client: httpx.AsyncClient) -> tuple[tuple[float, float], ...]:
    """Milliseconds, all seats but one decoding: a newcomer's first event and first text, each with a step."""
    running, newcomer = [Answer() for _ in range(STREAMS - 1)], Answer()
    async with asyncio.TaskGroup() as group:
        for answer in running:
            group.create_task(ask(client, answer, TOKENS_WHILE_JOINING))

        def all_decode() -> bool:
            return min(len(answer.arrived) for answer in running) >= TOKENS_BEFORE_JOINING

        while not all_decode():  # noqa: ASYNC110 - it lies in seven answers: an event would be set at each chunk
            await asyncio.sleep(POLL_SECONDS)
        sent = time.perf_counter()
        await ask(client, newcomer, 2)
    newcomer.read()
    running[0].read()
    before = [came for came in running[0].texts if came < sent]
    step = 1000 * (before[-1] - before[0]) / (len(before) - 1)
    return tuple((1000 * (came - sent), step) for came in (newcomer.arrived[0][0], newcomer.texts[0]))


if __name__ == "__main__":
    main()
