"""launchctl's verbs against a real daemon: exit codes, texts and what they do to a job."""

import json
import os
import plistlib
import socket
import time

import pytest


def test_run_at_load_starts_the_job_in_its_own_process_group(mac):
    assert mac.bootstrap(RunAtLoad=True) == mac.outcome(0)
    start = mac.await_start(within=10)
    fields = mac.fields()
    assert fields["state"] == "running"
    assert fields["runs"] == "1"
    assert fields["immediate reason"] == "speculative"
    assert int(fields["pid"]) == start["pid"] == start["pgid"]


def test_a_plain_job_is_loaded_and_not_started(mac):
    mac.bootstrap()
    mac.stays(lambda: "pid" not in mac.fields(), 3)
    fields = mac.fields()
    assert (fields["state"], fields["runs"]) == ("not running", "0")
    assert fields["last exit code"] == "(never exited)"


BROKEN = {
    "missing file": None,
    "no XML": b"<plist",
    "binary rubbish": b"bplist00\xff\xff\xff",
    "no dictionary": plistlib.dumps([1]),
    "no Label": plistlib.dumps({"ProgramArguments": ["/bin/true"]}),
    "Label with a slash": plistlib.dumps({"Label": "a/b", "ProgramArguments": ["/bin/true"]}),
    "no ProgramArguments": plistlib.dumps({"Label": "t.x"}),
    "empty ProgramArguments": plistlib.dumps({"Label": "t.x", "ProgramArguments": []}),
    "deep nesting": b"<plist>" + b"<array>" * 100_000,
}


def test_a_broken_plist_is_refused_and_nothing_is_loaded(mac):
    for name, content in BROKEN.items():
        path = mac.agents / "broken.plist"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o644)
        outcome = mac.run("bootstrap", mac.domain, str(path))
        assert outcome.rc in {2, 5, 22, 108, 109, 110, 111, 133}, name
        assert outcome.stderr.startswith(f"Bootstrap failed: {outcome.rc}:"), name
    assert mac.run("bootstrap", mac.domain, str(mac.agents)).rc in {2, 5, 108}
    assert mac.run("print", mac.target).rc == 113


def test_a_plist_that_others_may_write_is_refused(mac):
    path = mac.write(RunAtLoad=True)
    for mode in (0o666, 0o664, 0o646):
        path.chmod(mode)
        assert mac.run("bootstrap", mac.domain, str(path)).rc in {5, 122}
    assert mac.run("print", mac.target).rc == 113


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_plist_is_used_only_if_it_is_the_users_own(mac):
    path = mac.write()
    os.chown(path, 12345, 0)
    assert mac.run("bootstrap", mac.domain, str(path)).rc in {5, 122}


OUTSIDE_THE_SUPPORTED = [
    {"KeepALive": True},
    {"WatchPaths": ["/tmp"]},
    {"KeepAlive": {"PathState": {}}},
    {"KeepAlive": 1},
    {"RunAtLoad": 1},
    {"ThrottleInterval": "10"},
    {"ThrottleInterval": True},
    {"ExitTimeOut": -1},
    {"EnvironmentVariables": {"A": 1}},
    {"ProcessType": "interactive"},
    {"SoftResourceLimits": {"Files": 1}},
    {"Umask": "9"},
    {"Sockets": {"api": {"SockServiceName": "http"}}},
]


def test_what_is_outside_the_supported_keys_is_refused_by_name(mac):
    for keys in OUTSIDE_THE_SUPPORTED:
        outcome = mac.bootstrap(**keys)
        assert outcome.rc == 64, keys
        assert next(iter(keys)) in outcome.stderr
        assert "docs/stand-in.md" in outcome.stderr


def test_without_strict_unknown_keys_and_wrong_types_are_ignored(logged_out_mac):
    logged_out_mac.log_in("--no-strict")
    outcome = logged_out_mac.bootstrap(
        KeepALive=True,
        WatchPaths=["/x"],
        ThrottleInterval="3",
        ProcessType=4,
        EnvironmentVariables={"A": 1, "B": "2"},
    )
    assert outcome.rc == 0
    assert logged_out_mac.fields()["minimum runtime"] == "10"


def test_a_second_bootstrap_fails_and_disturbs_nothing(mac):
    mac.bootstrap(RunAtLoad=True)
    pid = mac.await_start()["pid"]
    outcome = mac.run("bootstrap", mac.domain, str(mac.agents / "t.x.plist"))
    assert outcome.rc in {5, 17, 37, 133}
    assert mac.fields()["pid"] == str(pid)


def test_an_edited_plist_counts_only_after_bootout_and_bootstrap(mac):
    mac.bootstrap("--on-term", "exit0", RunAtLoad=True)
    mac.await_start()
    path = mac.write("--on-term", "exit0", "--say", RunAtLoad=True)
    mac.run("bootstrap", mac.domain, str(path))
    assert mac.run("kickstart", "-k", mac.target).rc == 0
    assert "\t\t--say\n" not in mac.run("print", mac.target).stdout
    mac.run("bootout", mac.target)
    mac.until(lambda: mac.run("print", mac.target).rc == 113)
    assert mac.run("bootstrap", mac.domain, str(path)).rc == 0
    assert "\t\t--say\n" in mac.run("print", mac.target).stdout


