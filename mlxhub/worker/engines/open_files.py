"""The limit of open files belongs to the process, not to a library that it imports."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_open_files() -> Iterator[None]:
    """Around the first import of mlx-lm, which lowers it to 2,048, and the hard limit to 4,096 for good."""
    set_limit = resource.setrlimit
    resource.setrlimit = lambda _which, _limits: None
    try:
        yield
    finally:
        resource.setrlimit = set_limit
