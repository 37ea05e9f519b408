"""Processes by their number, on Linux and macOS."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_processes_under(directory: Path) -> None:
    """Probes that escaped their job, as some do on purpose; their arguments name a log in the directory."""
    log = f"log={directory}{os.sep}"
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(word.startswith(log) for word in process.cmdline()):
                process.send_signal(signal.SIGKILL)
