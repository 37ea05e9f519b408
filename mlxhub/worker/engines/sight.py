"""Prompts with pictures, videos and sounds, up to what a model itself takes."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from threading import Lock
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_vlm.utils import VideoMetadata, prepare_inputs
from numpy.typing import NDArray
from PIL import Image

from mlxhub.core.medium import Medium, MediumKind
from mlxhub.refusals import InvalidRequest
from mlxhub.registry.template_renderer import Chat
from mlxhub.worker.engines.content import texts_of
from mlxhub.worker.engines.engine import ChatPrompt
from mlxhub.worker.engines.family_chats import written
from mlxhub.worker.engines.mlx_lm_chats import ChatEncoder
from mlxhub.worker.engines.seen import Place, Seen
from mlxhub.worker.engines.senses import Hearing, Senses
from mlxhub.worker.media.data_uris import data_of, digest_of
from mlxhub.worker.media.pictures import decode_picture
from mlxhub.worker.media.sounds import SentSound, decode_sound
from mlxhub.worker.media.videos import Video, decode_video

# Of a medium's identity, as part of the tokens that its prompt is known by.
_KEY_BYTES = 4


@dataclass(slots=True)
class _Decoded:
    """What was sent, by its kind. `digests`: by which each is known."""

    pictures: list[Image.Image] = field(default_factory=list)
    videos: list[Video] = field(default_factory=list)
    sounds: list[NDArray[np.float32]] = field(default_factory=list)
    digests: dict[MediumKind, list[bytes]] = field(default_factory=dict)


class Sight:
    """`family`: by which mlx-vlm knows how its chats speak of pictures.

    From a prompt's media to tokens and what the model is given with them; in any thread.
    """

    def __init__(self, processor: Any, senses: Senses, family: str, vocabulary: int) -> None:
        self._processor = processor
        self._senses = senses
        self._family = family
        self._vocabulary = vocabulary
        # Processors change their tokenizer's padding while they work.
        self._lock = Lock()
        # Of kinds of media: beside these the processor writes the mark that begins a prompt once more.
        self._begins_twice: set[frozenset[MediumKind]] = set()

    def encode(self, chats: ChatEncoder, prompt: ChatPrompt, context_length: int) -> Seen:
        """Raises InvalidRequest, and ContextOverflow where the text alone says so."""
        self._check(prompt)
        messages = tuple(written(self._family, message) for message in prompt.messages)
        text = chats.render(Chat(messages), prompt, context_length)
        self._check_text(text, prompt.media)
        decoded = self._decode(prompt.media)
        inputs = self._processed(text, decoded)
        tokens: list[int] = inputs["input_ids"][0].tolist()
        places, keys = [], tokens[:]
        for kind, digests in decoded.digests.items():
            for place, digest in _places(tokens, self._senses.tokens[kind], kind, digests):
                keys[place.begin : place.end] = media_keys(digest, place.end - place.begin, self._vocabulary)
                places.append(place)
        return Seen(inputs, tuple(keys), tuple(sorted(places, key=lambda place: place.begin)))

    def _check(self, prompt: ChatPrompt) -> None:
        """Before anything is decoded. Raises InvalidRequest."""
        for medium in prompt.media:
            self._senses.check(medium.kind)
        sounds = sum(medium.kind == "audio" for medium in prompt.media)
        if sounds > 1 and not self._senses.hearing.takes_several:
            raise InvalidRequest(f"messages: {sounds} sounds. This model takes one.", "messages")
        for text in texts_of(prompt):
            if mark := next((mark for mark in self._senses.marks.values() if mark in text), None):
                raise InvalidRequest(
                    f"messages: a text has {mark} in it, with which this model's prompts mark where "
                    "pictures, videos or sounds are. Leave it out.",
                    "messages",
                )

    def _check_text(self, text: str, media: Sequence[Medium]) -> None:
        """Some templates leave out what tools or the system say. Raises InvalidRequest."""
        for kind, mark in self._senses.marks.items():
            count = sum(medium.kind == kind for medium in media)
            # None at all: it writes another one, which its processor knows.
            if 0 < text.count(mark) < count:
                raise _left_out(kind)

    def _decode(self, media: Sequence[Medium]) -> _Decoded:
        """Raises InvalidRequest."""
        decoded = _Decoded()
        counts: Counter[MediumKind] = Counter()
        for medium in media:
            counts[medium.kind] += 1
            what = f"{medium.kind} {counts[medium.kind]}"
            match medium.kind:
                case "image":
                    picture = decode_picture(medium.content, what)
                    decoded.pictures.append(picture.image)
                    digest = picture.digest
                case "video":
                    video = decode_video(medium.content, self._senses.watching, what)
                    decoded.videos.append(video)
                    digest = video.digest
                case "audio":
                    data = data_of(medium.content, what)
                    decoded.sounds.append(_decode_sound(data, self._senses.hearing, what))
                    continue
            decoded.digests.setdefault(medium.kind, []).append(digest)
        if decoded.sounds:
            decoded.sounds = _alike(decoded.sounds, self._senses.hearing.step)
            # As they are heard: the same beside a longer one is another.
            decoded.digests["audio"] = [digest_of(sound.tobytes()) for sound in decoded.sounds]
        return decoded

    def _processed(self, text: str, decoded: _Decoded) -> dict[str, Any]:
        kinds = frozenset(decoded.digests)
        mark, number = self._beginning
        if mark and kinds in self._begins_twice:
            return self._prepared(text.removeprefix(mark), decoded)
        inputs = self._prepared(text, decoded)
        # mlx-vlm tells those processors alone not to that name the parameter; and some do not of themselves.
        if mark and text.startswith(mark) and inputs["input_ids"][0, :2].tolist() == [number, number]:
            self._begins_twice.add(kinds)
            return self._prepared(text.removeprefix(mark), decoded)
        return inputs

    @property
    def _beginning(self) -> tuple[str, int | None]:
        """The mark that begins a prompt, if there is one, and its token."""
        tokenizer = getattr(self._processor, "tokenizer", self._processor)
        mark = getattr(tokenizer, "bos_token", None)
        return (mark, tokenizer.bos_token_id) if isinstance(mark, str) else ("", None)

    def _prepared(self, text: str, decoded: _Decoded) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if decoded.videos:
            more["video_metadata"] = [_metadata(video) for video in decoded.videos]
        try:
            with self._lock:
                inputs: dict[str, Any] = prepare_inputs(  # type: ignore[no-untyped-call]
                    self._processor,
                    images=decoded.pictures or None,
                    videos=[video.frames for video in decoded.videos] or None,
                    audio=decoded.sounds or None,
                    prompts=text,
                    image_token_index=next(iter(self._senses.tokens["image"]), None),
                    **more,
                )
                # Here: what is not yet evaluated belongs to this thread's stream (docs/decisions/0016).
                mx.eval([value for value in inputs.values() if isinstance(value, mx.array)])
        except Exception as error:  # each model's processor raises what it likes
            sent = " or ".join(sorted(decoded.digests))
            advice = (
                "Send one that is larger, and not many times as wide as high."
                if decoded.pictures or decoded.videos
                else "Send another one."
            )
            raise InvalidRequest(
                f"messages: the model's processor refused the {sent} ({type(error).__name__}). {advice}",
                "messages",
            ) from error
        return {key: value for key, value in inputs.items() if value is not None}


def _left_out(kind: MediumKind) -> InvalidRequest:
    return InvalidRequest(
        f"messages: this model's chat template leaves {kind} parts out, here or altogether. Send them as the "
        "user.",
        "messages",
    )


def media_keys(digest: bytes, count: int, above: int) -> list[int]:
    """Numbers from `above` up that stand for so many of its tokens, and for no other medium's."""
    stream = hashlib.shake_128(digest).digest(_KEY_BYTES * count)
    room = 2**31 - above
    return [
        above + int.from_bytes(stream[place : place + _KEY_BYTES], "little") % room
        for place in range(0, len(stream), _KEY_BYTES)
    ]


