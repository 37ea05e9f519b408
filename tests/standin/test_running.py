"""Jobs over time: restarts, throttle, ends, and what a process is given."""

import os
import shlex
import signal
import socket
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest


def seconds_between_starts(mac):
    """Precise to 0.2 launchd seconds, for the kernel counts in hundredths of a real one."""
    times = [start["started"] * mac.scale for start in mac.starts()]
    return [later - earlier for earlier, later in pairwise(times)]


def test_a_clean_exit_stays_down_and_a_kickstart_revives_it(mac):
    mac.bootstrap("--on-term", "exit0", KeepAlive={"SuccessfulExit": False})
    mac.await_start()
    mac.run("kill", "TERM", mac.target)
    mac.until(lambda: mac.fields().get("last exit code") == "0")
    mac.stays(lambda: mac.fields()["state"] == "not running", 8)
    assert mac.run("kickstart", mac.target).rc == 0
    mac.await_start(2)


def test_keepalive_true_restarts_a_job_that_ran_long_enough_at_once(mac):
    mac.bootstrap("--exit", "0", "--after", "1.5", KeepAlive=True)
    mac.await_start(2)
    assert 14.8 <= seconds_between_starts(mac)[0] <= 18
    assert mac.fields()["runs"] == "2"
    assert mac.fields()["immediate reason"] == "inefficient"


@pytest.mark.parametrize("interval", [10, 12])
def test_a_crash_loop_is_throttled_from_start_to_start_and_never_given_up(mac, interval):
    mac.bootstrap("--exit", "1", KeepAlive={"SuccessfulExit": False}, ThrottleInterval=interval)
    mac.await_start()
    mac.until(lambda: mac.fields()["state"] == "spawn scheduled", 5)
    assert mac.fields()["minimum runtime"] == str(interval)
    mac.await_start(3)
    between = seconds_between_starts(mac)
    assert all(interval - 0.2 <= seconds <= interval + 2 for seconds in between), between


def test_a_throttle_of_zero_is_ten(mac):
    mac.bootstrap("--exit", "1", KeepAlive=True, ThrottleInterval=0)
    mac.await_start(2)
    assert seconds_between_starts(mac)[0] >= 9.8


def test_a_kickstart_waits_for_the_throttle(mac):
    mac.bootstrap("--exit", "1")
    mac.run("kickstart", mac.target)
    mac.until(lambda: mac.fields().get("last exit code") == "1")
    assert mac.run("kickstart", mac.target).rc == 0
    mac.await_start(2)
    assert seconds_between_starts(mac)[0] >= 9.8


def test_a_killed_job_that_ran_long_enough_is_back_at_once(mac):
    mac.bootstrap(KeepAlive={"SuccessfulExit": False}, ThrottleInterval=1)
    old = mac.await_start()["pid"]
    mac.run("kill", "KILL", mac.target)
    mac.await_start(2, within=15)
    assert not mac.alive(old)
    assert mac.fields()["last terminating signal"] == "Killed: 9"


def test_successful_exit_true_restarts_after_success_only(mac):
    mac.bootstrap("--exit", "0", KeepAlive={"SuccessfulExit": True}, ThrottleInterval=1)
    mac.await_start(2)
    mac.run("bootout", mac.target)
    mac.until(lambda: not mac.fields())
    mac.bootstrap("--exit", "1", KeepAlive={"SuccessfulExit": True}, ThrottleInterval=1)
    mac.until(lambda: mac.fields().get("last exit code") == "1")
    mac.stays(lambda: mac.fields()["runs"] == "1", 5)


def test_crashed_true_restarts_after_an_abort_and_not_after_a_kill(mac):
    mac.bootstrap("--abort", KeepAlive={"Crashed": True}, ThrottleInterval=1)
    mac.await_start(2)
    mac.run("bootout", mac.target)
    mac.until(lambda: not mac.fields())
    starts = len(mac.starts())
    mac.bootstrap(KeepAlive={"Crashed": True}, ThrottleInterval=1)
    mac.await_start(starts + 1)
    mac.run("kill", "KILL", mac.target)
    mac.stays(lambda: mac.fields()["runs"] == "1", 5)


def test_bootout_answers_at_once_and_the_job_does_not_come_back(mac):
    mac.bootstrap(KeepAlive=True)
    pid = mac.await_start()["pid"]
    assert mac.run("bootout", mac.target) == mac.outcome(0)
    mac.until(lambda: mac.run("print", mac.target).rc == 113, 15)
    assert not mac.alive(pid)
    mac.stays(lambda: len(mac.starts()) == 1, 12)


