"""Speech over HTTP, by OpenAI's client: heard by a small Whisper, and spoken by a model that hisses."""

import io
import json
import re
import struct
import wave
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from mlxhub.refusals import InvalidRequest
from mlxhub.worker.media.sounds import SentSound, decode_sound, encode_sound
from tests.eventually import eventually
from tests.models.speech import make_soprano
from tests.models.whisper import make_whisper
from tests.worker.processes import Worker, running_worker

RATE = 16_000
OPTIONS: dict[str, Any] = {"model": "m", "language": "en", "temperature": 0}
MOST_BYTES = 200_000_000


def tone(seconds: float) -> Any:
    return np.sin(np.arange(int(RATE * seconds)) / RATE * 2 * np.pi * 440).astype(np.float32)


TWO_SECONDS = encode_sound(tone(2), RATE, "wav")


@pytest.fixture(scope="module")
def hearer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    path = make_whisper(tmp_path_factory.mktemp("models") / "whisper")
    with running_worker(model_path=str(path), max_audio_seconds=100) as running:
        assert running.post("/load").status_code == 200
        yield running


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with running_worker(
        model_path=str(make_soprano(tmp_path_factory.mktemp("models") / "soprano"))
    ) as running:
        yield running


def heard(worker: Worker, sound: bytes = TWO_SECONDS, **options: Any) -> Any:
    file = ("recording", sound)
    return worker.openai.audio.transcriptions.create(file=file, **{**OPTIONS, **options})


def refused(worker: Worker, sound: bytes, **fields: str) -> tuple[int, str | None, str]:
    answer = worker.http.post(
        "/v1/audio/transcriptions", data={"model": "m", **fields}, files={"file": ("a.wav", sound)}
    )
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["message"]


def test_a_transcript_in_every_form(hearer: Worker) -> None:
    text = heard(hearer).text
    assert len(text.split()) > 3
    assert heard(hearer, response_format="text").strip() == text
    srt = heard(hearer, response_format="srt")
    assert re.fullmatch(r"(\d+\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\n[^\n]+\n\n)+", srt), srt
    vtt = heard(hearer, response_format="vtt")
    assert re.fullmatch(r"WEBVTT\n\n(\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}\n[^\n]+\n\n)+", vtt), vtt
    assert text.split() == [
        word for line in vtt.splitlines()[2:] if "-->" not in line for word in line.split()
    ]


def test_a_transcript_with_times(hearer: Worker) -> None:
    told = heard(hearer, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert told.duration == 2.0
    assert told.language == "en"
    assert told.segments
    assert all(0 <= each.start <= each.end <= 2.1 for each in told.segments)
    assert told.text == "".join(each.text for each in told.segments).strip()
    assert [each.word for each in told.words] == told.text.split()
    plain = heard(hearer, response_format="verbose_json")
    assert plain.words is None


@pytest.mark.parametrize("form", ["mp3", "flac", "opus", "m4a", "webm"])
def test_the_usual_formats(hearer: Worker, form: str) -> None:
    assert heard(hearer, _file_of(form)).text


def test_a_stream_tells_each_window_as_it_is_heard(hearer: Worker) -> None:
    events = list(heard(hearer, encode_sound(tone(40), RATE, "flac"), stream=True))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert len(deltas) == 2
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "".join(deltas).strip()


def test_translations_and_prompts(hearer: Worker) -> None:
    file = ("recording", TWO_SECONDS)
    told = hearer.openai.audio.translations.create(file=file, model="m", temperature=0, prompt="Names: Ada.")
    assert told.text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"language": "xx"}, "language"),
        ({"temperature": "3"}, "temperature"),
        ({"response_format": "docx"}, "response_format"),
        ({"timestamp_granularities[]": "hour"}, "timestamp_granularities[0]"),
        ({"prompt": "x" * 10_001}, "prompt"),
    ],
)
def test_a_bad_field_is_named(hearer: Worker, fields: dict[str, str], param: str) -> None:
    assert refused(hearer, TWO_SECONDS, **fields)[:2] == (400, param)


def _file_of(form: str) -> bytes:
    if form not in ("m4a", "webm"):
        return encode_sound(tone(2), RATE, form)
    import av

    container, codec, rate = {"m4a": ("mp4", "aac", 16_000), "webm": ("webm", "libopus", 48_000)}[form]
    target = io.BytesIO()
    with av.open(target, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        samples = (tone(2) * 32_767).astype("<i2")[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    return target.getvalue()


def _header(channels: int = 1, rate: int = RATE, says: int = 100) -> bytes:
    """A WAV that says so much, with 8 KB of sound in it."""
    form = struct.pack("<HHIIHH", 1, channels & 0xFFFF, rate, rate * 2, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", says & 0xFFFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", says & 0xFFFFFFFF)
        + b"\0" * 8_000
    )


def _silence(seconds: int) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 1, 4_000, 0, "NONE", ""))
        file.writeframes(b"\x80" * 4_000 * seconds)
    return target.getvalue()


