"""Asking what may never answer, in threads that keep nobody from ending."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


class LeavingThreads(ThreadPoolExecutor):
    """So many at once. Python waits at its end for the threads of a pool; for these nobody does."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._places = threading.BoundedSemaphore(count)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        def work() -> T:
            with self._places:
                return fn(*args, **kwargs)

        return begin(work)


def begin(ask: Callable[[], T]) -> Future[T]:
    """Ask now, in a thread of its own."""
    answer: Future[T] = Future()

    def work() -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            answer.set_exception(error)

    threading.Thread(target=work, name="doctor", daemon=True).start()
    return answer


def answer_within(seconds: float, answer: Future[T], otherwise: U) -> T | U:
    """`otherwise` where it takes longer. Raises what asking raised."""
    return answer.result() if wait([answer], max(0.0, seconds)).done else otherwise


def answers_within(seconds: float, answers: Mapping[str, Future[T]]) -> dict[str, T]:
    """As many as came in time, all together. Raises what asking raised."""
    deadline = time.monotonic() + seconds
    came = {}
    for name, answer in answers.items():
        if wait([answer], max(0.0, deadline - time.monotonic())).done:
            came[name] = answer.result()
    return came