@pytest.mark.parametrize(("timeout", "shown", "killed_after"), [(10, "10", 10), (None, "5", 5)])
def test_a_job_that_ignores_sigterm_is_killed_after_its_exit_timeout(mac, timeout, shown, killed_after):
    path = mac.write("--on-term", "ignore", KeepAlive=True, ExitTimeOut=timeout)
    mac.run("bootstrap", mac.domain, str(path))
    pid = mac.await_start()["pid"]
    began = time.monotonic()
    assert mac.run("bootout", mac.target).rc == 0
    fields = mac.fields()
    assert (fields["state"], fields["pid"], fields["exit timeout"]) == ("SIGTERMed", str(pid), shown)
    assert mac.run("bootstrap", mac.domain, str(path)).rc in {5, 37, 124}
    assert mac.run("bootout", mac.target).rc in {36, 37}
    mac.until(lambda: not mac.alive(pid))
    assert killed_after - 0.5 <= (time.monotonic() - began) * mac.scale <= killed_after + 3
    mac.until(lambda: mac.run("bootstrap", mac.domain, str(path)).rc == 0, 15)
    mac.await_start(2)


def test_an_exit_timeout_is_at_most_a_minute(mac):
    mac.bootstrap(ExitTimeOut=600)
    assert mac.fields()["exit timeout"] == "60"


def test_logs_are_appended_to_and_never_reopened_while_the_job_runs(mac):
    log = mac.home / "out.log"
    mac.bootstrap("--say", RunAtLoad=True, StandardOutPath=str(log), StandardErrorPath=str(log))
    mac.until(lambda: log.exists() and log.stat().st_size > 50)
    os.truncate(log, 0)
    mac.until(lambda: log.stat().st_size > 10)
    assert log.read_text().startswith("said\n")
    renamed = log.rename(mac.home / "renamed.log")
    size = renamed.stat().st_size
    mac.until(lambda: renamed.stat().st_size > size)
    assert not log.exists()


def unstartable(home):
    script = home / "script"
    script.write_text("#!/bin/sh\n")
    return {
        "log is a directory": {"StandardErrorPath": str(home)},
        "program missing": {"ProgramArguments": ["/no/such/program"]},
        "not executable": {"ProgramArguments": [str(script)]},
        "one joined string": {"ProgramArguments": [f"{sys.executable} -m x"]},
    }


def test_what_cannot_be_started_ends_with_78(mac):
    for name, keys in unstartable(mac.home).items():
        assert mac.bootstrap(RunAtLoad=True, **keys).rc == 0, name
        mac.until(lambda: mac.fields().get("last exit code") == "78: EX_CONFIG")
        assert mac.fields()["job state"] == "spawn failed", name
        assert mac.fields()["execs"] == "0", name
        mac.run("bootout", mac.target)
    assert mac.starts() == []


def test_exiting_78_by_oneself_is_not_a_failed_spawn(mac):
    mac.bootstrap("--exit", "78", RunAtLoad=True)
    mac.until(lambda: mac.fields().get("last exit code") == "78: EX_CONFIG")
    assert mac.fields()["job state"] == "exited"


def test_a_missing_program_is_tried_again_each_interval(mac):
    mac.bootstrap(KeepAlive=True, ProgramArguments=["/no/such/program"])
    mac.until(lambda: mac.fields()["runs"] == "2", 15)


@pytest.mark.parametrize(("how", "survives"), [("plain", False), ("setsid", True)])
def test_the_rest_of_the_process_group_is_swept_and_what_left_it_escapes(mac, how, survives):
    mac.bootstrap("--spawn-child", how, "--exit", "0", "--after", "0.3", RunAtLoad=True)
    child = mac.await_start()["child"]
    mac.until(lambda: mac.fields().get("last exit code") == "0")
    if survives:
        mac.stays(lambda: mac.alive(child), 5)
    else:
        mac.until(lambda: not mac.alive(child), 20)


