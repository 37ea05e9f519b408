"""Requests of which this model's process dies: told by its deaths, and then refused.

Several are in flight at a death, and one of them is to blame. Each is a suspect from then on, and of suspects
one is served at a time: one that is answered is none any more, and a second death convicts the one that was.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from loguru import logger
from pydantic import TypeAdapter

from mlxhub.core.flight import FlownRequest
from mlxhub.core.paths import RunFiles
from mlxhub.core.quarantine import Suspect, is_suspect, refused_seconds, with_death, without
from mlxhub.errors import StateUnreadable, StateUnwritable
from mlxhub.files.flight_record import DIGEST_BYTES, FlightRecord, read_flight
from mlxhub.files.state import read_state, write_state
from mlxhub.refusals import Quarantined
from mlxhub.worker.engines.content import content_of, size_of, terms_of
from mlxhub.worker.engines.engine import Asked
from mlxhub.worker.generation import Generation

# Takes a tenth of a millisecond.
_SMALL_CHARACTERS = 50_000
_SUSPECTS = TypeAdapter(tuple[Suspect, ...])


class Quarantine:
    """On the event loop. Without `files` it knows no deaths: nobody starts the process again."""

    def __init__(self, files: RunFiles | None, wall_clock: Callable[[], float] = time.time) -> None:
        self._files = files
        self._wall_clock = wall_clock
        self._suspects: tuple[Suspect, ...] = ()
        self._record: FlightRecord | None = None
        self._turn = asyncio.Lock()
        if files is not None:
            self._learn(files)

    async def admit(self, requests: Sequence[Asked]) -> FlownRequest:
        """What was asked, without its content. Raises Quarantined."""
        size = sum(size_of(request) for request in requests)
        if size <= _SMALL_CHARACTERS:
            asked = _identify(requests, size)
        else:
            asked = await asyncio.to_thread(_identify, requests, size)
        seconds = refused_seconds(self._suspects, asked.digest, self._wall_clock())
        if seconds is not None:
            raise Quarantined(seconds)
        return asked

    @asynccontextmanager
    async def serving(self, generation: Generation, asked: FlownRequest) -> AsyncIterator[None]:
        """While it is written down as in flight. Raises what ends the generation before its turn."""
        if not is_suspect(self._suspects, asked.digest, self._wall_clock()):
            with self._written(asked):
                yield
            return
        async with self._turn_of(generation):
            with self._written(asked):
                yield
            await self._acquit(asked.digest)

    def note_memory(self, footprint_bytes: int, reserved_bytes: int) -> None:
        """What its death shall be able to tell."""
        if self._record is not None:
            self._record.note_memory(footprint_bytes, reserved_bytes)

    def blame(self) -> None:
        """The process is beyond repair: what is in flight now was so at a death."""
        if self._record is not None:
            self._record.make_final()

    def close(self) -> None:
        if self._record is not None:
            self._record.close()

    def _learn(self, files: RunFiles) -> None:
        """From how the last process left its record; then this one's begins."""
        left = [request.digest for request in read_flight(files.flight).requests]
        try:
            self._suspects = read_state(files.suspects, _SUSPECTS, ())
        except StateUnreadable as error:
            logger.warning("{} cannot be read ({}): no request is suspected yet.", error.path, error.reason)
        try:
            # Begun first: who is killed between these two forgets a death, rather than count it twice.
            self._record = FlightRecord(files.flight)
            if left:
                self._suspects = with_death(self._suspects, left, self._wall_clock())
                write_state(files.suspects, _SUSPECTS, self._suspects)
        except StateUnwritable as error:
            logger.warning("What is in flight is not written down: {}", error)

    @contextmanager
    def _written(self, asked: FlownRequest) -> Iterator[None]:
        if self._record is None:
            yield
            return
        slot = self._record.begin(asked)
        try:
            yield
        finally:
            self._record.end(slot)

    @asynccontextmanager
    async def _turn_of(self, generation: Generation) -> AsyncIterator[None]:
        acquiring = asyncio.ensure_future(self._turn.acquire())
        try:
            await generation.until(acquiring)
        except BaseException:
            if not acquiring.cancel():
                self._turn.release()
            raise
        try:
            yield
        finally:
            self._turn.release()

    async def _acquit(self, digest: str) -> None:
        assert self._files is not None
        self._suspects = without(self._suspects, digest)
        try:
            await asyncio.to_thread(write_state, self._files.suspects, _SUSPECTS, self._suspects)
        except StateUnwritable as error:
            logger.warning("An answer that went well is not written down: {}", error)


def _identify(requests: Sequence[Asked], size: int) -> FlownRequest:
    """The same for the same request, whatever API it came by."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for request in requests:
        digest.update(repr(terms_of(request)).encode())
        for sent in content_of(request):
            digest.update(b"%d:" % len(sent))
            digest.update(sent if isinstance(sent, bytes) else sent.encode(errors="surrogatepass"))
    return FlownRequest(digest.hexdigest(), size)
