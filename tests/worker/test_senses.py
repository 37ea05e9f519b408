"""Videos and sounds in chats, over HTTP: answers as mlx-vlm itself gives them for the same files."""

import base64
import io
import json
import math
import struct
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import mlx_vlm
import numpy as np
import pytest

from mlxhub.worker.media.videos import FrameChoice, chosen_frames
from tests.models.senses import make_model_of_all_senses
from tests.worker.processes import Worker, running_worker
from tests.worker.test_vision import COLOUR, file_of, image, said, user

WHAT = {"type": "text", "text": "What is this?"}
RGB = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_of_all_senses(tmp_path_factory.mktemp("senses"))


@pytest.fixture(scope="module")
def all_senses(directory: Path) -> Iterator[Worker]:
    with running_worker(model_path=str(directory), request_timeout=60, max_concurrency=8) as running:
        assert running.post("/load").status_code == 200
        yield running


def film(*colours: str, each: int = 4, rate: int = 4, codec: str = "libx264", form: str = "mp4") -> bytes:
    """So many frames of each colour."""
    target = io.BytesIO()
    with av.open(target, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for colour in colours:
            pixels = np.full((48, 64, 3), RGB[colour], np.uint8)
            for _ in range(each):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return target.getvalue()


def tone(hertz: float, seconds: float = 1.0, rate: int = 16_000) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        places = np.arange(int(seconds * rate)) * 2 * math.pi * hertz / rate
        file.writeframes((np.sin(places) * 20_000).astype("<i2").tobytes())
    return target.getvalue()


def video(data: bytes, kind: str = "mp4") -> dict[str, Any]:
    url = f"data:video/{kind};base64,{base64.b64encode(data).decode()}"
    return {"type": "video_url", "video_url": {"url": url}}


def sound(data: bytes) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}


def refusal(worker: Worker, *parts: dict[str, Any]) -> str:
    answer = worker.post("/v1/chat/completions", {"model": "m", "messages": [user(*parts)]})
    assert answer.status_code == 400
    message: str = answer.json()["error"]["message"]
    return message


@pytest.mark.parametrize("colour", RGB)
@pytest.mark.parametrize("each", [1, 2, 40])
def test_videos_get_their_names(seer: Worker, colour: str, each: int) -> None:
    assert said(seer, user(video(film(colour, each=each)), COLOUR)) == colour


@pytest.mark.parametrize(
    ("codec", "form"), [("libvpx-vp9", "webm"), ("libvpx", "webm"), ("libx265", "mov"), ("mpeg4", "matroska")]
)
def test_the_usual_formats(seer: Worker, codec: str, form: str) -> None:
    assert said(seer, user(video(film("blue", codec=codec, form=form), form), COLOUR)) == "blue"


def test_av1(seer: Worker) -> None:
    """A file: PyAV's encoder of it gives its process a real-time priority, and no other process the CPU."""
    assert said(seer, user(video((Path(__file__).parent / "blue.av1.mp4").read_bytes()), COLOUR)) == "blue"


def test_several_videos_in_their_order(seer: Worker) -> None:
    asked = {"type": "text", "text": "Which colours are these?"}
    assert said(seer, user(video(film("red")), video(film("blue")), asked)) == "red and blue"
    assert said(seer, user(video(film("blue")), video(film("red")), asked)) == "blue and red"


def test_a_video_of_an_earlier_turn(seer: Worker) -> None:
    turns = [user(video(film("green")), COLOUR), {"role": "assistant", "content": "green"}, user(COLOUR)]
    assert said(seer, *turns) == "green"


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
@pytest.mark.parametrize("medium", [image(file_of("red")), video(film("red"))], ids=["picture", "video"])
def test_whoever_shows_it(seer: Worker, role: str, medium: dict[str, Any]) -> None:
    shown = {"role": role, "content": [medium, {"type": "text", "text": "x"}], "tool_call_id": "a"}
    call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    called = [{"role": "assistant", "tool_calls": [call]}] if role == "tool" else []
    assert said(seer, *called, shown, user(COLOUR)) == "red"


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_who_shows_another_picture_is_not_mistaken_for_the_user(seer: Worker, role: str) -> None:
    shown = {
        "role": role,
        "content": [image(file_of("red")), {"type": "text", "text": "x"}],
        "tool_call_id": "a",
    }
    assert said(seer, shown, user(image(file_of("blue")), COLOUR)) == "blue"


