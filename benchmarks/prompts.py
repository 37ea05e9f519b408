"""What long prompts cost, beside mlx_lm.server: whoever waits for one, and whose stream runs meanwhile.

    .venv/bin/python benchmarks/prompts.py             # a random model of 85 M parameters, 5 runs each
    .venv/bin/python benchmarks/prompts.py --json > today.json

Both servers have the model in memory at once, in float32, and take turns. All prompts are new, so that
only what a warm question shares with its cold one is known.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import pairwise

import mlx.core as mx
import uvloop
from model_servers import (
    MLX_LMS,
    OURS,
    POLL_SECONDS,
    Answer,
    ask,
    mlx_lm_server,
    random_llama,
    worker,
)

PREFILL_TOKENS = 900
PREFIX_TOKENS = 1500
RUNNING_TOKENS = 400
TOKENS_BEFORE = 16
GAP_BUDGET = 0.15  # of mlx_lm.server's
WARM_BUDGET = 1 / 50  # of the cold one
WORDS = ("river", "stone", "cloud", "seven", "green", "paper", "under", "light")


class Server:
    """`model`: what its one model is called there."""

    def __init__(self, url: str, model: str) -> None:
        self._url = url
        self._model = model

    async def longest_gap(self) -> float:
        """Seconds, between two pieces of a running stream, while another's prompt is read."""
        running, newcomer = Answer(), Answer()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask(running, RUNNING_TOKENS, _text(20)))
            while len(running.arrived) < TOKENS_BEFORE:  # noqa: ASYNC110 - chunks set no event
                await asyncio.sleep(POLL_SECONDS)
            await self._ask(newcomer, 2, _text(PREFILL_TOKENS))
            over = time.perf_counter()
        came = [moment for moment, _ in running.arrived]
        if came[-1] < over:
            raise SystemExit("[error] The running stream was over before the other's prompt was read.")
        return max(after - before for before, after in pairwise(came) if after > newcomer.sent)

    async def first_token_seconds(self) -> tuple[float, float]:
        """Of a prompt nobody has seen, and of one that goes on where its answer ended."""
        prefix = _text(PREFIX_TOKENS)
        cold = await self._first_token(prefix)
        return cold, await self._first_token(f"{prefix} and then?")

    async def _first_token(self, text: str) -> float:
        answer = Answer()
        await self._ask(answer, 4, text)
        answer.read()
        return answer.texts[0] - answer.sent

    async def _ask(self, answer: Answer, tokens: int, text: str) -> None:
        await ask(self._url, answer, tokens, text, self._model)


def _text(tokens: int) -> str:
    """About so many, for the demo's tokenizer takes three for such a word."""
    return " ".join(random.choices(WORDS, k=tokens // 3))  # noqa: S311 - nobody is to be kept from guessing


async def _measure(urls: Sequence[str], runs: int) -> dict[str, list[tuple[float, ...]]]:
    """For each kind of run: ours and the reference's, of each run."""
    gaps, firsts = [], []
    ours, reference = Server(urls[0], OURS), Server(urls[1], MLX_LMS)
    for _ in range(runs + 1):
        gaps.append((await ours.longest_gap(), await reference.longest_gap()))
        firsts.append((*await ours.first_token_seconds(), *await reference.first_token_seconds()))
    return {"gaps": gaps[1:], "firsts": firsts[1:]}  # the first was for warming up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--millions", type=int, default=85, help="of parameters of the random model")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with (
        random_llama(options.millions, mx.float32) as (name, path),
        worker(path) as own,
        mlx_lm_server(path) as its,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        measured = runner.run(_measure((own, its), options.runs))
    device = f"MLX on {mx.default_device()} {mx.device_info().get('device_name', '')}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device}"
    if options.json:
        sys.stdout.write(json.dumps({"machine": machine, "model": name, **measured}) + "\n")
        return
    sys.stdout.write(f"{machine}\nmodel {name}\n")
    gaps, firsts = measured["gaps"], measured["firsts"]
    _say("longest gap, s", [own for own, _ in gaps], [its for _, its in gaps], GAP_BUDGET)
    _say("warm / cold first token, s", [run[1] for run in firsts], [run[0] for run in firsts], WARM_BUDGET)
    _say("mlx_lm.server: warm / cold, s", [run[3] for run in firsts], [run[2] for run in firsts], None)
    _say("cold / mlx_lm.server's, s", [run[0] for run in firsts], [run[2] for run in firsts], 1.0)


def _say(what: str, ones: Sequence[float], others: Sequence[float], budget: float | None) -> None:
    ratio = statistics.median(one / other for one, other in zip(ones, others, strict=True))
    mark = "[info]" if budget is None else "[ok]" if ratio <= budget else "[warn]"
    limit = "" if budget is None else f"  <= {budget:g}"
    medians = f"{statistics.median(ones):>9.4g} {statistics.median(others):>9.4g} {ratio:>9.3g}"
    sys.stdout.write(f"{mark:<6} {what:<32} {medians}{limit}\n")


if __name__ == "__main__":
    main()
