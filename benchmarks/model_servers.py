"""Servers of one model, and clients that note when each piece of an answer came."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httptools
import httpx
import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.llama import Model, ModelArgs
from mlx_lm.utils import load_config, load_tokenizer

from mlxhub.demo import model_directory

LIMIT_SECONDS = 600
POLL_SECONDS = 0.005
HEAD_WIDTH = 64
OURS, MLX_LMS = "bench", "default_model"  # what each calls its one model
PROMPT = "tell me a long story"


@dataclass(slots=True)
class Answer:
    """A streamed answer. It is read once it is over, so that the client takes little from the server."""

    sent: float = 0.0
    arrived: list[tuple[float, bytes]] = field(default_factory=list)  # as it came, HTTP's frames included
    text: str = ""
    tokens: int = 0
    texts: list[float] = field(default_factory=list)  # when each piece of text came, and the end

    def read(self) -> None:
        body = _Body()
        rest = b""
        for now, data in self.arrived:
            *lines, rest = (rest + body.of(data)).split(b"\n\n")
            # Neither [DONE] nor a heartbeat.
            for event in (json.loads(line[6:]) for line in lines if line.startswith(b"data: {")):
                self._read_event(event, now)

    def _read_event(self, event: Any, now: float) -> None:
        if "error" in event:
            raise SystemExit(f"[error] The server ended a stream with an error: {event['error']}")
        if usage := event.get("usage"):
            self.tokens = usage["completion_tokens"]
        for choice in event["choices"]:
            self.text += (text := choice["delta"].get("content") or "")
            if text or choice["finish_reason"]:
                self.texts.append(now)


class _Body:
    """What httptools takes out of a response."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._new = b""

    def of(self, data: bytes) -> bytes:
        self._new = b""
        self._parser.feed_data(data)
        if (status := self._parser.get_status_code()) != HTTPStatus.OK:
            raise SystemExit(f"[error] The server answered {status}: {self._new.decode(errors='replace')}")
        return self._new

    def on_body(self, body: bytes) -> None:
        self._new += body


class _Connection(asyncio.Protocol):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._answer.arrived.append((time.perf_counter(), data))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.over.done():
            return
        if exc is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(exc)


async def ask(url: str, answer: Answer, tokens: int, text: str = PROMPT, model: str = OURS) -> None:
    """On a connection of its own, which stands before the answer's time begins."""
    options = {"max_tokens": tokens, "stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps(question(text, model) | options).encode()
    where = urlsplit(url)
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(
        lambda: _Connection(answer), where.hostname, where.port
    )
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        answer.sent = time.perf_counter()
        transport.write(head.encode() + body)
        async with asyncio.timeout(LIMIT_SECONDS):
            await connection.over
    finally:
        transport.close()


def question(text: str, model: str = OURS) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "temperature": 0}


def worker(model_path: str) -> AbstractContextManager[str]:
    """The address of a worker that answers, its model not yet in memory."""
    return _server("-m", "mlxhub", "worker", "--name", OURS, "--model-path", model_path)


def mlx_lm_server(model_path: str) -> AbstractContextManager[str]:
    """The address of mlx-lm's own server."""
    return _server("-m", "mlx_lm", "server", "--host", "127.0.0.1", "--model", model_path)


@contextmanager
def _server(*arguments: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        url, port = f"http://127.0.0.1:{held.getsockname()[1]}", str(held.getsockname()[1])
    command = [sys.executable, *arguments, "--port", port]
    with tempfile.TemporaryFile() as log, httpx.Client(base_url=url, timeout=LIMIT_SECONDS) as client:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                with suppress(httpx.ConnectError):
                    client.get("/health").raise_for_status()
                    break
                time.sleep(POLL_SECONDS)
            else:
                log.seek(0)
                raise SystemExit(f"[error] The server ended: {log.read().decode(errors='replace')}")
            yield url
        finally:
            process.terminate()
            process.wait(LIMIT_SECONDS)


def usual_dtype() -> mx.Dtype:
    """A CPU has no half precision of its own: a worker turns all weights into float32 there."""
    return mx.float32 if mx.default_device().type == mx.cpu else mx.bfloat16


@contextmanager
def the_demo() -> Iterator[str]:
    """The demo model's directory, in float32 on a CPU."""
    if usual_dtype() is not mx.float32:
        yield str(model_directory())
        return
    with tempfile.TemporaryDirectory(prefix="mlxhub-bench-") as directory:
        shutil.copytree(model_directory(), directory, dirs_exist_ok=True)
        file = f"{directory}/model.safetensors"
        weights: Any = mx.load(file)
        whole = {name: weight.astype(mx.float32) for name, weight in weights.items()}
        mx.eval(whole)
        mx.save_safetensors(file, whole, metadata={"format": "mlx"})
        yield directory


@contextmanager
def random_llama(millions: int, dtype: mx.Dtype = mx.bfloat16) -> Iterator[tuple[str, str]]:
    """A name and a directory: random weights, the demo model's tokenizer, answers that never end early."""
    layers = max(1, round((millions * 1e6 / (12 * HEAD_WIDTH**2)) ** (1 / 3)))
    tokenizer, demo = load_tokenizer(model_directory()), load_config(model_directory())
    config = {key: demo[key] for key in ("vocab_size", "eos_token_id", "rms_norm_eps")}
    config |= {"model_type": "llama", "num_hidden_layers": layers, "num_attention_heads": layers}
    config |= {"hidden_size": HEAD_WIDTH * layers, "intermediate_size": HEAD_WIDTH * round(8 * layers / 3)}
    config |= {"max_position_embeddings": 2048, "tie_word_embeddings": True}
    mx.random.seed(0)
    model = Model(ModelArgs.from_dict(config))
    # A row of zeros is never the likeliest token: answers are plain text, a piece for each token.
    said = [tokenizer.decode([token]) for token in range(config["vocab_size"])]
    plain = mx.array([text.isascii() and text.isprintable() and "<" not in text for text in said])
    model.model.embed_tokens.weight *= plain[:, None]
    model.set_dtype(dtype)
    weights = dict(tree_flatten(model.parameters()))
    with tempfile.TemporaryDirectory(prefix="mlxhub-bench-") as directory:
        shutil.copytree(model_directory(), directory, dirs_exist_ok=True)
        Path(directory, "config.json").write_text(json.dumps(config))
        mx.save_safetensors(f"{directory}/model.safetensors", weights, metadata={"format": "mlx"})
        yield f"{sum(each.size for each in weights.values()) / 1e6:.0f} M", directory
