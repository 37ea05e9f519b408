"""A hub that the command line installs, in a directory of its own beside a real one, and removes again."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
COMMAND_SECONDS = 300


@dataclass(frozen=True, slots=True)
class InstalledHub:
    """On a Mac its agents live beside the user's own, under a label prefix of their own.

    `ports` of the models, by name; none of them one that another hub would assign.
    """

    home: Path
    port: int
    ports: dict[str, int]

    def run(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "mlxhub", *arguments],
            env=os.environ | {"MLXHUB_HOME": str(self.home), "MLXHUB_TESTING": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=COMMAND_SECONDS,
        ).stdout

    def status(self) -> Any:
        return json.loads(self.run("status", "--json"))


@contextmanager
def installed_hub(names: Iterable[str], model: str, *more: str) -> Iterator[InstalledHub]:
    """`model`: what hub.yaml says of each of them. `more`: lines of hub.yaml."""
    home = Path(tempfile.mkdtemp(prefix="mlxhub-bench-"))
    names = list(names)
    port, *ports = free_ports(len(names) + 1)
    hub = InstalledHub(home, port, dict(zip(names, ports, strict=True)))
    lines = [f"label_prefix: io.mlxhub.bench.{secrets.token_hex(3)}", f"port: {port}", *more, "models:"]
    lines += [f"  - {{name: {name}, port: {own}, {model}}}" for name, own in hub.ports.items()]
    (home / "hub.yaml").write_text("\n".join(lines) + "\n")
    try:
        hub.run("install")
        yield hub
    finally:
        hub.run("uninstall", "--purge")
        shutil.rmtree(home, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        servers = [held.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in servers]
