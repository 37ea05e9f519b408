"""Worker processes, a random model for them, and waiting for facts."""

import importlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import openai

from mlxhub.demo import model_directory
from mlxhub.protocol.worker import WorkerStatus
from tests.eventually import eventually

LAUNCH = Path(__file__).parent / "launch.py"
LAUNCH_IMPATIENT = Path(__file__).parent / "launch_impatient.py"
T = TypeVar("T")


def make_random_model(directory: Path, **changes: Any) -> Path:
    """Random weights and the demo's tokenizer; qwen3, unless `model_type` says other.

    Of qwen3 the end token is never said, so it talks for ever.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten

    directory.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(model_directory() / name, directory)
    config = json.loads((model_directory() / "config.json").read_text())
    config |= {"max_position_embeddings": 8192, "dtype": "float32", **changes}
    (directory / "config.json").write_text(json.dumps(config))
    mx.random.seed(7)
    architecture = importlib.import_module(f"mlx_lm.models.{config['model_type']}")
    model = architecture.Model(architecture.ModelArgs.from_dict(config))
    if config["model_type"] == "qwen3":
        silent = mx.array([token == 2 for token in range(config["vocab_size"])])[:, None]
        embedding = model.model.embed_tokens
        embedding.weight = mx.where(silent, 0.0, embedding.weight)
    mx.save_safetensors(str(directory / "model.safetensors"), dict(tree_flatten(model.parameters())))
    return directory


@dataclass
class Worker:
    """A worker process and clients of it."""

    process: "subprocess.Popen[str]"
    url: str
    http: httpx.Client

    @property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=20)

    def status(self) -> WorkerStatus:
        return WorkerStatus.model_validate_json(self.http.get("/status").text)

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.http.post(path, json={} if body is None else body)

    def chat(self, text: str = "hello", **options: Any) -> httpx.Response:
        messages = [{"role": "user", "content": text}]
        return self.post("/v1/chat/completions", {"model": "m", "messages": messages, **options})


RunWorker = Callable[..., AbstractContextManager[Worker]]


@contextmanager
def running_worker(launch: Path = LAUNCH, **settings: Any) -> Iterator[Worker]:
    port = free_port()
    wanted = {"name": "m", "port": port, **settings}
    process = subprocess.Popen(
        [sys.executable, str(launch), json.dumps(wanted)], text=True, stderr=subprocess.PIPE
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=20) as http:
            eventually(lambda: answers(http), 20)
            yield Worker(process, url, http)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def answers(http: httpx.Client) -> bool:
    try:
        return http.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
