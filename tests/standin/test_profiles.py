"""Each fault profile, seen through the real client."""

import math
import re
import time

import pytest

from mlxhub.standin.profile import PROFILES, Profile


@pytest.fixture
def log_in(logged_out_mac):
    def log_in(profile, *options, seed=0):
        logged_out_mac.log_in("--profile", profile, *options, seed=seed)
        return logged_out_mac

    return log_in


def bootstrap_until_loaded(mac, **keys):
    path = mac.write(**keys)
    mac.until(lambda: mac.run("bootstrap", mac.domain, str(path)).rc == 0 or mac.fields())


def is_gone(mac):
    return mac.run("print", mac.target).rc == 113


@pytest.mark.parametrize("profile", ["on-demand-only", "ssh"])
def test_only_demanded_starts_happen(log_in, profile):
    mac = log_in(profile)
    assert mac.bootstrap("--exit", "1", KeepAlive=True, ThrottleInterval=1).rc == 0
    mac.stays(lambda: mac.fields()["pended nondemand spawn"] == "inefficient", 5)
    assert "\ton-demand count = 1\n" in mac.run("print", mac.domain).stdout
    assert mac.run("kickstart", mac.target).rc == 0
    mac.await_start()
    mac.until(lambda: mac.fields().get("last exit code") == "1")
    mac.stays(lambda: mac.fields()["runs"] == "1", 5)
    assert "t.x: start pended until inf s, inefficient" in mac.journal.read_text()
    assert mac.run("managername").stdout == ("Background\n" if profile == "ssh" else "Aqua\n")


@pytest.mark.parametrize("seed", range(3))
def test_without_a_gui_every_verb_fails(logged_out_mac, seed):
    mac = logged_out_mac
    path = mac.write(RunAtLoad=True)
    mac.log_in("--profile", "no-gui", seed=seed)
    assert mac.run("print", mac.domain).rc in {112, 125}
    assert mac.run("bootstrap", mac.domain, str(path)).rc in {5, 112, 125}
    for verb in ("bootout", "kickstart", "print", "blame", "enable", "disable"):
        assert mac.run(verb, mac.target).rc in {112, 125}, verb
    assert mac.run("kill", "TERM", mac.target).rc in {112, 125}
    assert mac.run("print-disabled", mac.domain).rc in {112, 125}
    assert mac.run("managername").stdout == "Background\n"
    assert mac.run("list").stdout == "PID\tStatus\tLabel\n"


def test_an_outdated_identity_kills_every_start_until_the_job_is_loaded_anew(log_in):
    mac = log_in("lwcr-stale")
    mac.bootstrap("--exit", "1", KeepAlive=True, ThrottleInterval=1)
    mac.until(lambda: mac.fields().get("last exit reason") == "OS_REASON_CODESIGNING")
    good = len(mac.starts())
    assert good in {1, 2}
    fields = mac.fields()
    assert fields["last terminating signal"] == "Killed: 9"
    assert "needs LWCR update" in fields["properties"]
    mac.until(lambda: int(mac.fields()["runs"]) > good + 2)
    mac.run("kickstart", mac.target)
    assert len(mac.starts()) == good
    mac.run("bootout", mac.target)
    mac.until(lambda: is_gone(mac))
    mac.bootstrap("--exit", "1", KeepAlive=True, ThrottleInterval=1)
    mac.await_start(good + 4)
    assert "needs LWCR update" not in mac.fields()["properties"]


@pytest.mark.parametrize("seed", [0, 1])
def test_switched_off_in_login_items_every_job_vanishes_and_none_can_be_loaded(logged_out_mac, seed):
    mac = logged_out_mac
    mac.write(KeepAlive=True, ThrottleInterval=1)
    mac.log_in("--profile", "btm-off", "--clock-scale", "50", seed=seed)
    mac.until(lambda: "t.x: removed" in mac.journal.read_text())
    pid = int(re.search(r"t.x: pid ([0-9]+) started", mac.journal.read_text())[1])
    assert not mac.alive(pid)
    assert is_gone(mac)
    seconds = float(re.search(r"off in Login Items after ([0-9.]+) s", mac.journal.read_text())[1])
    assert 2 <= seconds <= 30
    assert {mac.bootstrap().rc for _ in range(3)} in [{5}, {161}]
    assert mac.bootstrap(label="t.new").rc in {5, 161}
    assert mac.run("list").stdout == "PID\tStatus\tLabel\n"


