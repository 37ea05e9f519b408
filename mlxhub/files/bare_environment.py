"""What a program that runs what a stranger wrote sees of our environment: no key, no token, no home."""

import os

# What a Python needs to start on some systems, and what tells it the local time.
_NAMES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "TZ")


def bare_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _NAMES if name in os.environ}
