"""How much memory this process takes, as its system counts it."""

import ctypes
import os
import sys
from collections.abc import Callable

import psutil

# RUSAGE_INFO_V0 of <sys/resource.h>: an identity, then numbers of 64 bits; ri_phys_footprint is the eighth.
_MAC_VERSION = 0
_MAC_NUMBERS = 10
_MAC_FOOTPRINT = 7


class _MacUsage(ctypes.Structure):
    _fields_ = (("uuid", ctypes.c_uint8 * 16), ("numbers", ctypes.c_uint64 * _MAC_NUMBERS))


def footprint_reader() -> Callable[[], int]:
    """What reads it, in bytes: on a Mac with what the GPU holds for it, elsewhere what is resident."""
    process = psutil.Process()

    def resident() -> int:
        return int(process.memory_info().rss)

    is_mac = sys.platform == "darwin"
    return (lambda: _mac_footprint() or resident()) if is_mac else resident


def _mac_footprint() -> int:
    """0: this system does not tell."""
    usage = _MacUsage()
    try:
        failed = ctypes.CDLL(None).proc_pid_rusage(os.getpid(), _MAC_VERSION, ctypes.byref(usage))
    except (OSError, AttributeError):
        return 0
    return 0 if failed else int(usage.numbers[_MAC_FOOTPRINT])
