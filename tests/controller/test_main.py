"""The controller as a process: how it ends, and what it never imports."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mlxhub.controller.collaborators import Collaborators, ReloadOutcome
from mlxhub.controller.main import run_controller
from mlxhub.files.keys import current_key
from mlxhub.fleet.hub import Hub
from tests.controller.hub import controller_settings, make_test_hub
from tests.fakes.catalogue import FakeCatalogue
from tests.fakes.launchd import FakeLaunchd
from tests.fakes.ports import free_ports

PROGRAM = """
import sys
from pathlib import Path
from mlxhub.controller.collaborators import Collaborators, ReloadOutcome
from mlxhub.controller.main import run_controller
from mlxhub.files.keys import make_keys
from tests.controller.hub import controller_settings, make_test_hub
from tests.fakes.catalogue import FakeCatalogue
from tests.fakes.launchd import FakeLaunchd

hub = make_test_hub(Path(sys.argv[1]))
outside = Collaborators(
    lambda: hub, FakeLaunchd(), lambda hub, during: ReloadOutcome(), lambda hub: "", FakeCatalogue()
)
settings = controller_settings(Path(sys.argv[1]), int(sys.argv[2]))
make_keys(settings.keys)
sys.exit(run_controller(settings, outside))
"""
ROOT = Path(__file__).parents[2]


def run_with(directory: Path, port: int, hub: Hub) -> tuple[int, str]:
    """The exit code and the log."""
    log = directory / "controller.log"
    settings = controller_settings(directory, port, log_file=log)
    code = run_controller(
        settings,
        Collaborators(lambda: hub, FakeLaunchd(), lambda *_: ReloadOutcome(), lambda _: "", FakeCatalogue()),
    )
    return code, log.read_text()


def test_a_held_port_is_one_line_and_launchd_tries_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        code, log = run_with(tmp_path, port, make_test_hub(tmp_path))
    assert code == 75
    assert len(log.splitlines()) == 1
    assert f"Port {port} is held by pid" in log


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        assert process.poll() is None
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5),
        ):
            return
        time.sleep(0.02)
    raise AssertionError("the controller never answered")


@pytest.mark.parametrize("way", ["SIGTERM", "/hub/shutdown"])
def test_a_requested_stop_is_exit_0(tmp_path: Path, way: str) -> None:
    port = free_ports(1)[0]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(port)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_it_answers(port, process)
        if way == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            admin_key = current_key(controller_settings(tmp_path).keys, "admin")
            headers = {"content-type": "application/json", "authorization": f"Bearer {admin_key}"}
            request = urllib.request.Request(f"http://127.0.0.1:{port}{way}", b"{}", headers)
            with urllib.request.urlopen(request, timeout=5) as response:
                assert json.load(response)["ok"]
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_the_controller_imports_neither_mlx_nor_numpy_nor_httpx() -> None:
    listed = subprocess.run(
        [sys.executable, "-c", "import sys, mlxhub.controller.main; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    heavy = {"mlx", "mlx_lm", "numpy", "transformers", "httpx", "huggingface_hub", "rich"}
    assert heavy & {module.partition(".")[0] for module in listed.stdout.split()} == set()
