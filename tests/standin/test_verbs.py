"""launchctl's verbs against a real daemon: exit codes, texts and what they do to a job."""

import os
import plistlib
import socket
import time

import pytest

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


def test_without_a_daemon_the_answers_are_those_of_the_usual_launchd_without_a_gui(logged_out_mac):
    mac = logged_out_mac
    questions = [
        ("print", mac.domain), ("print", mac.target), ("bootstrap", mac.domain, "/x.plist"),
        ("bootout", mac.target), ("kickstart", mac.target), ("kickstart", "-k", mac.target),
        ("kill", "TERM", mac.target), ("blame", mac.target), ("enable", mac.target),
        ("disable", mac.target), ("print-disabled", mac.domain), ("managername",), ("list",),
    ]  # fmt: skip
    without_daemon = [mac.run(*question) for question in questions]
    mac.log_in("--profile", "no-gui")
    assert [mac.run(*question) for question in questions] == without_daemon
    assert {outcome.rc for outcome in without_daemon} == {0, 112, 125}


MALFORMED = [b"\n", b"\0", b"tty\0", b"tty\0relative\0list\0", b"no\0/\0list\0", b"\0/\0list", b"\xff",
             b"x" * 200_000, b"\0/\0" + b"list\0" * 50_000]  # fmt: skip


def test_a_malformed_request_harms_nobody(mac, monkeypatch):
    monkeypatch.chdir(mac.state)
    for request in MALFORMED:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("sock")
            client.settimeout(5)
            try:
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                answer = client.makefile().read()
            except (BrokenPipeError, ConnectionResetError):
                answer = ""
        assert answer in {"", "64\0\0Malformed request.\n\0"}
    assert mac.run("managername").rc == 0
    assert "Traceback" not in mac.journal.read_text()


def test_a_request_that_is_too_large_is_malformed(mac):
    for size in (70_000, 500_000):
        outcome = mac.run("print", f"{mac.domain}/{'x' * size}")
        assert outcome == mac.outcome(64, "", "Malformed request.\n")


DIGITS = "9" * 5000
STRANGE = [
    ("error", DIGITS),
    ("error", "\u0665"),
    ("print", f"gui/{DIGITS}"),
    ("print", "gui/\u0665"),
    ("kill", DIGITS, f"gui/{os.getuid()}/t.x"),
    ("disable", f"gui/{os.getuid()}/\udcff"),
    ("enable", f"gui/{os.getuid()}/\x01"),
    ("bootstrap", f"gui/{os.getuid()}", f"/{DIGITS}"),
    ("list", "\udcff"),
    ("\udcff",),
    ("",),
]
STRANGE_KEYS = [
    {"ProgramArguments": [f"/{DIGITS}"], "RunAtLoad": True},
    {"ProgramArguments": ["/bin/true"], "StandardErrorPath": f"/{DIGITS}", "RunAtLoad": True},
    {
        "ProgramArguments": ["/bin/true"],
        "Sockets": {"api": {"SockNodeName": "x" * 70, "SockServiceName": "0"}},
    },
    {"ProgramArguments": ["/bin/true"], "ThrottleInterval": 1 << 61, "ExitTimeOut": 1 << 61},
]


@pytest.mark.parametrize("seed", [0, 7])
def test_nothing_a_client_sends_makes_a_traceback(logged_out_mac, seed):
    mac = logged_out_mac
    mac.log_in(seed=seed)
    assert mac.bootstrap().rc == 0
    for request in STRANGE:
        outcome = mac.run(*request)
        assert outcome.rc != 0, request
        assert "gave no answer" not in outcome.stderr, request
    for number, keys in enumerate(STRANGE_KEYS):
        path = mac.home / f"{number}.plist"
        path.write_bytes(plistlib.dumps({"Label": f"t.{number}", **keys}))
        path.chmod(0o644)
        assert "gave no answer" not in mac.run("bootstrap", mac.domain, str(path)).stderr, keys
    huge = path.read_bytes().replace(b"2305843009213693952", b"0x" + b"f" * 20_000)
    path.write_bytes(huge.replace(b"ExitTimeOut", b"Sockets"))
    assert "gave no answer" not in mac.run("bootstrap", mac.domain, str(path)).stderr
    assert "Traceback" not in mac.journal.read_text()


def test_a_daemon_that_hangs_up_is_no_missing_session(logged_out_mac, monkeypatch):
    mac = logged_out_mac
    mac.state.mkdir()
    monkeypatch.chdir(mac.state)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")
        listener.listen()
        for half_an_answer in (b"", b"0\0Aqua\n"):
            script = mac.start_script("managername")
            connection, _ = listener.accept()
            connection.sendall(half_an_answer)
            connection.close()
            assert f"mlxhub-launchd on {mac.state} gave no answer" in script.communicate(timeout=20)[1]
            assert script.returncode == 5


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


def test_many_clients_at_once_are_all_answered(mac):
    scripts = [mac.start_script("print", mac.domain) for _ in range(60)]
    assert {script.communicate(timeout=30)[1] for script in scripts} == {""}
    assert {script.returncode for script in scripts} == {0}


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
