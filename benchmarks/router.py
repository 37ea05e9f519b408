"""What a request pays for passing the controller, beside nginx and litellm's proxy in its place.

    .venv/bin/python benchmarks/router.py                    # five runs: about six minutes
    .venv/bin/python benchmarks/router.py --runs 1 --seconds 1 --without-litellm
    .venv/bin/python benchmarks/router.py --json > today.json

All are in front of the same workers, which are none: quick_worker.py answers in their place, so that what is
in front is what is measured. The hub is one that the command line has installed. Ways take turns in each
run, and what is compared is the median over the runs; "added" is through the router less straight to the
worker. Clients: wrk for whole answers, ours for streams. Needs nginx and wrk; litellm is installed into an
environment of its own, in the cache directory, the first time.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from front_servers import API_KEY, Front, hub, litellm, nginx, program
from installed_hub import HOST
from quick_worker import QUICK
from stream_clients import flood, hang_up_seconds, large_body_seconds, pace

CONNECTIONS = 32
FLOODING, FLOOD_TOKENS = 64, 2000
PACED, PACED_TOKENS = 1000, 8
HANG_UPS = 5
BODY_BYTES = 30_000_000
WATCH_EVERY_SECONDS = 0.005
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_WRK = """
wrk.method = "POST"
wrk.body = '{"model": "%s", "messages": [{"role": "user", "content": "ping"}]}'
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer %s"
"""


@dataclass(frozen=True, slots=True)
class Row:
    """`compared`: with the reference, as `how` says. `budget`: the most of it, or the least if `at_least`."""

    what: str
    unit: str
    measured: float
    reference: float | None
    how: str
    compared: float
    budget: float
    at_least: bool = False

    def line(self) -> str:
        kept = self.compared >= self.budget if self.at_least else self.compared <= self.budget
        reference = "" if self.reference is None else f"{self.reference:.4g}"
        bound = "at least" if self.at_least else "at most"
        verdict = "" if kept else " **not met**"
        cells = (
            f"{self.what}, {self.unit}",
            f"{self.measured:.4g}",
            reference,
            f"{self.how} {self.compared:.3g}",
            f"{bound} {self.budget:.3g}{verdict}",
        )
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, slots=True)
class Whole:
    """Of a run with whole answers: seconds, and the CPU of who passed each on, None where nobody did."""

    per_second: float
    p50: float
    p99: float
    cpu: float | None


class Samples:
    """By what was measured and by which way."""

    def __init__(self) -> None:
        self._by: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, what: str, way: str, value: float) -> None:
        self._by[what, way].append(value)

    def median(self, what: str, way: str = "mlxhub") -> float:
        return statistics.median(self._by[what, way])

    def most(self, what: str, way: str = "mlxhub") -> float:
        return max(self._by[what, way])

    def added(self, what: str, way: str = "mlxhub") -> float:
        """The median of the runs' own differences."""
        pairs = zip(self._by[what, way], self._by[what, "direct"], strict=True)
        return statistics.median(value - direct for value, direct in pairs)

    def all(self) -> dict[str, list[float]]:
        return {f"{what} {way}": values for (what, way), values in self._by.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="for each way with whole answers")
    parser.add_argument("--without-litellm", action="store_true", help="it takes a minute to start")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    program("wrk")
    with ExitStack() as servers:
        direct, ours = servers.enter_context(hub())
        ways = [direct, servers.enter_context(nginx(direct)), ours]
        if not options.without_litellm:
            ways.append(servers.enter_context(litellm(direct)))
        script = servers.enter_context(_script())
        samples = Samples()
        for _ in range(options.runs):
            _measure_whole_answers(ways, samples, script, options.seconds)
            uvloop.run(_measure_streams(ways[:3], samples))
            uvloop.run(_measure_bodies(ways[:3], samples))
    rows = list(_rows(samples, with_litellm=not options.without_litellm))
    machine = (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    if options.json:
        said = {"machine": machine, "rows": [asdict(row) for row in rows], "samples": samples.all()}
        sys.stdout.write(json.dumps(said) + "\n")
        return
    head = ("| | mlxhub | reference | compared | budget |", "| --- | --: | --: | --: | --- |")
    sys.stdout.write("\n".join((machine, "", *head, *(row.line() for row in rows))) + "\n")


def _rows(samples: Samples, *, with_litellm: bool) -> Iterator[Row]:
    for what, budget in (("p50", 8.0), ("p99", 12.0)):
        ours, theirs = (samples.added(f"c1 {what}", way) * 1e6 for way in ("mlxhub", "nginx"))
        yield Row(f"added {what}, one connection", "µs", ours, theirs, "x", ours / theirs, budget)
    ours, theirs = (samples.median("cpu", way) * 1e6 for way in ("mlxhub", "nginx"))
    yield Row(f"CPU per request, {CONNECTIONS} connections", "µs", ours, theirs, "x", ours / theirs, 9.0)
    for reference, least in (("nginx", 1 / 9), *([("litellm", 80.0)] if with_litellm else [])):
        ours, theirs = (samples.median("c32", way) for way in ("mlxhub", reference))
        what = f"{CONNECTIONS} connections, beside {reference}"
        yield Row(what, "requests/s", ours, theirs, "x", ours / theirs, least, at_least=True)
    ours, theirs = (samples.median("flood", way) for way in ("mlxhub", "nginx"))
    what = f"{FLOODING} streams without a pause"
    yield Row(what, "tokens/s", ours, theirs, "x", ours / theirs, 0.9, at_least=True)
    whole = samples.median("answered")
    yield Row(f"{PACED} streams at once", "answered", whole, PACED, "", whole, PACED, at_least=True)
    grown = samples.most("streams RSS") / 1e6
    yield Row("the controller's memory for them", "MB", grown, None, "+", grown, 20.0)
    ours, theirs = (samples.median("gap", way) * 1e3 for way in ("mlxhub", "direct"))
    yield Row("99th percentile of their gaps", "ms", ours, theirs, "+", samples.added("gap") * 1e3, 5.0)
    for when in ("before", "after"):
        ours, theirs = (samples.median(f"hang-up {when}", way) * 1e3 for way in ("mlxhub", "direct"))
        yield Row(f"hang-up {when} the first token", "ms", ours, theirs, "+", ours, 5.0)
    ours, theirs = (samples.median("body", way) * 1e3 for way in ("mlxhub", "direct"))
    yield Row(
        f"a body of {BODY_BYTES / 1e6:g} MB", "ms", ours, theirs, "+", samples.added("body") * 1e3, 60.0
    )
    grown = samples.most("body RSS")
    yield Row(
        "the controller's memory for it", "MB", grown / 1e6, None, "x its size", grown / BODY_BYTES, 2.0
    )


def _measure_whole_answers(ways: list[Front], samples: Samples, script: Path, seconds: int) -> None:
    for way in ways:
        alone = _wrk(way, 1, seconds, script)
        samples.add("c1 p50", way.name, alone.p50)
        samples.add("c1 p99", way.name, alone.p99)
    for way in ways:
        many = _wrk(way, CONNECTIONS, seconds, script)
        samples.add("c32", way.name, many.per_second)
        if many.cpu is not None:
            samples.add("cpu", way.name, many.cpu)


async def _measure_streams(ways: list[Front], samples: Samples) -> None:
    for way in ways:
        samples.add("flood", way.name, await flood(way, FLOODING, FLOOD_TOKENS))
    for way in ways:
        with _grown(way) as grown:
            answered, gap = await pace(way, PACED, PACED_TOKENS)
        samples.add("answered", way.name, answered)
        samples.add("gap", way.name, gap)
        samples.add("streams RSS", way.name, grown[0])
    for way in ways:
        for when in ("before", "after"):
            took = await hang_up_seconds(way, ways[0], HANG_UPS, after_first=when == "after")
            samples.add(f"hang-up {when}", way.name, took)


async def _measure_bodies(ways: list[Front], samples: Samples) -> None:
    for way in ways:
        with _grown(way) as grown:
            samples.add("body", way.name, await large_body_seconds(way, BODY_BYTES))
        samples.add("body RSS", way.name, grown[0])


def _wrk(way: Front, connections: int, seconds: int, script: Path) -> Whole:
    before = None if way.pid is None else way.cpu_seconds()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "--latency", "-s"]
    url = f"http://{HOST}:{way.ports[QUICK]}/v1/chat/completions"
    said = subprocess.run([*command, script, url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"[error] wrk had errors through {way.name}:\n{said}")
    count = int(_found(r"(\d+) requests in", said)[1])
    cpu = None if before is None else (way.cpu_seconds() - before) / count
    p50, p99 = (
        float(found[1]) * _UNITS[found[2]]
        for found in (_found(rf"{share}%\s+([\d.]+)(us|ms|s)\b", said) for share in (50, 99))
    )
    return Whole(float(_found(r"Requests/sec:\s+([\d.]+)", said)[1]), p50, p99, cpu)


def _found(pattern: str, said: str) -> re.Match[str]:
    found = re.search(pattern, said)
    if found is None:
        raise SystemExit(f"[error] wrk said no {pattern}:\n{said}")
    return found


@contextmanager
def _script() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mlxhub-bench-") as directory:
        script = Path(directory, "post.lua")
        script.write_text(_WRK % (QUICK, API_KEY))
        yield script


@contextmanager
def _grown(way: Front) -> Iterator[list[float]]:
    """At its end: the most resident memory that `way` had meanwhile, above what it had at the beginning."""
    grown = [0.0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_EVERY_SECONDS):
            grown[0] = max(grown[0], way.resident_bytes() - begun)

    if way.pid is None:
        yield grown
        return
    begun = way.resident_bytes()
    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield grown
    finally:
        over.set()
        watching.join()


if __name__ == "__main__":
    main()
