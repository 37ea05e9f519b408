"""What a system shows of a process that does not speak for itself."""

from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class ProcessLook:
    """`is_stopped`: by SIGSTOP or a debugger, which somebody wanted."""

    is_stopped: bool
    description: str


def look_at_process(pid: int) -> ProcessLook | None:
    """None: there is none of that pid, or it may not be looked at."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            status, used = process.status(), process.cpu_times()
            threads, resident = process.num_threads(), process.memory_info().rss
    except psutil.Error:
        return None
    return ProcessLook(
        status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP),
        f"{status}, {used.user + used.system:.0f} s of computing, {threads} threads, {resident / 1e9:.1f} GB",
    )
