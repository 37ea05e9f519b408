"""Commands that go on until ctrl-c, or until whoever reads their output has gone, as `head` does."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Both are an end like any other."""
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError):
        # What is still buffered has no reader; Python would complain about that when it ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
