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
from mlxhub.worker.media.containers import demuxer_of, open_container
from mlxhub.worker.media.watched_decoding import decode_watched

_RATES = range(4_000, 384_001)
_MOST_CHANNELS = 8
_FORMATS = "wav, flac, mp3, m4a, ogg or webm"
_NESTED = ("mp4", "matroska")
# Beside the file, which the program that reads it has once or twice.
_MEMORY_BYTES = 150_000_000
_MOST_SAID_BYTES = 10_000
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
class SentSound:
    """`what` it is, and in which parameter, for errors; `whose` limit `most_seconds` are.

    `is_tried`: its file was read before, within limits.
    """

    data: bytes
    most_seconds: float
    whose: str = "max_audio_seconds of this model in hub.yaml"
    what: str = "file"
    param: str = "file"
    is_tried: bool = False

    def refusal(self, why: str) -> InvalidRequest:
        return InvalidRequest(f"{self.what}: {why}", self.param)


@dataclass(frozen=True, slots=True)
class Sound:
    """`samples`: one channel, from -1 to 1."""

    samples: NDArray[np.float32]
    seconds: float


def decode_sound(sent: SentSound, rate: int) -> Sound:
    """At `rate` samples a second. Raises InvalidRequest, with no word of the decoder's."""
    parts = list(_parts(sent, rate))
    # Of half an hour each further copy would be a hundred megabytes.
    samples = np.empty(sum(map(len, parts)), np.float32)
    np.concatenate(parts, out=samples)
    samples /= 32_768
    return Sound(samples, len(samples) / rate)


def seconds_of(sent: SentSound, rate: int) -> float:
    """Of what `decode_sound` would give, which it raises too; decoded, and not kept."""
    return sum(map(len, _parts(sent, rate))) / rate


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


def _parts(sent: SentSound, rate: int) -> Iterator[NDArray[np.int16]]:
    """One at least. Raises as `decode_sound`."""
    demuxer = demuxer_of(sent.data)
    if demuxer is None:
        raise sent.refusal(f"it is no {_FORMATS}.")
    # Tags may be anywhere, and packed.
    if not sent.is_tried and (demuxer in _NESTED or b"ID3" in sent.data or b"id3 " in sent.data):
        _try_container(sent, demuxer)
    is_empty = True
    try:
        for part in _decoded(sent, demuxer, rate):
            is_empty = False
            yield part
    except InvalidRequest:
        raise
    except Exception:  # noqa: BLE001 - decoders raise anything, and their words may tell addresses
        raise _broken(sent) from None
    if is_empty:
        raise sent.refusal("there is no sound in it.")


def _try_container(sent: SentSound, demuxer: str) -> None:
    """Whether it can be read within limits: tables and what is compressed may say that they are gigabytes."""
    order = {"kind": "sound", "demuxer": demuxer}
    if decode_watched(order, sent.data, _MEMORY_BYTES, _MOST_SAID_BYTES, sent.refusal) is None:
        raise _broken(sent)


def _decoded(sent: SentSound, demuxer: str, rate: int) -> Iterator[NDArray[np.int16]]:
    with open_container(sent.data, demuxer) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            raise sent.refusal("there is no sound in it.")
        if container.duration is not None and container.duration / av.time_base > sent.most_seconds:
            raise _too_long(sent)
        context = stream.codec_context
        if context.sample_rate not in _RATES or not 1 <= context.channels <= _MOST_CHANNELS:
            raise sent.refusal(f"{context.channels} channels at {context.sample_rate} Hz are not taken.")
        left = int(sent.most_seconds * rate)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        for frame in chain(container.decode(stream), [None]):
            for resampled in resampler.resample(frame):
                part = resampled.to_ndarray()[0]
                left -= len(part)
                if left < 0:
                    raise _too_long(sent)
                yield part


def _broken(sent: SentSound) -> InvalidRequest:
    return sent.refusal(f"it cannot be decoded. Send a whole {_FORMATS}.")


def _too_long(sent: SentSound) -> InvalidRequest:
    return sent.refusal(f"it is longer than {sent.most_seconds:g} s ({sent.whose}).")
