"""Scenarios: what a process is started with, its files and its sockets."""

import os
import resource
import socket
from contextlib import suppress

from tests.conformance.driver import Case, Job, Outcome
from tests.conformance.probe import SOCKET_NAME
from tests.conformance.processes import is_alive
from tests.conformance.scenario import scenario

DEFAULT_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
HOME_VARIABLES = {"HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"}
# LC_CTYPE is Python's own doing, and __CF_USER_TEXT_ENCODING that of Apple's libraries.
TOLERATED = {"SSH_AUTH_SOCK", "XPC_SERVICE_NAME", "XPC_FLAGS", "OSLogRateLimit", "PATH", "LC_CTYPE",
             "__CF_USER_TEXT_ENCODING"}  # fmt: skip


@scenario(36, "Logs are appended to and stay open", "rely", "say=yes", plist={"RunAtLoad": True})
def logs(case: Case, job: Job) -> None:
    out = case.launchd.directory / f"{job.label}.out"
    job.write("say=yes", RunAtLoad=True, StandardOutPath=str(out), StandardErrorPath=str(out))
    start = job.start_now()
    case.until(lambda: out.stat().st_size >= 50, 5)
    os.truncate(out, 0)
    case.until(lambda: out.stat().st_size > 0, 5)
    assert out.read_bytes()[:5] == b"said\n"  # without O_APPEND it would begin with a hole
    renamed = out.rename(out.with_suffix(".renamed"))
    size = renamed.stat().st_size
    case.until(lambda: renamed.stat().st_size > size, 5)
    assert not out.exists()
    job.outlive_throttle(start)
    assert job.kickstart("-k").rc == 0
    job.await_start(2, within=15)
    case.until(out.exists, 2)


@scenario(
    37, "What cannot be started exits 78 after a successful bootstrap", "rely",
    measures=("retries_spawn_failure", "refuses_missing_program", "creates_log_parent"),
)  # fmt: skip
def spawn_failures(case: Case, job: Job) -> None:
    directory = case.launchd.directory
    keys = {"RunAtLoad": True, "KeepAlive": True}
    unwritable = case.job(name="unwritable", StandardErrorPath=str(directory), **keys)
    plain_file = directory / f"{job.label}.program"
    plain_file.write_text("#!/bin/sh\n")
    plain_file.chmod(0o644)
    not_executable = case.job(name="executable", ProgramArguments=[str(plain_file)], **keys)
    one_string = case.job(name="string", ProgramArguments=["python3 -m nothing"], **keys)
    for each in (unwritable, not_executable, one_string):
        assert each.bootstrap() == Outcome(0)
        case.until(lambda each=each: is_broken(each), 2)
        assert each.starts() == []
    job.write(ProgramArguments=[str(directory / "nothing")], **keys)
    check_missing_program(case, job)
    check_log_parent(case)
    case.sleep(13)
    runs = {int(each.print().fields["runs"]) for each in (unwritable, not_executable, one_string)}
    assert all(is_broken(each) for each in (unwritable, not_executable, one_string))
    case.saw("retries_spawn_failure", min(runs) > 1)
    assert min(runs) > 1 or runs == {1}


def check_missing_program(case: Case, job: Job) -> None:
    outcome = job.bootstrap()
    assert outcome.rc in {0, 5}
    if outcome.rc == 0:
        case.until(lambda: is_broken(job), 2)
    else:
        assert job.print().rc == 113
    case.saw("refuses_missing_program", outcome.rc != 0)


def check_log_parent(case: Case) -> None:
    parent = case.launchd.directory / f"{case.number}.missing"
    job = case.job(name="parent", RunAtLoad=True, StandardErrorPath=str(parent / "err"))
    assert job.bootstrap() == Outcome(0)
    case.until(lambda: job.starts() or is_broken(job), 2)
    assert bool(job.starts()) is parent.exists()
    case.saw("creates_log_parent", parent.exists())


def is_broken(job: Job) -> bool:
    printed = job.print()
    return printed.pid is None and printed.fields.get("last exit code") == "78: EX_CONFIG"


@scenario(
    39, "A process is started with launchd's few variables and limits", "rely",
    plist={"RunAtLoad": True}, measures=("home_in_environment", "missing_directory_is_fatal"),
)  # fmt: skip
def environment(case: Case, job: Job) -> None:
    start = job.start_now()
    has_home = start.environment.keys() >= HOME_VARIABLES
    assert start.environment.keys() <= TOLERATED | (HOME_VARIABLES if has_home else set())
    assert start.environment["PATH"] == DEFAULT_PATH
    assert start.environment["XPC_SERVICE_NAME"] == job.label
    assert (start.cwd, start.stdin, start.umask, start.open_files) == ("/", b"", 0o022, 256)
    case.saw("home_in_environment", has_home)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # What a plist asks for, unless this process may not pass on as much.
    open_files = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    chosen = case.job(
        name="chosen", RunAtLoad=True, WorkingDirectory=str(case.launchd.directory),
        EnvironmentVariables={"PATH": "/nowhere", "OTHER": "two words"},
        SoftResourceLimits={"NumberOfFiles": open_files},
    ).start_now()  # fmt: skip
    assert (chosen.environment["PATH"], chosen.environment["OTHER"]) == ("/nowhere", "two words")
    assert (chosen.cwd, chosen.open_files) == (str(case.launchd.directory), open_files)
    check_missing_directory(case)


def check_missing_directory(case: Case) -> None:
    missing = str(case.launchd.directory / "not there")
    job = case.job(name="nowhere", RunAtLoad=True, WorkingDirectory=missing)
    assert job.bootstrap() == Outcome(0)
    case.until(lambda: job.starts() or is_broken(job), 2)
    assert [start.cwd for start in job.starts()] in (["/"], [])
    case.saw("missing_directory_is_fatal", not job.starts())


@scenario(40, "A connection starts the job that owns the socket", "weak", measures=("socket_handed_over",))
def activated(case: Case, job: Job) -> None:
    port = free_port()
    address = {
        "SockServiceName": str(port),
        "SockNodeName": "127.0.0.1",
        "SockType": "stream",
        "SockFamily": "IPv4",
    }
    job.write("serve=one", Sockets={SOCKET_NAME: address})
    assert job.bootstrap() == Outcome(0)
    assert job.starts() == []
    before = case.now()
    with connection(port) as first:
        start = job.await_start()
        assert start.at <= before + 1 + case.lateness
        answered = answer_of(first, 5) == str(start.pid)
    case.saw("socket_handed_over", answered)
    if answered:
        job.await_end()
        with connection(port) as second:
            again = job.await_start(2, within=12)
            assert again.at >= start.at + 10 - case.tick
            assert answer_of(second, 15) == str(again.pid)
    assert job.bootout().rc in {0, 36}
    job.await_unloaded(within=2)
    case.until(lambda: not accepts(port), 1)
    assert not any(is_alive(start.pid) for start in job.starts())


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def accepts(port: int) -> bool:
    with suppress(ConnectionRefusedError), connection(port):
        return True
    return False


def answer_of(client: socket.socket, real_seconds: float) -> str:
    client.settimeout(real_seconds)
    with suppress(TimeoutError):
        return client.recv(32).decode()
    return ""
