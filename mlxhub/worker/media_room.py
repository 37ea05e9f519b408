"""How much prepared media may take together: a large picture is sixty megabytes until it is answered."""

import asyncio

from mlxhub.core.medium import FRAME_PIXELS, PICTURE_SIDE, SOUND_SECONDS, VIDEO_FRAMES, MediumKind
from mlxhub.worker.engines.content import media_of
from mlxhub.worker.engines.engine import Asked, Prepared, PreparedRequest
from mlxhub.worker.generation import Generation

MOST_BYTES = 1_000_000_000
# Of the largest of each that is handed on, as processors make it: three colours of two frames in float32; of
# all frames of a video, of which numpy has three copies on the way; samples, and 128 features a hundred times
# a second.
_LARGEST_BYTES: dict[MediumKind, int] = {
    "image": PICTURE_SIDE**2 * 3 * 2 * 4,
    "video": VIDEO_FRAMES * FRAME_PIXELS * 3 * 4 * 3,
    "audio": SOUND_SECONDS * (16_000 + 128 * 100) * 4,
}


class MediaRoom:
    """On the event loop only. Who does not fit waits; alone every request fits."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held: dict[Generation, int] = {}
        self._waiting: list[asyncio.Future[None]] = []

    async def enter(self, generation: Generation, request: Asked) -> None:
        """Before it is prepared, for as much as it may take. Raises what ends the generation before."""
        if not (largest := sum(_LARGEST_BYTES[medium.kind] for medium in media_of(request))):
            return
        while self._held and sum(self._held.values()) + largest > self._most_bytes:
            left = asyncio.get_running_loop().create_future()
            self._waiting.append(left)
            await generation.until(left)
        self._held[generation] = largest

    def settle(self, generation: Generation, prepared: Prepared) -> None:
        """It takes no more than this."""
        if generation in self._held and isinstance(prepared, PreparedRequest) and prepared.seen is not None:
            self._held[generation] = prepared.seen.held_bytes
            self._wake()

    def leave(self, generation: Generation) -> None:
        if self._held.pop(generation, None) is not None:
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)
