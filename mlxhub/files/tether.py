"""A program of its own, standard library only: runs another one, and ends it when whoever started it is gone.

The first argument is how many seconds that one has to end after SIGTERM, the others are what to run. It sees
the death of its parent at the end of its standard input, which nothing is written to; its group stays its
parent's, so that launchd's sweep of what a job left behind reaches both.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


def main() -> int:
    seconds, command = float(sys.argv[1]), sys.argv[2:]
    reader, writer = os.pipe()
    for descriptor in (reader, writer):
        os.set_blocking(descriptor, False)
    for each in _SIGNALS:
        signal.signal(each, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return 127
    ends_at: float | None = None
    watched = [reader, sys.stdin.fileno()]
    while child.poll() is None:
        left = None if ends_at is None else max(0.0, ends_at - time.monotonic())
        ready = select.select(watched, [], [], left)[0]
        noticed = set(os.read(reader, 512)) if reader in ready else set()
        orphaned = sys.stdin.fileno() in ready
        if ends_at is None and (orphaned or noticed & {signal.SIGTERM, signal.SIGINT}):
            ends_at = time.monotonic() + seconds
            watched = [reader]
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        elif ends_at is not None and time.monotonic() >= ends_at:
            child.kill()
            child.wait()
    code = child.returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