def _places(
    tokens: Sequence[int], those: frozenset[int], kind: MediumKind, digests: Sequence[bytes]
) -> Iterator[tuple[Place, bytes]]:
    """Where they begin and end, and what is there. Raises InvalidRequest where there are none.

    Some processors cut one into several: then each piece is known by all of its kind and its place.
    """
    groups = groupby(range(len(tokens)), key=lambda place: tokens[place] in those)
    runs = [[*run] for is_medium, run in groups if is_medium]
    if not runs:
        raise _left_out(kind)
    together = b"".join(digests)
    one_each = len(runs) == len(digests)
    for number, run in enumerate(runs):
        digest = digests[number] if one_each else together + number.to_bytes(4, "big")
        yield Place(kind, run[0], run[-1] + 1), digest


def _decode_sound(data: bytes, hearing: Hearing, what: str) -> NDArray[np.float32]:
    sent = SentSound(data, hearing.most_seconds, "what this model hears at a time", what, "messages")
    return decode_sound(sent, hearing.rate).samples


def _alike(sounds: list[NDArray[np.float32]], step: int) -> list[NDArray[np.float32]]:
    """As of Hearing, by silence at their ends."""
    if step == 1:
        return sounds
    length = -(-max(map(len, sounds)) // step) * step
    return [np.pad(sound, (0, length - len(sound))) for sound in sounds]


def _metadata(video: Video) -> VideoMetadata:
    return VideoMetadata(
        total_num_frames=video.total,
        fps=video.rate,
        frames_indices=list(video.places),
        height=video.frames.shape[2],
        width=video.frames.shape[3],
        duration=video.total / video.rate,
    )