def test_unknown_targets_have_these_codes_and_texts(mac):
    missing = f'Could not find service "t.x" in domain for user gui: {os.getuid()}\n'
    assert mac.run("print", mac.target) == mac.outcome(113, "", f"Bad request.\n{missing}")
    assert mac.run("kickstart", mac.target) == mac.outcome(113, "", missing)
    assert mac.run("kickstart", "-k", mac.target).rc == 113
    assert mac.run("kill", "TERM", mac.target) == mac.outcome(113, "", missing)
    assert mac.run("bootout", mac.target).rc in {3, 5, 36, 113}
    other = mac.run("print", "gui/99999")
    assert other == mac.outcome(112, "", "Bad request.\nCould not find domain for user gui: 99999\n")
    list_one = mac.run("list", "t.none")
    assert list_one == mac.outcome(113, "", 'Could not find service "t.none" in domain for port\n')
    assert mac.run("bootstrap", "gui/99999", "/x.plist").rc == 125


USAGE_ERRORS = [
    (("kickstart",), 64),
    (("kickstart", "-x", "gui/0/t.x"), 64),
    (("bootstrap",), 64),
    (("bootout",), 64),
    (("bootout", "t.x"), 64),
    (("kill", "TERM"), 64),
    (("kill", "BOGUS", "gui/0/t.x"), 64),
    (("enable", "nonsense"), 64),
    (("load", "/x.plist"), 64),
    (("frobnicate",), 1),
]


def test_misuse_has_its_own_codes(mac):
    assert [mac.run(*argv).rc for argv, _ in USAGE_ERRORS] == [rc for _, rc in USAGE_ERRORS]
    assert mac.run("frobnicate").stderr.startswith("Unrecognized subcommand: frobnicate\n")
    assert mac.run("kill", "BOGUS", mac.target).stderr.startswith("Invalid signal.\n")
    assert mac.run("kickstart", "t.x").stderr.startswith("Unrecognized target specifier.")
    assert "kickstart" in mac.run("help").stdout


def test_list_shows_pid_and_last_status(mac):
    for label in ("t.run", "t.idle", "t.shot"):
        mac.bootstrap(label=label, RunAtLoad=label != "t.idle")
    mac.await_start(2)
    assert mac.run("kill", "SIGTERM", f"{mac.domain}/t.shot").rc == 0
    mac.until(lambda: "pid" not in mac.fields("t.shot"))
    pid = mac.fields("t.run")["pid"]
    assert mac.run("list").stdout == f"PID\tStatus\tLabel\n-\t0\tt.idle\n{pid}\t0\tt.run\n-\t-15\tt.shot\n"
    assert f"{pid}        0 \tt.run" in mac.run("print", mac.domain).stdout


def test_an_exit_code_is_shown_by_name_and_as_raw_wait_status(mac):
    mac.bootstrap("--exit", "75", RunAtLoad=True)
    mac.until(lambda: mac.fields().get("last exit code") == "75: EX_TEMPFAIL")
    listed = mac.run("list", "t.x").stdout
    assert '\t"LastExitStatus" = 19200;\n' in listed
    assert '"PID"' not in listed


def test_kickstart_starts_an_idle_job_once(mac):
    mac.bootstrap()
    assert mac.run("kickstart", mac.target) == mac.outcome(0)
    pid = mac.await_start(within=10)["pid"]
    assert mac.run("kickstart", mac.target) == mac.outcome(0)
    fields = mac.fields()
    assert (fields["pid"], fields["runs"], fields["immediate reason"]) == (str(pid), "1", "non-ipc demand")
    assert mac.run("blame", mac.target).stdout == "non-ipc demand\n"


def test_kickstart_with_p_prints_the_pid(mac):
    mac.bootstrap()
    outcome = mac.run("kickstart", "-p", mac.target)
    assert outcome == mac.outcome(0, f"{mac.await_start()['pid']}\n")


def test_kickstart_with_k_replaces_the_process_and_holds_up_only_its_own_caller(mac):
    mac.bootstrap("--on-term", "ignore", ExitTimeOut=12)
    mac.run("kickstart", mac.target)
    old = mac.await_start()["pid"]
    slow = mac.start_script("kickstart", "-k", mac.target)
    mac.until(lambda: mac.fields()["state"] == "SIGTERMed")
    assert slow.poll() is None
    assert slow.communicate(timeout=10) == ("", "")
    assert int(mac.fields()["pid"]) != old
    assert mac.fields()["runs"] == "2"
    assert not mac.alive(old)


def test_kill_only_signals_and_the_job_stays_loaded(mac):
    mac.bootstrap(RunAtLoad=True)
    mac.await_start()
    assert mac.run("kill", "SIGTERM", mac.target) == mac.outcome(0)
    mac.until(lambda: mac.fields()["state"] == "not running", 10)
    assert mac.fields()["last terminating signal"] == "Terminated: 15"
    assert "last exit code" not in mac.fields()
    assert mac.run("kill", "TERM", mac.target) == mac.outcome(3, "", "No process to signal.\n")


