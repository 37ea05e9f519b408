"""Jobs over time: restarts, throttle, ends, and what a process is given."""

import os
import signal
import sys
from pathlib import Path


def unstartable(home):
    script = home / "script"
    script.write_text("#!/bin/sh\n")
    return {
        "log is a directory": {"StandardErrorPath": str(home)},
        "program missing": {"ProgramArguments": ["/no/such/program"]},
        "program on no standard path": {"ProgramArguments": ["no-such-program"]},
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


def test_a_job_gets_launchds_environment_and_of_the_daemons_only_the_ssh_agent(mac):
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
        "SSH_AUTH_SOCK",
    }
    assert set(start["env"]) - {"LC_CTYPE"} == expected | {"MINE"}  # Python itself adds LC_CTYPE
    assert (start["env"]["PATH"], start["env"]["XPC_SERVICE_NAME"]) == ("/x", "t.x")
    assert start["env"]["SSH_AUTH_SOCK"] == "/tmp/agent"
    printed = mac.run("print", mac.target).stdout
    assert "\tinherited environment = {\n\t\tSSH_AUTH_SOCK => /tmp/agent\n\t}\n" in printed
    assert (start["cwd"], start["stdin"], start["umask"], start["open_files"]) == ("/", "", 0o022, 256)
    assert (start["fds"], start["blocked"]) == (
        [0, 1, 2, 3, 4],
        [],
    )  # 3 the probe's log, 4 its look at this list


def test_relative_paths_of_a_plist_are_below_the_root(mac):
    relative = {"WorkingDirectory": str(mac.home).lstrip("/"), "StandardErrorPath": "dev/null"}
    mac.bootstrap(RunAtLoad=True, **relative)
    assert mac.await_start()["cwd"] == str(mac.home)


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
