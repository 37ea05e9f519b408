"""How good requests fare while slowhttptest holds connections: slow heads (-H), bodies (-B) and reads (-X).

    .venv/bin/python benchmarks/slow_clients.py                   # 200 connections, 60 s each: nine minutes
    .venv/bin/python benchmarks/slow_clients.py --seconds 15 --json > today.json

A fresh hub with its own supervisor and the demo model; on a Mac its agents live beside the user's own, under
a label prefix of their own, and are removed. A good client asks for /v1/models and for a chat of one token in
turn, at a steady rate: what waits for its turn counts as late. slowhttptest begins anew whenever the server
has closed all of its connections.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

BUDGET_SECONDS = 0.25  # for the 99th percentile of good requests
COMMAND_SECONDS = 300
ANSWER_SECONDS = 30
INSTALL = (
    "slowhttptest is not here. Debian: sudo apt-get install slowhttptest; macOS: brew install slowhttptest"
)
CHAT = {"model": "demo", "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}
# By mode: its own options, and the path it asks for on the controller and on a worker.
MODES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "-H": (("-i", "5"), "/v1/models", "/v1/models"),
    "-B": (("-i", "5", "-f", "application/json"), "/v1/chat/completions", "/v1/chat/completions"),
    "-X": (("-k", "10", "-w", "1", "-y", "512", "-n", "1", "-z", "32"), "/hub/hub.js", "/v1/models"),
}


@dataclass(slots=True)
class Row:
    """`opened` and `closed`: connections of the attack, and those that the server ended within the time."""

    target: str
    mode: str
    requests: int = 0
    p50_seconds: float = 0.0
    p99_seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    opened: int = 0
    closed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each mode and target")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20, help="good requests a second")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if shutil.which("slowhttptest") is None:
        parser.error(INSTALL)
    with _hub() as ports:
        rows = [
            asyncio.run(_measure(Row(target, mode), port, options))
            for target, port in ports.items()
            for mode in ("none", *MODES)
        ]
    load = os.getloadavg()[0]
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}"
    if options.json:
        sys.stdout.write(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}) + "\n")
        return
    sys.stdout.write("\n".join((machine, "", *_table(rows))) + "\n")


def _table(rows: list[Row]) -> Iterator[str]:
    yield "| target | attack | good requests | p50 ms | p99 ms | errors | connections closed | |"
    yield "| --- | --- | --: | --: | --: | --: | --: | --- |"
    for row in rows:
        verdict = "" if row.p99_seconds <= BUDGET_SECONDS and not row.errors else "over budget"
        numbers = (
            f"{row.requests} | {row.p50_seconds * 1e3:.1f} | {row.p99_seconds * 1e3:.1f} | {len(row.errors)}"
        )
        yield f"| {row.target} | {row.mode} | {numbers} | {row.closed} of {row.opened} | {verdict} |"


async def _measure(row: Row, port: int, options: argparse.Namespace) -> Row:
    url = f"http://127.0.0.1:{port}"
    async with asyncio.TaskGroup() as tasks:
        if row.mode != "none":
            tasks.create_task(_attack(row, url, options))
        seconds = await _ask_steadily(row, url, options)
    ordered = sorted(seconds)
    row.requests = len(ordered)
    row.p50_seconds, row.p99_seconds = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
    return row


async def _ask_steadily(row: Row, url: str, options: argparse.Namespace) -> list[float]:
    """How long each request took from when it was due."""
    clock = asyncio.get_running_loop().time
    seconds: list[float] = []
    begun = clock()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS, limits=limits) as http:

        async def ask(number: int) -> None:
            due = begun + number / options.rate
            await asyncio.sleep(due - clock())
            try:
                asked = http.get("/v1/models") if number % 2 else http.post("/v1/chat/completions", json=CHAT)
                response = await asked
                if response.status_code != 200:
                    row.errors.append(f"{response.status_code} {response.text[:200]}")
            except httpx.HTTPError as error:
                row.errors.append(repr(error))
            seconds.append(clock() - due)

        async with asyncio.TaskGroup() as tasks:
            for number in range(int(options.seconds * options.rate)):
                tasks.create_task(ask(number))
    return seconds


async def _attack(row: Row, url: str, options: argparse.Namespace) -> None:
    """Again and again until the time is over."""
    own, at_controller, at_worker = MODES[row.mode]
    path = at_controller if row.target == "controller" else at_worker
    count = str(options.connections)
    end = time.monotonic() + options.seconds
    while (left := round(end - time.monotonic())) > 0:
        command = [
            "slowhttptest",
            row.mode,
            "-c",
            count,
            "-r",
            count,
            "-l",
            str(left),
            *own,
            "-u",
            url + path,
        ]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said, _ = await process.communicate()
        text = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", said.decode(errors="replace"))
        row.opened += options.connections
        if "No open connections left" in text:
            row.closed += options.connections
            continue
        closed = re.findall(r"^closed:\s+(\d+)", text, re.MULTILINE)
        row.closed += int(closed[-1]) if closed else 0


@contextmanager
def _hub() -> Iterator[dict[str, int]]:
    """The ports of a hub that runs and has its model in memory."""
    home = Path(tempfile.mkdtemp(prefix="mlxhub-bench-"))
    ports = dict(zip(("controller", "worker"), _free_ports(2), strict=True))
    model = f"{{name: demo, model_path: 'builtin:demo', preload: true, port: {ports['worker']}}}"
    lines = [f"label_prefix: io.mlxhub.bench.{secrets.token_hex(3)}", f"port: {ports['controller']}"]
    (home / "hub.yaml").write_text("\n".join([*lines, "models:", f"  - {model}"]) + "\n")
    try:
        _run(home, "install")
        _run(home, "load-model", "demo")
        yield ports
    finally:
        _run(home, "uninstall", "--purge")
        shutil.rmtree(home, ignore_errors=True)


def _run(home: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "mlxhub", *arguments],
        env=os.environ | {"MLXHUB_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=COMMAND_SECONDS,
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        servers = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in servers]


if __name__ == "__main__":
    main()
