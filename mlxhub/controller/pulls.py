"""Models that are being pulled: one at a time, the others wait; who asks again gets the one there is."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from loguru import logger

from mlxhub.controller.pull_rate import PullRate
from mlxhub.errors import PullFailed, UnknownPull, size_text
from mlxhub.fleet.happenings import PULL_BEGAN, PULL_CAME, PULL_ENDED, PULL_FAILED, Happening
from mlxhub.protocol.registry import PullList, PullState, PullView
from mlxhub.registry.pulling import Came, Planned, PullNews, require_repo_id

MOST_WAITING = 16
_KEPT = 50
_TELL_EVERY_SECONDS = 1.0
_OPEN = (PullState.QUEUED, PullState.RUNNING)


class Pulling(Protocol):
    """One at work. Iterating blocks, in one thread."""

    def __iter__(self) -> Iterator[PullNews]:
        """Raises PullFailed."""

    def cancel(self) -> None:
        """From any thread."""


@dataclass(slots=True)
class _Entry:
    """`told_share` of a hundred and `told_at`: of the last event about its progress."""

    view: PullView
    pulling: Pulling | None = None
    is_unwanted: bool = False
    rate: PullRate = field(default_factory=PullRate)
    told_share: int = 0
    told_at: float = 0.0


class Pulls:
    """On the event loop. `begin` starts one, and blocks for a moment; `pulled`: one is there."""

    def __init__(
        self,
        begin: Callable[[str], Pulling],
        emit: Callable[[Happening], None],
        pulled: Callable[[], None],
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begin = begin
        self._emit = emit
        self._pulled = pulled
        self._tasks = tasks
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._working: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def views(self) -> PullList:
        """The newest first."""
        return PullList(pulls=[self._view(entry) for entry in reversed(self._entries.values())])

    def add(self, repo: str) -> PullView:
        """Raises PullFailed: it is no repo id, or too many wait."""
        require_repo_id(repo)
        waiting = [entry for entry in self._entries.values() if entry.view.state in _OPEN]
        for entry in waiting:
            if entry.view.model == repo:
                return self._view(entry)
        if len(waiting) >= MOST_WAITING:
            raise PullFailed("busy", f"{len(waiting)} models are waiting to be pulled. Try again later.")
        view = PullView(id=f"pull-{secrets.token_hex(8)}", model=repo, state=PullState.QUEUED)
        self._entries[view.id] = _Entry(view)
        self._forget()
        if self._working is None:
            self._working = self._tasks.create_task(self._work())
        return view

    def cancel(self, pull_id: str) -> PullView:
        """One that is over stays as it is. Raises UnknownPull."""
        entry = self._entries.get(pull_id)
        if entry is None:
            raise UnknownPull(pull_id)
        if entry.view.state is PullState.QUEUED:
            said = f"The pull of {entry.view.model} was cancelled before it began."
            self._note(entry, state=PullState.CANCELLED, error=said, code="cancelled")
            self._emit(Happening(PULL_FAILED, said))
        elif entry.view.state is PullState.RUNNING:
            entry.is_unwanted = True
            if entry.pulling is not None:
                entry.pulling.cancel()
        return self._view(entry)

    def end(self) -> None:
        """The process ends, and what it pulls with it; the next pull goes on from there."""
        for pull_id, entry in self._entries.items():
            if entry.view.state in _OPEN:
                self.cancel(pull_id)

    async def _work(self) -> None:
        try:
            while (entry := self._next()) is not None:
                await self._pull(entry)
        finally:
            self._working = None

    def _next(self) -> _Entry | None:
        queued = (entry for entry in self._entries.values() if entry.view.state is PullState.QUEUED)
        return next(queued, None)

    async def _pull(self, entry: _Entry) -> None:
        repo = entry.view.model
        self._note(entry, state=PullState.RUNNING)
        self._emit(Happening(PULL_BEGAN, f"{repo} is being pulled."))
        try:
            await asyncio.to_thread(self._follow, entry)
        except Exception as error:  # noqa: BLE001  the top of a background task
            if not isinstance(error, PullFailed):
                logger.exception("Unexpected error in pull {}", entry.view.id)
            code = error.code if isinstance(error, PullFailed) else "broken_off"
            state = PullState.CANCELLED if code == "cancelled" else PullState.FAILED
            self._note(entry, state=state, error=str(error), code=code)
            self._emit(Happening(PULL_FAILED, str(error)))
        else:
            self._note(entry, state=PullState.DONE, done_bytes=entry.view.total_bytes)
            self._emit(Happening(PULL_ENDED, f"{repo} has been pulled."))
            self._pulled()

    def _follow(self, entry: _Entry) -> None:
        """In a thread of its own."""
        pulling = self._begin(entry.view.model)
        self._loop.call_soon_threadsafe(self._begun, entry, pulling)
        for news in pulling:
            match news:
                case Planned(total_bytes=total, have_bytes=have):
                    self._loop.call_soon_threadsafe(self._plan, entry, total, have)
                case Came(done):
                    self._loop.call_soon_threadsafe(self._came, entry, done)

    def _begun(self, entry: _Entry, pulling: Pulling) -> None:
        """Who cancelled it before that meant this one, too."""
        entry.pulling = pulling
        if entry.is_unwanted:
            pulling.cancel()

    def _plan(self, entry: _Entry, total_bytes: int, have_bytes: int) -> None:
        self._note(entry, total_bytes=total_bytes, done_bytes=have_bytes)
        entry.rate.note(self._clock(), have_bytes)

    def _came(self, entry: _Entry, done_bytes: int) -> None:
        self._note(entry, done_bytes=done_bytes)
        now, total_bytes = self._clock(), entry.view.total_bytes
        entry.rate.note(now, done_bytes)
        share = 100 * done_bytes // total_bytes if total_bytes else 0
        if share > entry.told_share and now - entry.told_at >= _TELL_EVERY_SECONDS:
            entry.told_share, entry.told_at = share, now
            what = f"{share} % of {size_text(total_bytes or 0)} have come"
            self._emit(Happening(PULL_CAME, f"{entry.view.model}: {what}."))

    def _view(self, entry: _Entry) -> PullView:
        if entry.view.state is not PullState.RUNNING:
            return entry.view
        rate = entry.rate.bytes_per_second(self._clock())
        return entry.view.model_copy(update={"bytes_per_second": rate})

    def _note(self, entry: _Entry, **facts: object) -> None:
        entry.view = entry.view.model_copy(update=facts)

    def _forget(self) -> None:
        over = [pull_id for pull_id, entry in self._entries.items() if entry.view.state not in _OPEN]
        for pull_id in over[: max(0, len(self._entries) - _KEPT)]:
            del self._entries[pull_id]
