"""A whole hub of real processes: installed by the command line from real plists, in its own directory."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from tests.conftest import SEED
from tests.fakes.ports import free_ports
from tests.warm_commands import run_mlxhub

COMMAND_SECONDS = 120
# The supervisor's seconds in one of ours: what launchd lets pass between two starts, 10 s, takes two;
# what it gives a process to end, 45 s, is still enough on a busy machine.
CLOCK_SCALE = 5


@dataclass(frozen=True, slots=True)
class LiveHub:
    """`prefix` begins every label: on a Mac these agents live beside the user's own.

    `first_port` is for models that name none, away from those of other hubs on this machine. `testing`: its
    models may be echoes (docs/development.md).
    """

    home: Path
    port: int
    first_port: int
    prefix: str
    testing: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """Of whoever runs mlxhub's commands for this hub."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLXHUB_")}
        environment |= {
            "MLXHUB_HOME": str(self.home),
            "MLXHUB_LAUNCHD_SEED": SEED,
            "MLXHUB_LAUNCHD_CLOCK_SCALE": str(CLOCK_SCALE),
            "NO_COLOR": "1",
        }
        if self.testing:
            environment["MLXHUB_TESTING"] = "1"
        return environment

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return run_mlxhub(arguments, self.environment, stdin, COMMAND_SECONDS)

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def write(self, *models: str, **options: object) -> None:
        """hub.yaml with these entries of `models:`, each as in `{name: a, model_path: b}`."""
        own = {"port": self.port, "model_starting_port": self.first_port, "label_prefix": self.prefix}
        keys = own | options
        lines = [f"{key}: {value}" for key, value in keys.items()]
        lines += ["models:", *(f"  - {model}" for model in models)]
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "hub.yaml").write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bearer(self, which: str) -> dict[str, str]:
        """The header with its api or admin key."""
        return {"authorization": f"Bearer {self.ok('keys', 'show', which).strip()}"}

    def model(self, name: str) -> Any:
        return next(model for model in self.json("status")["models"] if model["name"] == name)

    def client(self, port: int | None = None) -> openai.OpenAI:
        """Of the controller, or of what serves at a port."""
        return openai.OpenAI(
            base_url=f"http://127.0.0.1:{port or self.port}/v1", api_key="none", max_retries=0, timeout=60
        )

    def processes(self) -> list[psutil.Process]:
        """Everything that was started for this hub: its directory stands in their arguments."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
                if ours and any(str(self.home) in argument for argument in process.cmdline()):
                    found.append(process)
        return found

    def remove(self) -> None:
        """Whatever a test left: agents, processes, files."""
        self.run("uninstall", "--purge")
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def make_hub(root: Path) -> LiveHub:
    """The space is there on purpose: a Mac's own directories have one."""
    port, first = free_ports(2)
    prefix = f"io.mlxhub.test.{secrets.token_hex(3)}"
    hub = LiveHub(home=root / "a hub", port=port, first_port=first, prefix=prefix)
    hub.write()
    return hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    """Nothing is installed yet."""
    hub = make_hub(tmp_path)
    yield hub
    hub.remove()


@pytest.fixture(scope="session")
def demo_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Installed and running, with the demo model; tests that share it leave it as they found it."""
    hub = make_hub(tmp_path_factory.mktemp("demo"))
    hub.write("{name: demo, model_path: 'builtin:demo', aliases: [gpt-4o-mini]}")
    hub.ok("install")
    yield hub
    hub.remove()


@pytest.fixture(scope="session")
def demo_port(demo_hub: LiveHub) -> int:
    """Its worker's, which never changes: a command that tells it takes half a second."""
    return int(demo_hub.model("demo")["port"])


@pytest.fixture(scope="session", params=["controller", "worker"])
def hop_port(request: pytest.FixtureRequest, demo_hub: LiveHub, demo_port: int) -> int:
    """Of each program that answers for the demo model."""
    return demo_hub.port if request.param == "controller" else demo_port
