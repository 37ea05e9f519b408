"""A job that writes down when it starts and ends, and behaves as its `key=value` arguments say.

A run starts hundreds of these, so it imports little; Linux and macOS. Times are real seconds on CLOCK.
"""

import os
import signal
import sys
import time

CLOCK = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC
BEGAN = time.clock_gettime(CLOCK)
SOCKET_NAME = "api"


def main() -> None:
    words = [word.split("=", 1) for word in sys.argv[1:]]
    options = dict(words)
    if options.get("term", "default") == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif "term" in options:
        signal.signal(signal.SIGTERM, lambda *_: end(options, int(options["term"])))
    children = {kind: start_child(kind) for key, kind in words if key == "child"}
    run = write(options, ("started", forked_at(), facts(children)))
    if "serve" in options:
        serve_one(options)
    if "bootout" in options:
        run_launchctl(options, [word for key, word in words if key == "launchctl"])
    behave(options, run)


def behave(options: dict[str, str], run: int) -> None:
    """`ends` names the end of each run in turn: a number, `abort` or `stay`; the last one is repeated."""
    ends = options.get("ends", "stay").split(",")
    way = ends[min(run, len(ends)) - 1]
    while way == "stay":
        if "say" in options:
            os.write(1, b"said\n")
        time.sleep(0.02 if "say" in options else 600)
    time.sleep(float(options.get("after", "0")))
    if way == "abort":
        os.abort()
    end(options, int(way))


def end(options: dict[str, str], code: int) -> None:
    write(options, ("ended", time.clock_gettime(CLOCK), code))
    os._exit(code)


def write(options: dict[str, str], event: tuple[object, ...]) -> int:
    """Append one line; returns how many starts the log now has."""
    log = os.open(options["log"], os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(log, repr(event).encode() + b"\n")
    content = os.pread(log, 1 << 20, 0)
    os.close(log)
    return content.count(b"('started'")


def facts(children: dict[str, int]) -> dict[str, object]:
    import resource

    return {
        "pid": os.getpid(),
        "pgid": os.getpgid(0),
        "argv": sys.argv,
        "cwd": os.getcwd(),  # noqa: PTH109 - pathlib would double this script's start time
        "environment": dict(os.environ),
        "stdin": os.read(0, 1),
        "umask": os.umask(0o022),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "children": children,
    }


def forked_at() -> float:
    """When this process was forked, where that can be told; else when its first line ran."""
    if sys.platform != "linux":
        return BEGAN
    with open("/proc/self/stat") as stat:  # noqa: PTH123 - pathlib would double this script's start time
        return int(stat.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


def start_child(kind: str) -> int:
    """`plain`, `stubborn` (ignores SIGTERM) or `setsid` (leaves the job's process group)."""
    reader, writer = os.pipe()
    if pid := os.fork():
        os.close(writer)
        os.read(reader, 1)  # until it is what its kind says
        os.close(reader)
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_IGN if kind == "stubborn" else signal.SIG_DFL)
    if kind == "setsid":
        os.setsid()
    os.close(reader)
    os.close(writer)
    time.sleep(600)
    os._exit(0)


def serve_one(options: dict[str, str]) -> None:
    import socket

    fd = activated_socket()
    if fd is None:
        return
    with socket.socket(fileno=fd) as listener:
        connection, _ = listener.accept()
        connection.sendall(str(os.getpid()).encode())
        connection.close()
        end(options, 0)


def activated_socket() -> int | None:
    if sys.platform != "darwin":
        mine = os.environ.get("LISTEN_PID") == str(os.getpid())
        return 3 if mine and os.environ.get("LISTEN_FDNAMES") == SOCKET_NAME else None
    import ctypes

    library = ctypes.CDLL("/usr/lib/libSystem.B.dylib")
    fds, count = ctypes.POINTER(ctypes.c_int)(), ctypes.c_size_t()
    failed = library.launch_activate_socket(SOCKET_NAME.encode(), ctypes.byref(fds), ctypes.byref(count))
    return None if failed or not count.value else fds[0]


def run_launchctl(options: dict[str, str], launchctl: list[str]) -> None:
    """Boot out this very job: `self` waits for launchctl, `detached` leaves it to a session of its own."""
    import subprocess

    child = subprocess.Popen(
        [*launchctl, "bootout", f"gui/{os.getuid()}/{os.environ['XPC_SERVICE_NAME']}"],
        start_new_session=options["bootout"] == "detached",
    )
    if options["bootout"] == "self":
        child.wait()


if __name__ == "__main__":
    main()