HOSTILE = {
    "nothing": b"",
    "text": b"what is this",
    "a playlist that names a file": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "a wav of nothing": _header(says=0)[:44],
    "60000 channels": _header(channels=60_000),
    "no channels": _header(channels=0),
    "1 Hz": _header(rate=1),
    "10 MHz": _header(rate=10_000_000),
    "longer than is taken": _silence(101),
    "half a flac": encode_sound(tone(2), RATE, "flac")[:200],
    "a flac header": b"fLaC" + b"\xff" * 500,
    "an mp4 of zeros": b"\0\0\0\x18ftypM4A " + b"\0" * 5_000,
    "an hour of silence in little": b"",
}


def _long_flac() -> bytes:
    """Silence is small."""
    return encode_sound(np.zeros(4_000 * 3_600, np.float32), 4_000, "flac")


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_sound_is_refused_and_takes_no_memory(hearer: Worker, what: str) -> None:
    sound = _long_flac() if what.startswith("an hour") else HOSTILE[what]
    before = hearer.status().memory.footprint_bytes
    status, param, message = refused(hearer, sound, temperature="0", language="en")
    assert (status, param) == (400, "file")
    assert message.startswith("file: ")
    assert "/" not in message
    memory = hearer.status().memory
    assert memory.footprint_bytes < before + MOST_BYTES
    assert memory.peak_bytes < before + MOST_BYTES


def test_the_decoder_is_chosen_by_the_first_bytes() -> None:
    with pytest.raises(InvalidRequest, match="it is no wav, flac"):
        decode_sound(SentSound(HOSTILE["a playlist that names a file"], 100), RATE)


def test_a_sound_is_decoded_up_to_its_limit() -> None:
    """Whose file does not say how long it is."""
    told = encode_sound(tone(2), RATE, "flac")
    # The number of samples: 36 bits, and 0 where nobody counted.
    untold = told[:21] + bytes([told[21] & 0xF0, 0, 0, 0, 0]) + told[26:]
    assert decode_sound(SentSound(untold, 2), RATE).seconds == 2
    with pytest.raises(InvalidRequest, match=r"longer than 1\.9 s"):
        decode_sound(SentSound(untold, 1.9), RATE)


def test_a_sound_that_says_it_is_too_long_is_not_decoded() -> None:
    says_an_hour = _long_flac()
    says_an_hour = says_an_hour[: len(says_an_hour) // 2]
    with pytest.raises(InvalidRequest, match="longer than 3599 s"):
        decode_sound(SentSound(says_an_hour, 3_599), RATE)


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        ({"rate": 4_000}, {"rate": 3_999}),
        ({"rate": 384_000}, {"rate": 384_001}),
        ({"channels": 8}, {"channels": 9}),
    ],
    ids=["low", "high", "channels"],
)
def test_rates_and_channels_at_their_bounds(within: dict[str, int], beyond: dict[str, int]) -> None:
    assert decode_sound(SentSound(_header(**within, says=8_000), 100), RATE).seconds <= 1
    with pytest.raises(InvalidRequest, match=r"channels at .* Hz are not taken"):
        decode_sound(SentSound(_header(**beyond), 100), RATE)


def test_a_header_that_lies_of_4_gb_is_read_to_its_end() -> None:
    """The sound is what there is."""
    sound = decode_sound(SentSound(_header(says=0xFFFFFFF0), 100), RATE)
    assert sound.seconds < 1


def test_a_form_without_a_file_or_that_is_none(hearer: Worker) -> None:
    answer = hearer.http.post("/v1/audio/transcriptions", data={"model": "m"}, files={"other": b"x"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "file"
    answer = hearer.post("/v1/audio/transcriptions", {"model": "m"})
    assert answer.status_code == 415
    assert "multipart/form-data" in answer.json()["error"]["message"]


def test_a_client_that_leaves_is_noticed_between_two_tokens(hearer: Worker) -> None:
    stream = heard(hearer, encode_sound(tone(90), RATE, "flac"), stream=True)
    next(iter(stream))
    stream.close()
    eventually(lambda: hearer.status().in_flight == 0, 5)
    assert heard(hearer).text


def test_a_text_is_spoken_in_every_format(speaker: Worker) -> None:
    for form in ("wav", "mp3", "flac", "opus"):
        said = speaker.openai.audio.speech.create(
            model="m", input="Hello there.", voice="alloy", response_format=form
        )
        sound = decode_sound(SentSound(said.content, 100), RATE)
        assert 0.1 < sound.seconds < 20
        assert abs(sound.samples).max() > 0
    raw = speaker.openai.audio.speech.create(model="m", input="Hi.", voice="alloy", response_format="pcm")
    assert len(raw.content) % 2 == 0


def test_who_speaks_does_not_hear(speaker: Worker, hearer: Worker) -> None:
    with pytest.raises(openai.BadRequestError, match="/v1/audio/speech"):
        heard(speaker)
    with pytest.raises(openai.BadRequestError, match="/v1/audio/transcriptions"):
        hearer.openai.audio.speech.create(model="m", input="Hi.", voice="alloy")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "x" * 4_097}, "input"),
        ({"voice": "../../etc"}, "voice"),
        ({"speed": 9}, "speed"),
    ],
)
def test_speech_that_is_not_spoken(speaker: Worker, body: dict[str, Any], param: str) -> None:
    answer = speaker.post("/v1/audio/speech", {"model": "m", "input": "Hi.", **body})
    assert answer.status_code == 400
    assert json.loads(answer.text)["error"]["param"] == param
