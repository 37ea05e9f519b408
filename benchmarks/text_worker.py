"""What a text worker costs beside mlx-lm as a library and its server: decoding, joining others, starting.

    .venv/bin/python benchmarks/text_worker.py                        # the demo model, 5 runs each
    .venv/bin/python benchmarks/text_worker.py --larger               # and a random model of 85 M parameters
    .venv/bin/python benchmarks/text_worker.py --larger 1000 --json > today.json

Worker, mlx_lm.server and the library take turns, and what is compared is the median of the runs' own
comparisons, so that what else the machine does meets all. The client shares a process with the library; the
servers have their own. On a CPU all have the weights in float32, which is faster there.
One stream is timed from its first token to its last. Several are timed from asking to the last token,
the short prompts included, since `batch_generate` does not say when its first token was there.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from operator import sub, truediv
from pathlib import Path

import httpx
import mlx.core as mx
import uvloop
from mlx_lm import batch_generate, load, stream_generate
from model_servers import (
    LIMIT_SECONDS,
    MLX_LMS,
    OURS,
    POLL_SECONDS,
    PROMPT,
    Answer,
    ask,
    mlx_lm_server,
    question,
    random_llama,
    the_demo,
    usual_dtype,
    worker,
)

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
        return f"{mark:<6} {self.what:<42} {numbers}  {self.unit} {budget}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    larger = "also a random llama of so many million parameters (85); may be given more than once"
    parser.add_argument("--larger", type=int, nargs="?", const=85, action="append", default=[], help=larger)
    parser.add_argument("--tokens", type=int, default=128, help="in each answer of a larger model")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--speed-only", action="store_true", help="do not time starts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    device = f"MLX on {mx.default_device()} {mx.device_info().get('device_name', '')}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device}"
    starts = 0 if options.speed_only else options.runs
    rows = _rows(options.larger, options.tokens, options.runs, starts)
    if options.json:
        said = {"machine": machine, "rows": [asdict(row) for row in rows]}
        sys.stdout.write(json.dumps(said) + "\n")
        return
    sys.stdout.write(f"{machine}\n{'':<49} {'measured':>9} {'reference':>9} {'compared':>9}\n")
    for row in rows:
        sys.stdout.write(row.line() + "\n")
        sys.stdout.flush()


def _rows(larger: Sequence[int], tokens: int, runs: int, starts: int) -> Iterator[Row]:
    if starts:
        yield from _start_rows(starts)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        with the_demo() as path:
            yield from runner.run(_speed_rows("demo", path, STORY_TOKENS, runs, long_story()))
        for millions in larger:
            with random_llama(millions, usual_dtype()) as (name, path):
                yield from runner.run(_speed_rows(name, path, tokens, runs, None))


def _start_rows(runs: int) -> Iterator[Row]:
    started = [
        (_import_seconds(), _start_seconds(worker, OURS), _start_seconds(mlx_lm_server, MLX_LMS))
        for _ in range(runs)
    ]
    imports, ours, theirs = zip(*started, strict=True)
    ports, their_ports = ([(one.port, 0.0) for one in side] for side in (ours, theirs))
    ready = _pairs([one.ready for one in ours], imports)
    yield _row("start to port answers", "s", ports, PORT_BUDGET_SECONDS)
    yield _row("start to port answers of mlx_lm.server", "s", their_ports, None)
    yield _row("start to ready - import mlx_lm", "s", ready, READY_BUDGET_SECONDS)
    for said, side in (("", ours), (" of mlx_lm.server", theirs)):
        first = _pairs([one.answer for one in side], imports)
        yield _row(f"first answer - import{said}", "s", first, None)


def _row(what: str, unit: str, pairs: Sequence[tuple[float, float]], budget: float | None) -> Row:
    compare = sub if unit == "s" else truediv
    comparisons = [compare(measured, reference) for measured, reference in pairs]
    measured, reference = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Row(what, unit, measured, reference, statistics.median(comparisons), budget, comparisons)


def _pairs(measured: Sequence[float], reference: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(measured, reference, strict=True))


def _import_seconds() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import mlx_lm"], check=True, timeout=LIMIT_SECONDS)
    return time.perf_counter() - begun


@dataclass(frozen=True, slots=True)
class _Start:
    """Seconds from a server's start to its port, to the model in memory, to an answer."""

    port: float
    ready: float
    answer: float


