"""Sounds that clients send and get, by PyAV: within limits, from memory to memory."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from mlxhub.refusals import InvalidRequest

_RATES = range(4_000, 384_001)
_MOST_CHANNELS = 8
_FORMATS = "wav, flac, mp3, m4a, ogg or webm"
# A demuxer is told, never guessed: those for playlists open what a file names.
_NO_PROTOCOLS = {"protocol_whitelist": "none"}
# Container, codec, what that takes, and the rates it knows, if not any.
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_ENCODED = {
    "mp3": ("mp3", "libmp3lame", "fltp", _MP3_RATES),
    "opus": ("ogg", "libopus", "flt", (8_000, 12_000, 16_000, 24_000, 48_000)),
    "aac": ("adts", "aac", "fltp", ()),
    "flac": ("flac", "flac", "s16", ()),
    "wav": ("wav", "pcm_s16le", "s16", ()),
}


@dataclass(frozen=True, slots=True)
class Sound:
    """`samples`: one channel, from -1 to 1."""

    samples: NDArray[np.float32]
    seconds: float


def decode_sound(data: bytes, rate: int, most_seconds: float) -> Sound:
    """At `rate` samples a second. Raises InvalidRequest, with no word of the decoder's."""
    parts = list(_parts(data, rate, most_seconds))
    # Of half an hour each further copy would be a hundred megabytes.
    samples = np.empty(sum(map(len, parts)), np.float32)
    np.concatenate(parts, out=samples)
    samples /= 32_768
    return Sound(samples, len(samples) / rate)


def seconds_of(data: bytes, rate: int, most_seconds: float) -> float:
    """Of what `decode_sound` would give, which it raises too; decoded, and not kept."""
    return sum(map(len, _parts(data, rate, most_seconds))) / rate


def encode_sound(samples: NDArray[np.float32], rate: int, wanted: str) -> bytes:
    """`wanted`: a key of OpenAI's; pcm is 16 bits, little-endian."""
    sixteen = (np.clip(samples, -1, 1) * 32_767).astype("<i2")
    if wanted == "pcm":
        return sixteen.tobytes()
    container_name, codec, sample_format, rates = _ENCODED[wanted]
    to_rate = rate if not rates else min((each for each in rates if each >= rate), default=max(rates))
    target = io.BytesIO()
    with av.open(target, "w", format=container_name) as container:
        stream = container.add_stream(codec, rate=to_rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.open(strict=False)
        frame = av.AudioFrame.from_ndarray(sixteen[None], format="s16", layout="mono")
        frame.rate = rate
        resampler = av.AudioResampler(
            format=sample_format,
            layout="mono",
            rate=to_rate,
            frame_size=stream.codec_context.frame_size or None,
        )
        for each in (frame, None):
            for resampled in resampler.resample(each):
                container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return target.getvalue()


def _demuxer_of(data: bytes) -> str | None:
    """By the first bytes."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"fLaC":
        return "flac"
    if data[:4] == b"OggS":
        return "ogg"
    if data[4:8] == b"ftyp":
        return "mp4"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    is_mpeg = len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0
    return "mp3" if is_mpeg or data[:3] == b"ID3" else None


def _parts(data: bytes, rate: int, most_seconds: float) -> Iterator[NDArray[np.int16]]:
    """One at least. Raises as `decode_sound`."""
    demuxer = _demuxer_of(data)
    if demuxer is None:
        raise InvalidRequest(f"file: it is no {_FORMATS}.", "file")
    is_empty = True
    try:
        for part in _decoded(data, demuxer, rate, most_seconds):
            is_empty = False
            yield part
    except InvalidRequest:
        raise
    except Exception:  # noqa: BLE001 - decoders raise anything, and their words may tell addresses
        raise InvalidRequest(f"file: it cannot be decoded. Send a whole {_FORMATS}.", "file") from None
    if is_empty:
        raise InvalidRequest("file: there is no sound in it.", "file")


def _decoded(data: bytes, demuxer: str, rate: int, most_seconds: float) -> Iterator[NDArray[np.int16]]:
    with av.open(io.BytesIO(data), "r", format=demuxer, options=_NO_PROTOCOLS) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            raise InvalidRequest("file: there is no sound in it.", "file")
        if container.duration is not None and container.duration / av.time_base > most_seconds:
            raise _too_long(most_seconds)
        context = stream.codec_context
        if context.sample_rate not in _RATES or not 1 <= context.channels <= _MOST_CHANNELS:
            raise InvalidRequest(
                f"file: {context.channels} channels at {context.sample_rate} Hz are not taken.", "file"
            )
        left = int(most_seconds * rate)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        for frame in chain(container.decode(stream), [None]):
            for resampled in resampler.resample(frame):
                part = resampled.to_ndarray()[0]
                left -= len(part)
                if left < 0:
                    raise _too_long(most_seconds)
                yield part


def _too_long(most_seconds: float) -> InvalidRequest:
    return InvalidRequest(
        f"file: it is longer than {most_seconds:g} s (max_audio_seconds of this model in hub.yaml).", "file"
    )
