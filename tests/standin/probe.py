"""A job that writes down how it was started and then behaves as it is told; standard library only."""

import argparse
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--log", required=True)
parser.add_argument("--exit", type=int, default=None)
parser.add_argument("--on-term", default="default")
options = parser.parse_args()


def on_term(_number: int, _frame: object) -> None:
    os._exit(int(options.on_term.removeprefix("exit")))


if options.on_term == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif options.on_term != "default":
    signal.signal(signal.SIGTERM, on_term)

with Path(options.log).open("a") as log:
    facts = {
        "pid": os.getpid(),
        "pgid": os.getpgid(0),
        "env": dict(os.environ),
        "cwd": str(Path.cwd()),
        "argv": sys.argv,
        "stdin": os.read(0, 1).decode(),
        "umask": os.umask(0o022),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "fds": sorted(int(fd.name) for fd in Path("/proc/self/fd").iterdir()),
        "blocked": sorted(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    }
    log.write(json.dumps(facts) + "\n")

if options.exit is not None:
    sys.exit(options.exit)
while True:
    time.sleep(600)