def test_a_job_gets_launchds_environment_and_nothing_of_the_daemons(mac):
    mac.bootstrap(RunAtLoad=True, EnvironmentVariables={"PATH": "/x", "MINE": "1"})
    start = mac.await_start()
    expected = {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "TMPDIR",
        "XPC_SERVICE_NAME",
        "XPC_FLAGS",
        "OSLogRateLimit",
    }
    assert set(start["env"]) - {"LC_CTYPE"} == expected | {"MINE"}  # Python itself adds LC_CTYPE
    assert (start["env"]["PATH"], start["env"]["XPC_SERVICE_NAME"]) == ("/x", "t.x")
    assert (start["cwd"], start["stdin"], start["umask"], start["open_files"]) == ("/", "", 0o022, 256)
    assert (start["fds"], start["blocked"]) == (
        [0, 1, 2, 3, 4],
        [],
    )  # 3 the probe's log, 4 its look at this list


def test_a_job_gets_what_its_plist_asks_for(mac):
    mac.bootstrap(
        RunAtLoad=True,
        WorkingDirectory=str(mac.home),
        Umask=0o077,
        SoftResourceLimits={"NumberOfFiles": 1024},
    )
    start = mac.await_start()
    assert (start["cwd"], start["umask"], start["open_files"]) == (str(mac.home), 0o077, 1024)
    assert (mac.home / "t.x.err").stat().st_mode & 0o777 == 0o600


def test_signal_dispositions_are_the_default_ones(mac):
    """The daemon ignores HUP and PIPE; a shell would inherit that and could not even trap them."""
    out = mac.home / "out"
    command = "grep -E 'SigIgn|SigBlk' /proc/self/status"
    mac.bootstrap(RunAtLoad=True, ProgramArguments=["/bin/sh", "-c", command], StandardOutPath=str(out))
    mac.until(lambda: out.exists() and out.read_text().count("\n") == 2)
    assert [int(line.split()[1], 16) for line in out.read_text().splitlines()] == [0, 0]


def test_a_connection_starts_a_job_that_has_a_socket(mac):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = {
        "SockServiceName": str(port),
        "SockNodeName": "127.0.0.1",
        "SockType": "stream",
        "SockFamily": "IPv4",
    }
    mac.bootstrap("--serve-one", Sockets={"api": address})
    assert mac.fields()["runs"] == "0"
    pids = []
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            pids.append(int(client.recv(100)))
    env = mac.starts()[0]["env"]
    assert (env["LISTEN_PID"], env["LISTEN_FDS"], env["LISTEN_FDNAMES"]) == (str(pids[0]), "1", "api")
    assert pids == [start["pid"] for start in mac.starts()]
    assert seconds_between_starts(mac)[0] >= 9.8
    mac.run("bootout", mac.target)
    mac.until(lambda: not mac.fields())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_a_job_can_remove_itself_through_a_detached_helper(mac):
    out = mac.home / "out"
    bootout = shlex.join([sys.executable, "-I", "-S", str(mac.launchctl), "bootout", mac.target])
    helper = f"MLXHUB_LAUNCHD_STATE={shlex.quote(str(mac.state))} {bootout} >{shlex.quote(str(out))} 2>&1"
    code = (
        f"import subprocess, time; subprocess.Popen(['/bin/sh', '-c', {helper!r}], start_new_session=True);"
        "time.sleep(60)"
    )
    mac.bootstrap(KeepAlive=True, ProgramArguments=[sys.executable, "-c", code])
    mac.until(lambda: mac.run("print", mac.target).rc == 113)
    assert out.read_text() == ""


def test_orphans_of_a_job_are_reaped(mac):
    code = "setsid sh -c 'echo $$ >orphan; sleep 0.2' & until [ -s orphan ]; do sleep 0.01; done"
    mac.bootstrap(RunAtLoad=True, ProgramArguments=["/bin/sh", "-c", code], WorkingDirectory=str(mac.home))
    mac.until(lambda: "orphan" in mac.journal.read_text().replace(str(mac.home), ""))
    pid = (mac.home / "orphan").read_text().strip()
    assert f"orphan pid {pid} ended" in mac.journal.read_text()
    assert not Path(f"/proc/{pid}").exists()


def test_a_hundred_jobs_at_once(mac):
    for number in range(100):
        mac.write(label=f"t.{number}", RunAtLoad=True, KeepAlive=True, ProgramArguments=["/bin/sleep", "60"])
    mac.log_out()
    mac.log_in()
    mac.until(lambda: mac.run("list").stdout.count("\t0\t") == 100)
    pids = [int(line.split()[0]) for line in mac.run("list").stdout.splitlines()[1:]]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    mac.until(lambda: mac.run("list").stdout.count("\t-9\t") == 100)
    mac.until(lambda: "-\t-9" not in mac.run("list").stdout, 30)
    assert mac.log_out() == 0
