"""A job that writes down how it was started and then behaves as it is told; standard library only."""

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--log", required=True)
parser.add_argument("--exit", type=int, default=None)
parser.add_argument("--after", type=float, default=0.0, help="real seconds")
parser.add_argument("--on-term", default="default")
parser.add_argument("--abort", action="store_true")
parser.add_argument("--spawn-child", choices=["plain", "setsid"])
parser.add_argument("--say", action="store_true", help="a line on stdout each 20 ms")
parser.add_argument(
    "--serve-one", action="store_true", help="accept one connection on the passed socket and exit 0"
)
options = parser.parse_args()


def on_term(_number: int, _frame: object) -> None:
    os._exit(int(options.on_term.removeprefix("exit")))


if options.on_term == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif options.on_term != "default":
    signal.signal(signal.SIGTERM, on_term)

child = None
if options.spawn_child:
    child = subprocess.Popen(["/bin/sleep", "600"], start_new_session=options.spawn_child == "setsid")

# When this process was forked, whatever the interpreter took to start.
forked_ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])

with Path(options.log).open("a") as log:
    facts = {
        "started": forked_ticks / os.sysconf("SC_CLK_TCK"),
        "pid": os.getpid(),
        "pgid": os.getpgid(0),
        "child": child and child.pid,
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

if options.serve_one:
    with socket.socket(fileno=3) as listener:
        connection, _ = listener.accept()
        connection.sendall(str(os.getpid()).encode())
        connection.close()
    sys.exit(0)
if options.abort:
    os.abort()
if options.exit is not None:
    time.sleep(options.after)
    sys.exit(options.exit)
while True:
    if options.say:
        sys.stdout.write("said\n")
        sys.stdout.flush()
    time.sleep(0.02 if options.say else 600)
