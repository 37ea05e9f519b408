"""Starting one process as launchd's trampoline does: prepare, then exec, and 78 for whatever fails before."""

import ctypes
import errno
import fcntl
import os
import pwd
import resource
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlxhub.standin import darwin
from mlxhub.standin.plist import DEFAULT_PATH, LIMITS, Definition
from mlxhub.standin.variation import Variation

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_FIRST_PASSED_FD = 3


@dataclass(frozen=True, slots=True)
class Child:
    pid: int
    report_fd: int  # says why the program was not started; empty once it was


def become_subreaper() -> None:
    """Orphans of jobs become children of the daemon, so that they are reaped."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(definition: Definition, variation: Variation, passed: Sequence[tuple[str, int]]) -> Child:
    """`passed` are named listening sockets. Raises OSError when not even a fork is possible."""
    daemon_pid = os.getpid()
    report_reader, report_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    # The daemon's handlers must not run in the child: nothing is delivered until they are reset.
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
    except OSError:
        os.close(report_reader)
        os.close(report_writer)
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
        raise
    if pid == 0:
        _run_child(definition, variation, passed, daemon_pid, report_writer)
    signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
    os.close(report_writer)
    return Child(pid, report_reader)


def starved_environment(definition: Definition, variation: Variation) -> dict[str, str]:
    """Launchd's own few variables with the plist's on top; nothing of the daemon's."""
    environment = {"PATH": DEFAULT_PATH}
    if variation.home_in_environment:
        try:
            user = pwd.getpwuid(os.getuid())
        except KeyError:  # a container's uid without an account
            pass
        else:
            environment |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
            environment |= {"SHELL": user.pw_shell or "/bin/sh", "TMPDIR": "/tmp"}  # noqa: S108 - a plain default
    environment |= {"XPC_SERVICE_NAME": definition.label, "XPC_FLAGS": "0x0", "OSLogRateLimit": "64"}
    return {**environment, **definition.environment}


def _run_child(
    definition: Definition,
    variation: Variation,
    passed: Sequence[tuple[str, int]],
    daemon_pid: int,
    report_fd: int,
) -> None:
    try:
        _die_with(daemon_pid)
        os.setpgid(0, 0)
        report_fd, environment = _place_sockets(definition, variation, passed, report_fd)
        os.umask(definition.umask)
        _open_stdio(definition, variation)
        _change_directory(definition, variation)
        _set_limits(definition)
        _reset_signals()
        _execute(definition, environment)
    except (OSError, ValueError) as error:
        os.write(report_fd, str(error).encode(errors="replace")[:512])
    finally:
        os._exit(darwin.SPAWN_FAILED)


def _die_with(daemon_pid: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != daemon_pid:  # it died before the line above
        os._exit(darwin.SPAWN_FAILED)


def _place_sockets(
    definition: Definition, variation: Variation, passed: Sequence[tuple[str, int]], report_fd: int
) -> tuple[int, dict[str, str]]:
    environment = starved_environment(definition, variation)
    if not passed:
        return report_fd, environment
    above = _FIRST_PASSED_FD + len(passed)
    report_fd = fcntl.fcntl(report_fd, fcntl.F_DUPFD_CLOEXEC, above)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for _, fd in passed]
    for place, fd in enumerate(moved, _FIRST_PASSED_FD):
        os.dup2(fd, place, inheritable=True)
    environment["LISTEN_PID"] = str(os.getpid())
    environment["LISTEN_FDS"] = str(len(passed))
    environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in passed)
    return report_fd, environment


def _open_stdio(definition: Definition, variation: Variation) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0, inheritable=True)
    for target, path in ((1, definition.stdout_path), (2, definition.stderr_path)):
        if path is None:
            os.dup2(null, target, inheritable=True)
            continue
        if variation.creates_log_parent:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(opened, target, inheritable=True)


def _change_directory(definition: Definition, variation: Variation) -> None:
    try:
        os.chdir(definition.working_directory or "/")
    except OSError:
        if variation.missing_directory_is_fatal:
            raise
        os.chdir("/")


def _set_limits(definition: Definition) -> None:
    for name, number in LIMITS.items():
        soft, hard = resource.getrlimit(number)
        wanted_hard = definition.hard_limits.get(name, hard)
        wanted_soft = definition.soft_limits.get(name, soft)
        if resource.RLIM_INFINITY not in {hard, wanted_hard}:
            wanted_hard = min(wanted_hard, hard)
        if wanted_hard != resource.RLIM_INFINITY:
            wanted_soft = (
                wanted_hard if wanted_soft == resource.RLIM_INFINITY else min(wanted_soft, wanted_hard)
            )
        if (wanted_soft, wanted_hard) != (soft, hard):
            resource.setrlimit(number, (wanted_soft, wanted_hard))


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # The C library keeps some real-time signals to itself.
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _execute(definition: Definition, environment: dict[str, str]) -> None:
    program = definition.program or definition.arguments[0]
    if "/" in program:
        os.execve(program, definition.arguments, environment)
    for directory in DEFAULT_PATH.split(":"):
        try:
            os.execve(f"{directory}/{program}", definition.arguments, environment)
        except FileNotFoundError:
            continue
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
