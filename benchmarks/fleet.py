"""How long `install`, `plan` and `status` take with many models. No weights are loaded.

    .venv/bin/python benchmarks/fleet.py                 # 1 and 20 models installed, 100 planned, 5 runs each
    .venv/bin/python benchmarks/fleet.py --json > today.json

Every hub is a fresh directory with its own supervisor; on a Mac its agents live beside the user's own,
under a label prefix of their own, and are removed.
"""

import argparse
import json
import os
import platform
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALL_BUDGET_SHARE = 0.5  # of what so many models would take one after the other
PLAN_BUDGET_SECONDS = 1.0  # above an interpreter that does nothing
STATUS_BUDGET_SECONDS = 0.25
COMMAND_SECONDS = 300


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--installed", type=int, default=20, help="models that are installed and started")
    parser.add_argument("--planned", type=int, default=100, help="models that are installed and not started")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    one = _median(options.runs, lambda: _install_seconds(1))
    many = _median(options.runs, lambda: _install_seconds(options.installed))
    bare = _median(options.runs, lambda: _seconds(sys.executable, "-c", "pass"))
    with _hub(options.planned, eager=False) as run:
        run("install")
        plan = _median(options.runs, lambda: _timed(lambda: run("plan")))
        status = _median(options.runs, lambda: _timed(lambda: run("status")))
    rows = [
        _row(f"install of {options.installed} models", many, one * options.installed * INSTALL_BUDGET_SHARE),
        _row(f"plan with {options.planned} models", plan, bare + PLAN_BUDGET_SECONDS),
        _row(f"status with {options.planned} models", status, bare + STATUS_BUDGET_SECONDS),
    ]
    reference = {"install of 1 model": round(one, 3), "python -c pass": round(bare, 3)}
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if options.json:
        sys.stdout.write(json.dumps({"machine": machine, "reference": reference, "rows": rows}) + "\n")
        return
    lines = [machine, *(f"{name}: {seconds} s" for name, seconds in reference.items())]
    lines += [f"{row['what']}: {row['seconds']} s (budget {row['budget_seconds']} s)" for row in rows]
    sys.stdout.write("\n".join(lines) + "\n")


def _row(what: str, seconds: float, budget_seconds: float) -> dict[str, object]:
    return {"what": what, "seconds": round(seconds, 3), "budget_seconds": round(budget_seconds, 3)}


def _median(runs: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(runs))


def _install_seconds(models: int) -> float:
    """Nothing runs, the supervisor included, until every port has answered."""
    with _hub(models, eager=True) as run:
        return _timed(lambda: run("install"))


def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _seconds(*command: str) -> float:
    return _timed(lambda: subprocess.run(command, check=True, timeout=COMMAND_SECONDS))


@contextmanager
def _hub(models: int, *, eager: bool) -> Iterator[Callable[[str], None]]:
    home = Path(tempfile.mkdtemp(prefix="mlxhub-bench-"))
    prefix = f"io.mlxhub.bench.{secrets.token_hex(3)}"
    ports = _free_ports(models + 1)
    lines = [f"label_prefix: {prefix}", f"port: {ports[0]}", "models:"]
    default = str(eager).lower()
    lines += [
        f"  - {{name: m{index}, model_path: 'builtin:demo', default: {default}, port: {port}}}"
        for index, port in enumerate(ports[1:])
    ]
    (home / "hub.yaml").write_text("\n".join(lines) + "\n")
    environment = os.environ | {"MLXHUB_HOME": str(home)}

    def run(command: str, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "mlxhub", command, *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=COMMAND_SECONDS,
        )

    try:
        yield run
    finally:
        run("uninstall", "--purge")
        shutil.rmtree(home, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


if __name__ == "__main__":
    main()