def _start_seconds(server: Callable[[str], AbstractContextManager[str]], model: str) -> _Start:
    begun = time.perf_counter()
    path = MODEL_REFERENCE if server is worker else str(model_directory())
    with server(path) as url, httpx.Client(base_url=url, timeout=LIMIT_SECONDS) as client:
        port = time.perf_counter() - begun
        if server is worker:
            client.post("/load", json={}).raise_for_status()
        ready = time.perf_counter() - begun
        said = client.post("/v1/chat/completions", json=question("ping", model)).raise_for_status().json()
        answered = time.perf_counter() - begun
    if (text := said["choices"][0]["message"]["content"]) != PONG:
        raise SystemExit(f"[error] {url} answered ping with {text!r} instead of {PONG!r}.")
    return _Start(port, ready, answered)


class _Server:
    """`model`: what its one model is called there."""

    def __init__(self, url: str, model: str) -> None:
        self._url = url
        self._model = model

    async def decode(self, streams: int, tokens: int, expected: str | None) -> float:
        """Tokens a second."""
        answers = [Answer() for _ in range(streams)]
        async with asyncio.TaskGroup() as group:
            for answer in answers:
                group.create_task(ask(self._url, answer, tokens, model=self._model))
        for answer in answers:
            answer.read()
            if expected not in (None, answer.text):
                raise SystemExit(f"[error] {self._model} said {answer.text!r} instead of {expected!r}.")
        if streams == 1:
            return (answers[0].tokens - 1) / (answers[0].texts[-1] - answers[0].texts[0])
        return sum(answer.tokens for answer in answers) / (
            max(answer.texts[-1] for answer in answers) - min(answer.sent for answer in answers)
        )

    async def join(self) -> "_Joined":
        """All seats but one decoding."""
        running, newcomer = [Answer() for _ in range(STREAMS - 1)], Answer()
        async with asyncio.TaskGroup() as group:
            for answer in running:
                group.create_task(ask(self._url, answer, TOKENS_WHILE_JOINING, model=self._model))

            def all_decode() -> bool:
                return min(len(answer.arrived) for answer in running) >= TOKENS_BEFORE_JOINING

            while not all_decode():  # noqa: ASYNC110 - it lies in seven answers: an event would be set at each chunk
                await asyncio.sleep(POLL_SECONDS)
            await ask(self._url, newcomer, 2, model=self._model)
        newcomer.read()
        running[0].read()
        before = [came for came in running[0].texts if came < newcomer.sent]
        step = 1000 * (before[-1] - before[0]) / (len(before) - 1)
        return _Joined(
            step, 1000 * (newcomer.arrived[0][0] - newcomer.sent), 1000 * (newcomer.texts[0] - newcomer.sent)
        )


@dataclass(frozen=True, slots=True)
class _Joined:
    """Milliseconds: a step of those that run, and a newcomer's first event and first text."""

    step: float
    event: float
    text: float


@dataclass(frozen=True, slots=True)
class _Speeds:
    one: float
    many: float
    joined: _Joined


async def _speeds(server: _Server, tokens: int, expected: str | None) -> _Speeds:
    return _Speeds(
        await server.decode(1, tokens, expected),
        await server.decode(STREAMS, tokens, expected),
        await server.join(),
    )


async def _speed_rows(name: str, path: str, tokens: int, runs: int, expected: str | None) -> list[Row]:
    library = _Library(Path(path), tokens)
    budgets = LARGER_BUDGETS if expected is None else DEMO_BUDGETS
    ones, manys, ours, theirs = [], [], [], []
    with worker(path) as our_url, mlx_lm_server(path) as their_url:
        for _ in range(runs + 1):
            ones.append(library.one_stream())
            manys.append(library.batch(STREAMS))
            ours.append(await _speeds(_Server(our_url, OURS), tokens, expected))
            theirs.append(await _speeds(_Server(their_url, MLX_LMS), tokens, expected))
    # The first was for warming up.
    one, many = ones[1:], manys[1:]
    rows = []
    for said, measured, limits in (("", ours[1:], budgets), (" of mlx_lm.server", theirs[1:], (None, None))):
        join_budget = None if said else JOIN_BUDGET_STEPS
        joined = [each.joined for each in measured]
        steps = [each.step for each in joined]
        rows += [
            _row(f"{name}: 1 stream{said}", SPEED, _pairs([each.one for each in measured], one), limits[0]),
            _row(
                f"{name}: {STREAMS} streams{said}",
                SPEED,
                _pairs([each.many for each in measured], many),
                limits[1],
            ),
            _row(
                f"{name}: joining, event/step{said}",
                "ms",
                _pairs([each.event for each in joined], steps),
                join_budget,
            ),
            _row(
                f"{name}: joining, text/step{said}", "ms", _pairs([each.text for each in joined], steps), None
            ),
        ]
    return rows


class _Library:
    """mlx-lm's own speed, in tokens a second."""

    def __init__(self, directory: Path, tokens: int) -> None:
        self._model, self._tokenizer = load(str(directory))[:2]
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


if __name__ == "__main__":
    main()
