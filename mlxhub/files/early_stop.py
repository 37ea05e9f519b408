"""A stop that comes before a program listens for it. Imports next to nothing: it is there before all else."""

import signal
import sys
from types import FrameType


def end_cleanly_on_sigterm() -> None:
    """Exit 0, as after every requested stop: launchd would start again what ends by the signal itself."""

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, on_sigterm)
