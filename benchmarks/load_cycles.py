"""A worker that loads and unloads its model again and again: what it holds on to.

    .venv/bin/python benchmarks/load_cycles.py               # the demo model, 500 times
    .venv/bin/python benchmarks/load_cycles.py --cycles 50 --json

Each cycle loads, answers once, and unloads. Memory, open files and threads are read while it is unloaded.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import httpx
import psutil
from model_servers import LIMIT_SECONDS, question, worker

from mlxhub.demo import MODEL_REFERENCE

WARM_CYCLES = 20
# Of the first cycles after those and of the last: one reading alone is what the allocator happens to hold.
SHARE = 5


@dataclass(frozen=True, slots=True)
class Held:
    memory_bytes: int
    open_files: int
    threads: int


def readings(cycles: int) -> Iterator[Held]:
    with worker(MODEL_REFERENCE) as url, httpx.Client(base_url=url, timeout=LIMIT_SECONDS) as client:
        process = psutil.Process(client.get("/status").raise_for_status().json()["pid"])
        for _ in range(cycles):
            client.post("/load", json={}).raise_for_status()
            client.post("/v1/chat/completions", json=question("ping")).raise_for_status()
            client.post("/unload", json={}).raise_for_status()
            yield Held(process.memory_info().rss, process.num_fds(), process.num_threads())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    held = list(readings(options.cycles + WARM_CYCLES))[WARM_CYCLES:]
    part = max(1, options.cycles // SHARE)
    early, late = (_medians(each) for each in (held[:part], held[-part:]))
    if options.json:
        sys.stdout.write(json.dumps({"early": asdict(early), "late": asdict(late)}) + "\n")
        return
    for name, value in asdict(early).items():
        sys.stdout.write(f"{name:<14} {value:>12,} {asdict(late)[name]:>12,}\n")


def _medians(held: list[Held]) -> Held:
    return Held(
        int(statistics.median(each.memory_bytes for each in held)),
        int(statistics.median(each.open_files for each in held)),
        int(statistics.median(each.threads for each in held)),
    )


if __name__ == "__main__":
    main()
