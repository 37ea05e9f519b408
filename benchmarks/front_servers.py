"""What stands in front of a worker: a hub's controller, nginx, litellm's proxy."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import platformdirs
import psutil
from installed_hub import COMMAND_SECONDS, HOST, free_ports, installed_hub
from quick_worker import QUICK

STREAMS = "streams"
# litellm wants one; all get it, as OpenAI's clients always send one.
API_KEY = f"sk-{secrets.token_hex(16)}"
_LAST_WORDS = 2000
ROOT = Path(__file__).parents[1]
_QUICK_WORKER = Path(__file__).with_name("quick_worker.py")
_NGINX = """
daemon off; worker_processes 1; error_log stderr; pid {directory}/pid; worker_rlimit_nofile 8192; {user}
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 0;
  client_body_temp_path {directory}; proxy_temp_path {directory};
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off;
  {upstreams}
  {servers}
}}
"""
_UPSTREAM = "upstream to_{port} {{ server {host}:{port}; keepalive 1024; keepalive_requests 100000000; }}"
_SERVER = "server {{ listen {host}:{own} backlog=2048; location / {{ proxy_pass http://to_{port}; }} }}"


@dataclass(frozen=True, slots=True)
class Front:
    """`ports` by model, where each is asked for; `pid` of the process that passes requests on, if any."""

    name: str
    ports: dict[str, int]
    pid: int | None = None

    def cpu_seconds(self) -> float:
        used = psutil.Process(self.pid).cpu_times()
        return used.user + used.system

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)


@contextmanager
def hub() -> Iterator[tuple[Front, Front]]:
    """The workers, asked directly, and the controller: a hub that the command line has installed.

    The launcher of its workers is another one meanwhile: quick_worker.py gets their arguments.
    """
    models = (QUICK, STREAMS)
    with installed_hub(models, "model_type: echo, model_path: 'echo:', default: false") as installed:
        launcher = installed.home / "bin" / "mlxhub-worker"
        ours = launcher.read_text()
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_QUICK_WORKER}" "$@"\n')
        installed.run("start-model", *models)
        launcher.write_text(ours)
        controller = installed.status()["controller"]["pid"]
        yield (
            Front("direct", installed.ports),
            Front("mlxhub", dict.fromkeys(models, installed.port), controller),
        )


@contextmanager
def nginx(workers: Front) -> Iterator[Front]:
    """One worker, connections to ours kept, nothing buffered."""
    ports = dict(zip(workers.ports, free_ports(len(workers.ports)), strict=True))
    pairs = [(ports[name], port) for name, port in workers.ports.items()]
    with tempfile.TemporaryDirectory(prefix="mlxhub-bench-") as directory:
        conf = Path(directory, "nginx.conf")
        conf.write_text(
            _NGINX.format(
                directory=directory,
                user="user root;" if os.getuid() == 0 else "",
                upstreams=" ".join(_UPSTREAM.format(host=HOST, port=port) for _, port in pairs),
                servers=" ".join(_SERVER.format(host=HOST, own=own, port=port) for own, port in pairs),
            )
        )
        with running([program("nginx"), "-c", str(conf), "-p", directory], ports[QUICK]) as process:
            pid = psutil.Process(process.pid).children()[0].pid
            yield Front("nginx", ports, pid)


@contextmanager
def litellm(workers: Front) -> Iterator[Front]:
    """One worker, no database; in an environment of its own, made once."""
    environment = platformdirs.user_cache_path("mlxhub-bench") / "litellm"
    command = environment / "bin" / "litellm"
    if not command.exists():
        subprocess.run([ROOT / "scripts" / "make-env", environment, "litellm[proxy]"], check=True)
    port = free_ports(1)[0]
    with tempfile.TemporaryDirectory(prefix="mlxhub-bench-") as directory:
        config = Path(directory, "config.yaml")
        base = f"http://{HOST}:{workers.ports[QUICK]}/v1"
        passed = {"model": f"openai/{QUICK}", "api_base": base, "api_key": "none"}
        config.write_text(json.dumps({"model_list": [{"model_name": QUICK, "litellm_params": passed}]}))
        arguments = ["--config", str(config), "--host", HOST, "--port", str(port), "--num_workers", "1"]
        # Its list of prices it would else fetch.
        own = {"LITELLM_MASTER_KEY": API_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with running([str(command), *arguments], port, own) as process:
            yield Front("litellm", {QUICK: port}, process.pid)


@contextmanager
def running(
    command: Sequence[str], port: int, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[subprocess.Popen[bytes]]:
    """Entered when the port takes connections."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)
        try:
            deadline = time.monotonic() + COMMAND_SECONDS
            while not _takes_connections(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    said = log.read().decode()[-_LAST_WORDS:]
                    raise SystemExit(f"[error] {command[0]} does not serve: {said}")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(COMMAND_SECONDS)


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SystemExit(
            f"[error] {name} is not here. Debian: sudo apt-get install {name}; macOS: brew install {name}"
        )
    return found


def _takes_connections(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