def test_a_model_that_drops_a_video_beside_a_picture_says_so_and_costs_no_other_answer(seer: Worker) -> None:
    with ThreadPoolExecutor() as threads:
        other = threads.submit(said, seer, user(image(file_of("blue")), COLOUR))
        refused = threads.submit(refusal, seer, image(file_of("red")), video(film("blue")), COLOUR)
        assert other.result() == "blue"
    assert "left the video of the prompt out" in refused.result()


def test_what_a_model_lacks_is_said(seer: Worker) -> None:
    told = refusal(seer, sound(tone(440)), WHAT)
    assert told.endswith(
        "takes no sound (input_audio). It takes text, pictures (image_url), video (video_url)."
    )


def test_many_of_a_kind(seer: Worker) -> None:
    assert "5 videos. At most 4" in refusal(seer, *[video(film("red"))] * 5)
    assert "5 sounds. At most 4" in refusal(seer, *[sound(tone(440))] * 5)


def test_answers_are_the_librarys(all_senses: Worker, directory: Path, tmp_path: Path) -> None:
    model, processor = mlx_vlm.load(str(directory))
    seen, watched, told = file_of("red", (60, 40)), film("red", "blue", each=20), tone(440, 1.2)
    files = {"p.png": seen, "v.mp4": watched, "s.wav": told}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    picture, moving, heard = (str(tmp_path / name) for name in files)
    senses: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
        ([image(seen), WHAT], {"image": [picture]}),
        ([video(watched), WHAT], {"video": [moving]}),
        ([sound(told), WHAT], {"audio": [heard]}),
        (
            [image(seen), video(watched), sound(told), WHAT],
            {"image": [picture], "video": [moving], "audio": [heard]},
        ),
    ]
    kinds = {"image_url": "image", "video_url": "video", "input_audio": "audio", "text": "text"}
    expected = []
    for parts, given in senses:
        content = [{**part, "type": kinds[part["type"]]} for part in parts]
        prompt = processor.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        prompt = prompt.removeprefix("<bos>")  # its processor writes one
        expected.append(
            mlx_vlm.generate(model, processor, prompt, max_tokens=24, temperature=0, **given).text
        )
    with ThreadPoolExecutor() as threads:
        asked = threads.map(lambda each: said(all_senses, user(*each[0]), max_tokens=24), senses)
        # A worker says no space at the beginning.
        assert list(asked) == [text.lstrip() for text in expected]
    assert len(set(expected)) == len(expected)


def test_eight_mixed_requests_in_one_batch_get_their_own_answers(all_senses: Worker) -> None:
    hot = {"temperature": 1.5, "max_tokens": 12}
    asked: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (user(video(film("red")), WHAT), {"max_tokens": 12}),
        (user(sound(tone(440)), WHAT), {**hot, "seed": 1}),
        ({"role": "user", "content": "hello"}, {"max_tokens": 12}),
        (user(image(file_of("red")), WHAT), {**hot, "seed": 2}),
        (user(sound(tone(880)), WHAT), {"max_tokens": 12}),
        (user(video(film("blue")), sound(tone(440)), WHAT), {**hot, "seed": 3}),
        (user(video(film("blue")), WHAT), {"max_tokens": 12}),
        ({"role": "user", "content": "hello"}, {**hot, "seed": 4}),
    ]
    # It counts rows from its load on.
    assert all_senses.post("/unload").status_code == all_senses.post("/load").status_code == 200
    alone = [said(all_senses, message, **options) for message, options in asked]
    assert all_senses.status().batch.peak_rows == 1
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda each: said(all_senses, each[0], **each[1]), asked))
    assert together == alone
    assert len(set(alone)) == len(alone)
    assert all_senses.status().batch.peak_rows > 1


def usage(worker: Worker, *parts: dict[str, Any]) -> Any:
    answer = worker.openai.chat.completions.create(
        model="m",
        messages=[user(*parts)],  # type: ignore[list-item]
        temperature=0,
        max_tokens=4,
    )
    return answer.usage


