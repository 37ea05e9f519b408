"""Starting one process as launchd's trampoline does: prepare, then exec, and 78 for whatever fails before."""

import ctypes
import fcntl
import math
import os
import pwd
import resource
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mlxhub.standin import darwin
from mlxhub.standin.plist import DEFAULT_OPEN_FILES, DEFAULT_PATH, LIMITS, Definition
from mlxhub.standin.variation import Variation

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_FIRST_PASSED_FD = 3
_CAUSE_BYTES = 512


@dataclass(frozen=True, slots=True)
class Child:
    pid: int
    report_fd: int  # says why the program was not started; empty once it was

    def spawn_error(self) -> str:
        """Why the program of this ended child never ran; empty if it did. To be asked once."""
        try:
            return os.read(self.report_fd, _CAUSE_BYTES).decode(errors="replace")
        except BlockingIOError:  # killed before its exec, while a child of its own still held the pipe
            return ""
        finally:
            os.close(self.report_fd)


def become_subreaper() -> None:
    """Orphans of jobs become children of the daemon, so that they are reaped."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def inherited_environment() -> dict[str, str]:
    """All that a job gets of the daemon's own environment."""
    return {name: value for name, value in os.environ.items() if name == "SSH_AUTH_SOCK"}


def spawn(
    definition: Definition, variation: Variation, listeners: Sequence[tuple[str, int]], *, is_stale: bool
) -> Child:
    """`listeners` are named sockets; a stale child is killed before it runs its program.

    Raises OSError when not even a fork is possible.
    """
    daemon_pid = os.getpid()
    report_reader, report_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    # The daemon's handlers must not run in the child: nothing is delivered until they are reset.
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _die_with(daemon_pid)
            if is_stale:
                os.kill(os.getpid(), signal.SIGKILL)
            _run_child(definition, variation, listeners, report_writer)
    except OSError:
        os.close(report_reader)
        raise
    finally:
        os.close(report_writer)
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
    return Child(pid, report_reader)


def _run_child(
    definition: Definition, variation: Variation, listeners: Sequence[tuple[str, int]], report_fd: int
) -> NoReturn:
    try:
        os.setpgid(0, 0)
        os.chdir("/")  # to which relative paths of a plist belong
        above = _FIRST_PASSED_FD + len(listeners)
        report_fd = fcntl.fcntl(report_fd, fcntl.F_DUPFD_CLOEXEC, above)
        environment = _environment(definition, variation) | _pass_on(listeners, above)
        os.umask(definition.umask)
        _open_stdio(definition, variation)
        _change_directory(definition, variation)
        _set_limits(definition)
        _reset_signals()
        _execute(definition, environment)
    except (OSError, ValueError) as error:
        os.write(report_fd, str(error).encode(errors="replace")[:_CAUSE_BYTES])
    finally:
        os._exit(darwin.SPAWN_FAILED)


def _die_with(daemon_pid: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != daemon_pid:  # it died before the line above
        os._exit(darwin.SPAWN_FAILED)


def _environment(definition: Definition, variation: Variation) -> dict[str, str]:
    """Launchd's own few variables with the plist's on top."""
    environment = {"PATH": DEFAULT_PATH, **inherited_environment()}
    if variation.home_in_environment:
        with suppress(KeyError):  # a container's uid without an account
            user = pwd.getpwuid(os.getuid())
            environment |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
            environment |= {"SHELL": user.pw_shell or "/bin/sh", "TMPDIR": "/tmp"}  # noqa: S108 - a plain default
    environment |= {"XPC_SERVICE_NAME": definition.label, "XPC_FLAGS": "0x0", "OSLogRateLimit": "64"}
    return {**environment, **definition.environment}


def _pass_on(listeners: Sequence[tuple[str, int]], above: int) -> dict[str, str]:
    """The sockets, moved to where systemd's protocol has them, and the variables that say so."""
    if not listeners:
        return {}
    out_of_the_way = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for _, fd in listeners]
    for place, fd in enumerate(out_of_the_way, _FIRST_PASSED_FD):
        os.dup2(fd, place, inheritable=True)
    return {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(listeners)),
        "LISTEN_FDNAMES": ":".join(name for name, _ in listeners),
    }


def _open_stdio(definition: Definition, variation: Variation) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0, inheritable=True)
    for target, path in ((1, definition.stdout_path), (2, definition.stderr_path)):
        if path and variation.creates_log_parent:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        opened = null if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(opened, target, inheritable=True)


def _change_directory(definition: Definition, variation: Variation) -> None:
    try:
        os.chdir(definition.working_directory or "/")
    except OSError:
        if variation.missing_directory_is_fatal:
            raise
        os.chdir("/")


def _set_limits(definition: Definition) -> None:
    soft_limits = {"NumberOfFiles": DEFAULT_OPEN_FILES, **definition.soft_limits}
    for name, number in LIMITS.items():
        soft, hard = resource.getrlimit(number)
        hard = _lower(hard, definition.hard_limits.get(name, hard))
        resource.setrlimit(number, (_lower(hard, soft_limits.get(name, soft)), hard))


def _lower(one: int, other: int) -> int:
    return min(one, other, key=lambda limit: math.inf if limit == resource.RLIM_INFINITY else limit)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # The C library keeps some real-time signals to itself.
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _execute(definition: Definition, environment: dict[str, str]) -> None:
    program = definition.program or definition.arguments[0]
    if "/" not in program:
        program = shutil.which(program, path=DEFAULT_PATH) or f"/nowhere on {DEFAULT_PATH}: {program}"
    os.execve(program, definition.arguments, environment)