def test_signals_are_darwins(mac):
    mac.bootstrap(KeepAlive=True, ThrottleInterval=1)
    spellings = {
        "30": "User defined signal 1: 30",
        "-BUS": "Bus error: 10",
        "usr2": "User defined signal 2: 31",
    }
    for number, (spelling, shown) in enumerate(spellings.items(), 1):
        mac.await_start(number)
        assert mac.run("kill", spelling, mac.target).rc == 0
        mac.until(lambda shown=shown: mac.fields().get("last terminating signal") == shown)


def test_disabling_stops_the_next_bootstrap_only(mac):
    mac.bootstrap(RunAtLoad=True)
    pid = mac.await_start()["pid"]
    assert mac.run("disable", mac.target) == mac.outcome(0)
    assert mac.fields()["pid"] == str(pid)
    assert '\t\t"t.x" => disabled\n' in mac.run("print-disabled", mac.domain).stdout
    mac.run("bootout", mac.target)
    mac.until(lambda: mac.run("print", mac.target).rc == 113)
    assert mac.bootstrap().rc in {5, 119}
    assert mac.run("print", mac.target).rc == 113
    assert mac.run("enable", mac.target) == mac.outcome(0)
    assert '\t\t"t.x" => enabled\n' in mac.run("print-disabled", mac.domain).stdout
    assert mac.bootstrap().rc == 0


def test_without_a_daemon_there_is_no_graphical_session(logged_out_mac):
    mac = logged_out_mac
    assert mac.run("print", mac.domain).rc == 112
    assert mac.run("bootstrap", mac.domain, "/x.plist").rc == 125
    assert mac.run("managername").stdout == "Background\n"
    assert mac.run("frobnicate").rc == 1


MALFORMED = [b"\n", b"{\n", b"[1]\n", b'{"argv": "x", "cwd": "/", "tty": false}\n', b"[" * 50_000 + b"\n",
             b"\xff\n", b'{"argv": [1], "cwd": "/", "tty": false}\n', b"x" * 200_000, b"no end"]  # fmt: skip


def test_a_malformed_request_harms_nobody(mac, monkeypatch):
    monkeypatch.chdir(mac.state)
    for request in MALFORMED:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("sock")
            client.settimeout(5)
            try:
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                answer = client.makefile().readline()
            except (BrokenPipeError, ConnectionResetError):
                answer = ""
        assert answer == "" or json.loads(answer)["rc"] == 64
    assert mac.run("managername").rc == 0


def test_silent_clients_hold_up_nobody(mac, monkeypatch):
    monkeypatch.chdir(mac.state)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(150)]
    for client in silent:
        client.connect("sock")
    began = time.monotonic()
    assert mac.run("managername").stdout == "Aqua\n"
    assert time.monotonic() - began < 3
    silent[0].settimeout(20)
    assert silent[0].recv(1) == b""  # hung up on after the deadline
    for client in silent:
        client.close()


def test_socket_and_directory_are_the_users_alone(mac):
    assert mac.state.stat().st_mode & 0o777 == 0o700
    assert (mac.state / "sock").stat().st_mode & 0o777 == 0o600


def test_state_directories_may_have_long_names(logged_out_mac):
    mac = logged_out_mac
    mac.state = mac.home / ("long" * 30) / "state"
    mac.log_in()
    assert mac.run("managername").stdout == "Aqua\n"


def test_a_full_disk_fails_the_verb_and_not_the_daemon(mac):
    (mac.state / f"disabled.{os.getuid()}.new").symlink_to("/dev/full")
    outcome = mac.run("disable", mac.target)
    assert (outcome.rc, outcome.stderr.startswith("Could not disable service: 5:")) == (5, True)
    assert "t.x" not in mac.run("print-disabled", mac.domain).stdout


def test_a_caller_that_goes_away_does_not_stop_its_restart(mac):
    mac.bootstrap()
    mac.run("kickstart", mac.target)
    mac.await_start()
    impatient = mac.start_script("kickstart", "-k", mac.target)
    mac.until(lambda: mac.fields()["state"] != "running")
    impatient.kill()
    impatient.communicate()
    mac.until(lambda: mac.fields()["runs"] == "2")


def test_the_script_says_what_the_daemon_answers(mac):
    mac.bootstrap(RunAtLoad=True)
    for argv in (
        ["print", mac.target],
        ["print", "gui/99999"],
        ["kill", "0", mac.target],
        ["list"],
        ["help"],
    ):
        expected = mac.run(*argv)
        script = mac.start_script(*argv)
        assert script.communicate(timeout=20) == (expected.stdout, expected.stderr)
        assert script.returncode == expected.rc
    unknown = mac.start_script("frobnicate")
    assert unknown.communicate(timeout=20)[1].startswith("Unrecognized subcommand: frobnicate\n")
    assert unknown.returncode == 1
