"""Pictures drawn and changed, over HTTP, by OpenAI's client and a model that paints noise."""

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from mlxhub.worker.image_store import SECONDS, ImageStore
from tests.eventually import eventually
from tests.models.images import make_z_image
from tests.worker.processes import Worker, running_worker

FEW: dict[str, Any] = {"steps": 3}


@pytest.fixture(scope="module")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with running_worker(
        model_path=str(make_z_image(tmp_path_factory.mktemp("models") / "zimage"))
    ) as running:
        assert running.post("/load").status_code == 200
        yield running


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    path = make_z_image(tmp_path_factory.mktemp("models") / "zimage")
    with running_worker(model_path=str(path), model_type="image-edit") as running:
        yield running


def drawn(worker: Worker, **options: Any) -> list[Any]:
    extra = {**FEW, **options.pop("extra", {})}
    answer = worker.openai.images.generate(
        model="m", prompt="a cat", size="64x64", extra_body=extra, **options
    )
    assert answer.data is not None
    return list(answer.data)


def opened(image: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(image.b64_json)))


def source(colour: str = "red", size: tuple[int, int] = (64, 64)) -> tuple[str, bytes]:
    target = io.BytesIO()
    Image.new("RGB", size, colour).save(target, "PNG")
    return "source.png", target.getvalue()


def test_a_picture_of_the_asked_size_and_the_same_for_the_same_seed(drawer: Worker) -> None:
    first, again, other = (drawn(drawer, extra={"seed": seed})[0] for seed in (5, 5, 6))
    assert first.b64_json == again.b64_json != other.b64_json
    picture = opened(first)
    assert (picture.format, picture.size) == ("PNG", (64, 64))
    wide = drawer.openai.images.generate(model="m", prompt="a cat", size="96x64", extra_body=FEW)
    assert wide.data is not None
    assert opened(wide.data[0]).size == (96, 64)


def test_several_pictures_differ_and_tell_their_seeds(drawer: Worker) -> None:
    pictures = drawn(drawer, n=2, extra={"seed": 8})
    assert [each.seed for each in pictures] == [8, 9]
    assert pictures[1].b64_json == drawn(drawer, extra={"seed": 9})[0].b64_json
    unnamed = drawn(drawer)[0]
    assert drawn(drawer, extra={"seed": unnamed.seed})[0].b64_json == unnamed.b64_json


def test_a_picture_by_its_address(drawer: Worker) -> None:
    kept = drawn(drawer, response_format="url", extra={"seed": 5})[0]
    answer = httpx.get(kept.url)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == base64.b64decode(drawn(drawer, extra={"seed": 5})[0].b64_json)
    assert httpx.get(kept.url.replace(".png", "0.png")).status_code == 404


def test_a_stream_tells_each_step(drawer: Worker) -> None:
    events: list[Any] = list(
        drawer.openai.images.generate(
            model="m", prompt="a cat", size="64x64", stream=True, extra_body={"steps": 4, "seed": 5}
        )
    )
    steps = [event.step for event in events if event.type == "image_generation.progress"]
    assert steps == [0, 1, 2]
    assert events[-1].type == "image_generation.completed"
    assert opened(events[-1]).size == (64, 64)


def test_who_leaves_stops_the_drawing_between_two_steps(drawer: Worker) -> None:
    stream = drawer.openai.images.generate(
        model="m", prompt="a cat", size="64x64", stream=True, extra_body={"steps": 200}
    )
    next(iter(stream))
    told = drawer.status().progress
    assert told is not None
    assert told.done_steps < told.total_steps == 200
    stream.close()
    eventually(lambda: drawer.status().in_flight == 0, 5)
    # The step that is under way is the last.
    eventually(lambda: drawer.status().progress is None, 10)
    assert drawn(drawer)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"size": "65x64"}, "size"),
        ({"size": "4096x4096"}, "size"),
        ({"size": "0x64"}, "size"),
        ({"n": 11}, "n"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**40}, "seed"),
        ({"steps": 10**6}, "steps"),
        ({"prompt": ""}, "prompt"),
        ({"output_format": "webp"}, "output_format"),
        ({"steps": 1}, None),  # which this family does not do
    ],
)
def test_what_is_not_drawn(drawer: Worker, body: dict[str, Any], param: str | None) -> None:
    answer = drawer.post("/v1/images/generations", {"model": "m", "prompt": "a cat", "size": "64x64", **body})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_a_picture_is_changed(editor: Worker) -> None:
    answers = [
        editor.openai.images.edit(
            model="m", prompt="make it blue", image=source(colour), extra_body={"seed": "3", "steps": "4"}
        )
        for colour in ("red", "red", "green")
    ]
    first, again, other = (answer.data[0] for answer in answers if answer.data)
    assert first.b64_json == again.b64_json != other.b64_json
    assert opened(first).size == (64, 64)
    assert editor.status().model_type == "image-edit"


@pytest.mark.parametrize("wrong", [b"", b"no picture", source()[1][:60]])
def test_what_is_no_picture_is_not_changed(editor: Worker, wrong: bytes) -> None:
    with pytest.raises(openai.BadRequestError, match="image: ") as refused:
        editor.openai.images.edit(model="m", prompt="x", image=("a.png", wrong))
    assert refused.value.param == "image"


def test_each_type_has_its_routes(drawer: Worker, editor: Worker) -> None:
    answer = editor.post("/v1/images/generations", {"model": "m", "prompt": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_model_type")
    assert "/v1/images/edits" in answer.json()["error"]["message"]
    with pytest.raises(openai.BadRequestError, match="/v1/images/generations"):
        drawer.openai.images.edit(model="m", prompt="x", image=source())


def test_pictures_are_kept_for_an_hour_and_within_bounds(tmp_path: Any) -> None:
    now = 0.0
    store = ImageStore(tmp_path / "images", clock=lambda: now)
    first = store.keep(b"first")
    now = SECONDS - 1
    others = [store.keep(b"x") for _ in range(198)]
    assert store.find(first) == b"first"
    now = SECONDS + 1
    assert store.find(first) is None
    assert store.find(others[-1]) == b"x"
    for _ in range(10):
        store.keep(b"y")
    assert store.find(others[0]) is None
    assert len(list((tmp_path / "images").iterdir())) == 200
    store.close()
    assert not (tmp_path / "images").exists()


def test_pictures_expire_under_the_eyes_of_many(tmp_path: Any) -> None:
    now = 0.0
    store = ImageStore(tmp_path / "images", clock=lambda: now)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(30):
            kept = list(threads.map(store.keep, [b"x"] * 8))
            assert [store.find(each) for each in kept] == [b"x"] * 8
            now += SECONDS + 1
            assert list(threads.map(store.find, kept)) == [None] * 8
    assert not list((tmp_path / "images").iterdir())


def test_an_id_leads_to_no_other_file(tmp_path: Any) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    store = ImageStore(tmp_path / "images")
    store.keep(b"x")
    (tmp_path / "images" / "other.png").write_bytes(b"not ours")
    for image_id in ("../secret", "other", str(tmp_path / "secret"), ""):
        assert store.find(image_id) is None


def test_what_an_earlier_process_left_is_gone_with_the_first_picture(tmp_path: Any) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "old.png").write_bytes(b"old")
    store = ImageStore(tmp_path / "images")
    store.keep(b"new")
    assert [file.read_bytes() for file in (tmp_path / "images").iterdir()] == [b"new"]
