"""Requests that have the whole model, one after the other, each carried out a piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from loguru import logger

from mlxhub.errors import MlxhubError
from mlxhub.refusals import GenerationFailed
from mlxhub.worker.engines.engine import Completed, Delta, Failed
from mlxhub.worker.engines.places import Places, started

if TYPE_CHECKING:
    from mlxhub.worker.engines.stepwise import Stepwise

Asked = TypeVar("Asked")
Say: TypeAlias = Callable[[Delta], None]
Pause: TypeAlias = Callable[[], None]


class OneAtATime(Generic[Asked]):
    """`carry_out` gets a handle, what is asked, whom to tell of it, and what gives the thread back."""

    def __init__(self, carry_out: Callable[[int, Asked, Say, Pause], None]) -> None:
        self._carry_out = carry_out
        self._places: Places[Asked] = Places(1)
        self._work: Stepwise[None] | None = None
        self._handle: int | None = None
        self._said: list[Delta] = []

    @property
    def taken(self) -> int:
        return len(self._places)

    @property
    def peak(self) -> int:
        return self._places.peak

    @property
    def is_busy(self) -> bool:
        return self._work is not None

    @property
    def has_work(self) -> bool:
        return self.is_busy or self._places.has_work

    def submit(self, handle: int, asked: Asked) -> None:
        self._places.submit(handle, asked)

    def cancel(self, handle: int) -> None:
        self._places.leave(handle)
        if handle == self._handle:
            self._give_up()

    def step(self) -> list[Delta]:
        if self._work is None:
            admitted = list(self._places.admit())
            for coming, asked in admitted:
                self._begin(coming, asked)
            return started(iter(admitted))
        assert self._handle is not None
        handle = self._handle
        if self._is_over(handle, self._work):
            self._work = self._handle = None
            self._places.leave(handle)
        said, self._said = self._said, []
        return said

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        self._give_up()
        return self._places.fail(error)

    def clear(self) -> None:
        self._give_up()
        self._places.clear()

    def _begin(self, handle: int, asked: Asked) -> None:
        from mlxhub.worker.engines.stepwise import Stepwise  # noqa: PLC0415 - of an extra

        self._handle = handle
        self._work = Stepwise(lambda pause: self._carry_out(handle, asked, self._say, pause))

    def _say(self, delta: Delta) -> None:
        self._said.append(delta)

    def _is_over(self, handle: int, work: Stepwise[None]) -> bool:
        try:
            if not work.step():
                return False
        except MlxhubError as error:
            self._said.append(Failed(handle, error))
        except Exception:  # noqa: BLE001 - the model's code raises anything, and only this request is in it
            logger.exception("A request broke")
            self._said.append(Failed(handle, GenerationFailed("the model broke at this. The log says more.")))
        else:
            self._said.append(Completed(handle))
        return True

    def _give_up(self) -> None:
        work, self._work, self._handle = self._work, None, None
        self._said = []
        if work is not None:
            work.close()
