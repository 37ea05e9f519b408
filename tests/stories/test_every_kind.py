"""A hub with a model of every kind: whatever one serves, it is a worker like any other."""

import base64
import io
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from mlxhub.worker.media.sounds import encode_sound
from tests.eventually import eventually
from tests.models.images import make_z_image
from tests.models.minilm import minilm
from tests.models.vision import cached_vision_model
from tests.models.whisper import make_whisper
from tests.stories.conftest import LiveHub
from tests.worker.test_senses import film, video
from tests.worker.test_vision import image

CACHE = Path(__file__).parents[2] / ".cache"
FOREIGN = Path(__file__).parents[1] / "worker" / "foreign_server.py"


def picture(colour: str) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(target, "PNG")
    return target.getvalue()


def seen(client: openai.OpenAI, name: str) -> str:
    """Of a picture and of a video."""
    words = {"type": "text", "text": "Which colour is this?"}
    said = []
    for medium in (image(picture("green")), video(film("blue"))):
        message: Any = {"role": "user", "content": [medium, words]}
        answer = client.chat.completions.create(model=name, messages=[message], temperature=0)
        said.append(str(answer.choices[0].message.content))
    return " ".join(said)


def embedded(client: openai.OpenAI, name: str) -> str:
    return str(len(client.embeddings.create(model=name, input="cat").data[0].embedding))


def heard(client: openai.OpenAI, name: str, seconds: int = 1) -> str:
    sound = encode_sound(np.zeros(16_000 * seconds, np.float32), 16_000, "wav")
    told = client.audio.transcriptions.create(model=name, file=("a.wav", sound), language="en", temperature=0)
    return "words" if told.text else "nothing"


def drawn(client: openai.OpenAI, name: str) -> str:
    answer = client.images.generate(model=name, prompt="cat", size="64x64", extra_body={"steps": 2})
    assert answer.data is not None
    return _size_of(answer.data[0].b64_json)


def changed(client: openai.OpenAI, name: str) -> str:
    answer = client.images.edit(
        model=name, prompt="cat", image=("a.png", picture("red")), extra_body={"steps": "4"}
    )
    assert answer.data is not None
    return _size_of(answer.data[0].b64_json)


def _size_of(encoded: str | None) -> str:
    return str(Image.open(io.BytesIO(base64.b64decode(encoded or ""))).size)


def proxied(client: openai.OpenAI, name: str) -> str:
    return str(client.chat.completions.create(model=name, messages=[]).model_extra["path"])  # type: ignore[index]


ASK: dict[str, tuple[Callable[..., str], str]] = {
    "eyes": (seen, "green blue"),
    "vectors": (embedded, "384"),
    "ears": (heard, "words"),
    "brush": (drawn, "(64, 64)"),
    "rubber": (changed, "(64, 64)"),
    "foreign": (proxied, "/v1/chat/completions"),
}


@pytest.fixture
def kinds(hub: LiveHub, tmp_path: Path) -> LiveHub:
    whisper, drawer = make_whisper(tmp_path / "whisper"), make_z_image(tmp_path / "zimage")
    common = "group: tier"
    hub.write(
        f"{{name: eyes, model_path: '{cached_vision_model(CACHE)}', {common}}}",
        f"{{name: vectors, model_path: '{minilm()}', {common}}}",
        f"{{name: ears, model_path: '{whisper}', {common}}}",
        f"{{name: brush, model_path: '{drawer}', {common}}}",
        f"{{name: rubber, model_path: '{drawer}', model_type: image-edit, {common}}}",
        f"{{name: foreign, command: ['{sys.executable}', '{FOREIGN}', '{{port}}'], {common}}}",
        groups="[{name: tier, max_loaded: 2, idle_unload_trigger_min: 0}]",
    )
    hub.ok("install")
    return hub


def models(hub: LiveHub, key: str) -> dict[str, Any]:
    return {model["name"]: model[key] for model in hub.json("status")["models"]}


@pytest.mark.timeout(240)
def test_each_is_loaded_for_who_asks_makes_room_comes_back_and_ends(kinds: LiveHub) -> None:
    hub = kinds
    router = hub.client(hub.port)
    for name, (ask, expected) in ASK.items():
        assert ask(router, name) == expected
    # Whoever asked last is there, and of the group no more than may be.
    loaded = [name for name, state in models(hub, "memory").items() if state == "ready"]
    assert sorted(loaded) == ["foreign", "rubber"]
    assert models(hub, "type") == {
        "eyes": "multimodal",
        "vectors": "embeddings",
        "ears": "whisper",
        "brush": "image-generation",
        "rubber": "image-edit",
        "foreign": "command",
    }
    pids, ports = models(hub, "pid"), models(hub, "port")
    for name in ASK:
        os.kill(pids[name], signal.SIGKILL)
    eventually(lambda: all(pid not in (None, pids[name]) for name, pid in models(hub, "pid").items()), 60)
    hub.ok("load-model", "vectors", "ears")
    # A third has no seat, and says who has: also at its own port.
    with pytest.raises(openai.APIStatusError) as refused:
        drawn(hub.client(ports["brush"]), "brush")
    assert refused.value.code == "group_capacity_exceeded"
    hub.ok("unload-model", "vectors")
    for name, (ask, expected) in ASK.items():
        if name != "ears":
            hub.ok("load-model", name)
            assert ask(hub.client(ports[name]), name) == expected
            hub.ok("unload-model", name)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(heard, hub.client(ports["ears"]), "ears", 60)
        eventually(lambda: models(hub, "in_flight")["ears"] == 1, 10)
        hub.ok("stop-model", "ears")
        assert answer.result(30) == "words"
    hub.ok("stop-all")
    assert set(models(hub, "process").values()) == {"stopped"}
