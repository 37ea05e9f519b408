"""What models cost while they rest, and how long it takes until one answers: swapped in, killed, adopted.

    .venv/bin/python benchmarks/lifecycle.py                     # five runs: about six minutes
    .venv/bin/python benchmarks/lifecycle.py --runs 1 --json

A hub with two models of a group in which one may be in memory, once with the demo model, whose load takes
next to nothing, and once with echoes that take a second for it and for their memory. What is killed has run
for longer than launchd's throttle, which would else be part of the time.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from signal import SIGKILL

import httpx
import psutil
from front_servers import running
from installed_hub import HOST, InstalledHub, free_ports, installed_hub

from mlxhub.core.agents import THROTTLE_SECONDS
from mlxhub.demo import model_directory

LIMIT_SECONDS = 60
POLL_SECONDS = 0.01
SETTLE_SECONDS = 3.0
SWAP_BUDGET = 1.15
ADOPT_BUDGET_SECONDS = 3.0
SERVE_AGAIN_BUDGET_SECONDS = 2.0
CONTROLLER_BUDGET_MB, WORKER_BUDGET_MB = 70, 50
ADOPTED = 8  # models that a new controller finds
DEMO = "model_path: 'builtin:demo'"
ECHO = "model_type: echo, model_path: 'echo: load 1, weights 200MB'"


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    unit: str
    measured: float
    reference: float | None
    budget: float

    def line(self) -> str:
        verdict = "" if self.measured <= self.budget else " **not met**"
        reference = "" if self.reference is None else f"{self.reference:.3g}"
        return (
            f"| {self.what}, {self.unit} | {self.measured:.3g} | {reference} | {self.budget:.3g}{verdict} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [*_resting(), *_swaps("the demo", DEMO, options.runs), *_swaps("an echo", ECHO, options.runs)]
    rows += _kills(options.runs)
    machine = (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    if options.json:
        sys.stdout.write(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}) + "\n")
        return
    head = ("| | measured | reference | at most |", "| --- | --: | --: | --- |")
    sys.stdout.write("\n".join((machine, "", *head, *(row.line() for row in rows))) + "\n")


def _resting() -> Iterator[Row]:
    with installed_hub("a", DEMO) as hub:
        time.sleep(SETTLE_SECONDS)
        status = hub.status()
        controller, worker = (
            _resident_mb(each["pid"]) for each in (status["controller"], status["models"][0])
        )
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "mlx_lm", "server", "--host", HOST, "--port", str(port)]
    with running([*command, "--model", str(model_directory())], port) as process:
        time.sleep(SETTLE_SECONDS)
        reference = _resident_mb(process.pid)
    yield Row("controller, idle; beside mlx_lm.server", "MB", controller, reference, CONTROLLER_BUDGET_MB)
    yield Row("worker, never loaded", "MB", worker, reference, WORKER_BUDGET_MB)


def _swaps(what: str, model: str, runs: int) -> Iterator[Row]:
    """Both processes run and have loaded before, so that what is compared is the way of the weights."""
    group = "groups: [{name: one, max_loaded: 1, idle_unload_trigger_min: 0}]"
    with installed_hub("ab", f"group: one, {model}", group) as hub:
        for name in "ab":
            _first_token_seconds(hub, name)
        alone, swapped = [], []
        for _ in range(runs):
            hub.run("unload-model", "a", "b")
            alone.append(_first_token_seconds(hub, "b"))
            _first_token_seconds(hub, "a")
            swapped.append(_first_token_seconds(hub, "b"))
    took, load = statistics.median(swapped), statistics.median(alone)
    yield Row(f"{what}: first token in another's place, beside alone", "s", took, load, load * SWAP_BUDGET)


def _kills(runs: int) -> Iterator[Row]:
    """Of a fresh hub each time: what dies five times in ten minutes stays down."""
    adopted, served, loads = [], [], []
    for _ in range(runs):
        with installed_hub((f"m{number}" for number in range(ADOPTED)), DEMO) as hub:
            status = hub.status()
            pids = {model["name"]: model["pid"] for model in status["models"]}
            _outlive_the_throttle(status["controller"]["pid"], *pids.values())
            loads.append(_first_token_seconds(hub, "m0"))
            adopted.append(_seconds_until(partial(_adopts, hub, pids), status["controller"]["pid"]))
            served.append(_seconds_until(partial(_answers, hub, "m0"), pids["m0"]))
    load = statistics.median(loads)
    took = statistics.median(adopted)
    yield Row(f"controller killed, {ADOPTED} models adopted", "s", took, None, ADOPT_BUDGET_SECONDS)
    budget = SERVE_AGAIN_BUDGET_SECONDS + load
    yield Row("worker killed, first token of the next", "s", statistics.median(served), load, budget)


def _seconds_until(is_so: Callable[[], bool], killed: int) -> float:
    """From its death by SIGKILL."""
    begun = time.perf_counter()
    os.kill(killed, SIGKILL)
    while time.perf_counter() - begun < LIMIT_SECONDS:
        with suppress(httpx.HTTPError):
            if is_so():
                return time.perf_counter() - begun
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"[error] That did not come about within {LIMIT_SECONDS} s of a kill.")


def _adopts(hub: InstalledHub, pids: dict[str, int]) -> bool:
    """Whether the controller says of every process that it runs, and that it is still the same one."""
    key = json.loads(Path(hub.home, "state", "keys", "admin.json").read_text())[0]["secret"]
    answer = httpx.get(f"http://{HOST}:{hub.port}/hub/status", headers={"authorization": f"Bearer {key}"})
    models = answer.raise_for_status().json()["models"]
    return all(model["pid"] == pids[model["name"]] and model["memory"] is not None for model in models)


def _answers(hub: InstalledHub, model: str) -> bool:
    return _first_token_seconds(hub, model) > 0


def _outlive_the_throttle(*pids: int) -> None:
    youngest = max(psutil.Process(pid).create_time() for pid in pids)
    time.sleep(max(0.0, youngest + THROTTLE_SECONDS + 1.0 - time.time()))


def _first_token_seconds(hub: InstalledHub, model: str) -> float:
    begun = time.perf_counter()
    asked = {"model": model, "messages": [{"role": "user", "content": "ping"}], "stream": True}
    url = f"http://{HOST}:{hub.port}/v1/chat/completions"
    with httpx.stream("POST", url, json=asked, timeout=LIMIT_SECONDS) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if '"content"' in line:
                return time.perf_counter() - begun
    raise SystemExit(f"[error] {model} ended its answer before it said anything.")


def _resident_mb(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


if __name__ == "__main__":
    main()