def test_switched_off_before_anything_is_loaded(log_in):
    mac = log_in("btm-off", "--clock-scale", "100")
    mac.until(lambda: "switched off in Login Items\n" in mac.journal.read_text())
    assert mac.bootstrap(RunAtLoad=True).rc in {5, 161}
    assert is_gone(mac)


def test_bootstrap_says_that_it_failed_although_it_did_not(log_in):
    mac = log_in("eio")
    codes = {label: mac.bootstrap(label=label, RunAtLoad=True).rc for label in map("t.{}".format, range(20))}
    assert set(codes.values()) == {0, 5}
    assert 2 <= list(codes.values()).count(5) <= 12
    assert mac.run("list").stdout.count("\n") == 21


def test_bootstrap_fails_for_three_seconds_after_a_bootout(log_in):
    mac = log_in("eio")
    bootstrap_until_loaded(mac)
    mac.run("bootout", mac.target)
    began = time.monotonic()
    assert mac.bootstrap().rc == 5
    assert is_gone(mac)
    bootstrap_until_loaded(mac)
    assert (time.monotonic() - began) * mac.scale >= 2.9


def test_kickstart_with_k_kills_and_is_slow(log_in):
    mac = log_in("slow-k", "--clock-scale", "50")
    mac.bootstrap("--on-term", "exit0", RunAtLoad=True)
    mac.await_start()
    began = time.monotonic()
    slow = mac.start_script("kickstart", "-k", mac.target)
    mac.until(lambda: mac.fields().get("runs") == "2")
    assert mac.fields()["last terminating signal"] == "Killed: 9"
    assert slow.poll() is None
    assert slow.wait(10) == 0
    assert (time.monotonic() - began) * 50 >= 29


def test_crashes_one_after_the_other_stretch_the_throttle(log_in):
    mac = log_in("backoff", "--clock-scale", "200")
    mac.bootstrap("--exit", "1", KeepAlive={"SuccessfulExit": False}, ThrottleInterval=100)
    expected = {0: "100", 1: "100", 2: "100", 3: "200", 4: "400", 5: "800"}  # then the limit: 1200
    shown = {}

    def fourth_crash_was_shown():
        fields = mac.fields()
        crashes = int(fields.get("successive crashes", 0))
        shown[crashes] = fields["minimum runtime"]
        assert fields.get("base minimum runtime", "100") == "100"
        return crashes >= 4

    mac.until(fourth_crash_was_shown, 200)
    assert shown == {crashes: expected.get(crashes, "1200") for crashes in shown}


def test_in_low_power_mode_starts_are_held_back_for_a_minute_at_a_time(log_in):
    mac = log_in("lowpower", "--clock-scale", "200")
    mac.bootstrap("--exit", "1", KeepAlive=True, ThrottleInterval=1)

    def pended():
        return "pended nondemand spawn" in mac.fields()

    mac.until(pended, 100)
    mac.until(lambda: not pended(), 100)
    mac.until(pended, 100)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_low_power_windows_last_a_minute_and_are_drawn(seed):
    profile = PROFILES["lowpower"]
    held = [profile.held_until(second, seed) > second for second in range(1800)]
    assert held.count(True) == pytest.approx(600, abs=15)
    assert held != [profile.held_until(second, seed + 1) > second for second in range(1800)]


def test_every_label_is_disabled_until_it_is_enabled_once(log_in):
    mac = log_in("leftover")
    assert mac.bootstrap().rc in {5, 119}
    assert is_gone(mac)
    assert '"t.x" => disabled' in mac.run("print-disabled", mac.domain).stdout
    assert mac.run("enable", mac.target).rc == 0
    assert mac.bootstrap().rc == 0
    assert mac.bootstrap(label="t.other").rc in {5, 119}
    mac.log_out()
    mac.log_in("--profile", "leftover")
    assert mac.fields("t.x")
    assert not mac.fields("t.other")


def test_the_default_profile_has_no_fault():
    assert PROFILES["none"] == Profile()
    assert PROFILES["none"].held_until(10.0, 0) <= 10.0
    assert PROFILES["on-demand-only"].held_until(10.0, 0) == math.inf


def test_the_journal_names_the_profile(log_in):
    mac = log_in("eio")
    assert (
        f"started, pid {mac.daemons[-1].pid}, clock scale 10, profile eio, seed=0 " in mac.journal.read_text()
    )
