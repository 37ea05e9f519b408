"""A26, A27, A31 and A36: no client's word, nor a model's, opens a file or a connection."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.conftest import Target
from tests.attacks.line import require_nothing_told
from tests.attacks.place import CHAT, COMPLETIONS, Program, chat, completion, post
from tests.attacks.raw import exchange

# A process that is not there yet comes up first.
START_SECONDS = 60

# Each is 127.0.0.1, as one resolver or another reads it.
HOME_ADDRESSES = (
    "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "0.0.0.0", "localhost", "[::1]",
    "[::]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "127。0。0。1",
)  # fmt: skip
URLS = (
    *(f"http://{address}:{{port}}/a.png" for address in HOME_ADDRESSES),
    "http://good.example@127.0.0.1:{port}/",
    "http:127.0.0.1:{port}",
    "//127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\r\nX: y",
    "ftp://127.0.0.1:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00::1]/",
    "file:///etc/passwd",
    "data:image/png;base64,!!!",
    "data:text/html,<script>alert(1)</script>",
    "/etc/passwd",
)


def parts_with(url: str) -> list[dict[str, object]]:
    """Everything in which a client may name something to be fetched."""
    return [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "input_image", "image_url": url},
        {"type": "image", "image": url},
        {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": url}},
        {"type": "video_url", "video_url": {"url": url}},
        {"type": "file", "file": {"file_data": url, "file_id": url}},
    ]


@contextlib.contextmanager
def canary() -> Iterator[socket.socket]:
    """Listens on 127.0.0.1 and on ::1, and takes nobody."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        listener.setblocking(False)
        yield listener


def require_unheard(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("url", URLS)
def test_a26_a27_media_are_refused_and_not_fetched(target: Target, url: str) -> None:
    with canary() as listener:
        named = url.format(port=listener.getsockname()[1])
        for part in parts_with(named):
            for content in ([part], [{"type": "text", "text": "ping"}, part]):
                sent = chat(messages=[{"role": "user", "content": content}])
                answer = target.send(post(target.place, CHAT, sent))
                assert (answer.status, answer.error["param"]) == (400, "messages[0].content"), answer
                assert named not in answer.error["message"]
        require_unheard(listener)
    target.require_unharmed()


@contextlib.contextmanager
def trapped_model(directory: Path) -> Iterator[tuple[Path, list[Path]]]:
    """A model whose every file holds up whoever opens it, and what those files are."""
    model = directory / "model"
    model.mkdir()
    names = (
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
        "adapters.safetensors",
    )
    for name in names:
        os.mkfifo(model / name)
    yield model, [model / name for name in names]


def require_untouched(traps: list[Path]) -> None:
    """Nobody has them open: a writer that does not want to wait is told so."""
    for trap in traps:
        with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
            os.open(trap, os.O_WRONLY | os.O_NONBLOCK)


def test_a31_a_path_for_a_model_opens_nothing(target: Target, tmp_path: Path) -> None:
    with trapped_model(tmp_path) as (model, traps):
        relative = os.path.relpath(model, target.hub.home / "state" / "empty")
        for named in (str(model), f"{model}/", f"file://{model}", relative, f"./{relative}", f"~/{relative}"):
            for path, sent in ((CHAT, chat(model=named)), (COMPLETIONS, completion(model=named))):
                answer = target.send(post(target.place, path, sent))
                assert (answer.status, answer.error["code"]) == (404, "model_not_found")
                assert str(model) not in answer.error["message"]
        require_untouched(traps)
    target.require_unharmed()


@pytest.mark.parametrize(
    "field",
    ["adapters", "adapter_path", "draft_model", "num_draft_tokens", "revision", "model_path", "tokenizer",
     "trust_remote_code", "lora_path", "cache_prompt", "prompt_cache", "user", "metadata", "role_mapping"],
)  # fmt: skip
def test_a31_other_servers_fields_open_nothing(target: Target, tmp_path: Path, field: str) -> None:
    with trapped_model(tmp_path) as (model, traps):
        with canary() as listener:
            for value in (str(model), f"http://127.0.0.1:{listener.getsockname()[1]}/x", "evil/repo", True):
                answer = target.send(post(target.place, CHAT, chat(**{field: value})))
                assert answer.json["choices"][0]["message"]["content"] == "pong"
            require_unheard(listener)
        require_untouched(traps)
    target.require_unharmed()


def test_a36_a_model_that_brings_code_answers_why_and_runs_none(
    locked_targets: dict[Program, Target],
) -> None:
    target = locked_targets[Program.CONTROLLER]
    request = post(target.place, CHAT, chat(model="coded"))
    done = exchange(target.place.port, request, START_SECONDS)
    assert done.answer.status == 503
    assert done.answer.error["code"] == "model_load_failed"
    assert "own.py would be run as code. Delete it" in done.answer.error["message"]
    require_nothing_told(done.answer, target.place, str(target.hub.home))
    trace = target.hub.home.parent / "trace"
    assert not trace.exists()
    target.require_unharmed()
