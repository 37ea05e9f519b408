"""Something that goes on in a thread of its own for as long as a `with` lasts."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def going_on(work: Callable[[threading.Event], None], *, ends_within: float) -> Iterator[None]:
    """`work` ends so many seconds after the event is set, at the latest. What it raises is raised here."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work, over)
        try:
            yield
        finally:
            over.set()
            working.result(ends_within)
