"""Files of sound and video, by PyAV: opened from memory alone, as what their first bytes say."""

import io
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from av.container import InputContainer

_MOST_STREAMS = 64
_OPTIONS = {
    # Demuxers for playlists open what a file names: one is told, never guessed, and may follow nothing.
    "protocol_whitelist": "none",
    # Else some frames of each stream are decoded before anyone can look at it: of a few MB that is gigabytes.
    "codec_whitelist": "none",
    "max_streams": str(_MOST_STREAMS),
}


def demuxer_of(data: bytes) -> str | None:
    """None: nothing that is taken."""
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


def open_container(data: bytes, demuxer: str) -> "InputContainer":
    """Raises what PyAV does, and ValueError for more streams than anyone needs."""
    container = av.open(io.BytesIO(data), "r", format=demuxer, options=_OPTIONS)
    # Some demuxers leave out what is above the limit, and then end early.
    if len(container.streams) >= _MOST_STREAMS:
        container.close()
        raise ValueError(f"{_MOST_STREAMS} streams or more")
    return container