def test_a_prompt_that_was_read_is_known_by_its_video(seer: Worker) -> None:
    words = {"type": "text", "text": "Look at this for a while, and then for a while longer, please. " * 3}

    def cached(*colours: str) -> int:
        tokens: int = usage(seer, video(film(*colours)), words).prompt_tokens_details.cached_tokens
        return tokens

    assert cached("red", "blue") == 0
    assert cached("red", "blue") > 32
    assert cached("blue", "red") == 0


def test_a_prompt_begins_once(all_senses: Worker) -> None:
    """25 places for a second of sound, between two marks."""
    alone = usage(all_senses, WHAT).prompt_tokens
    assert usage(all_senses, sound(tone(440)), WHAT).prompt_tokens == alone + 27


def test_the_end_of_a_second_sound_is_heard(all_senses: Worker) -> None:
    """Of sounds that are not alike long mlx-vlm loses it."""

    def heard(end: float) -> str:
        silence, ended = np.zeros(16_000, "<i2").tobytes(), tone(end)[44:]
        second = tone(440)[:40] + struct.pack("<I", 64_000) + silence + ended
        return said(all_senses, user(sound(tone(440)), sound(second), WHAT), max_tokens=16)

    assert len({heard(300), heard(800), heard(2_000)}) == 3


@pytest.mark.parametrize("samples", [1, 100, 748, 1_981, 16_001])
def test_sounds_of_any_length(all_senses: Worker, samples: int) -> None:
    assert said(all_senses, user(sound(tone(440, samples / 16_000)), WHAT), max_tokens=4)


def test_a_sound_is_as_long_as_the_model_hears_and_no_longer(all_senses: Worker) -> None:
    assert usage(all_senses, sound(tone(440, 30)), WHAT).prompt_tokens > 750
    told = refusal(all_senses, sound(tone(440, 30.01)), WHAT)
    assert told == "audio 1: it is longer than 30 s (what this model hears at a time)."


@pytest.mark.parametrize("mark", ["<|image|>", "<|video|>", "<|audio|>"])
def test_a_text_that_would_stand_for_a_picture(all_senses: Worker, mark: str) -> None:
    told = refusal(all_senses, sound(tone(440)), {"type": "text", "text": f"What is {mark}?"})
    assert f"a text has {mark} in it" in told
    function = {"name": "look", "description": f"Looks at {mark}.", "parameters": {}}
    body = {
        "model": "m",
        "messages": [user(sound(tone(440)))],
        "tools": [{"type": "function", "function": function}],
    }
    answer = all_senses.post("/v1/chat/completions", body)
    assert answer.status_code == 400
    assert f"a text has {mark} in it" in answer.json()["error"]["message"]


def test_a_model_whose_files_have_no_ears(tmp_path: Path) -> None:
    made = make_model_of_all_senses(tmp_path / "deaf")
    config = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps({**config, "audio_config": None}))
    with running_worker(model_path=str(made), request_timeout=60) as worker:
        assert "takes no sound (input_audio)" in refusal(worker, sound(tone(440)), WHAT)


def test_the_responses_api_hears(all_senses: Worker) -> None:
    content = [sound(tone(440)), {"type": "input_text", "text": "What is this?"}]
    response = all_senses.openai.responses.create(
        model="m",
        temperature=0,
        max_output_tokens=16,
        input=[{"role": "user", "content": content}],  # type: ignore[list-item, misc]
    )
    assert response.output_text == said(all_senses, user(sound(tone(440)), WHAT), max_tokens=16)


@pytest.mark.parametrize(
    ("total", "rate", "places"),
    [
        (1, 1.0, (0, 0)),
        (2, 25.0, (0, 1)),
        (3, 25.0, (0, 2)),
        (50, 25.0, (0, 16, 33, 49)),
        (250, 25.0, tuple(round(place) for place in np.linspace(0, 249, 8))),
    ],
)
def test_which_frames_are_chosen(total: int, rate: float, places: tuple[int, ...]) -> None:
    assert chosen_frames(total, rate, FrameChoice(2.0, 4, 8, 2)) == places
