"""The daemon as a whole: login, logout, its own death, and what is drawn from a seed."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

from mlxhub.standin.variation import Variation, draw_variation


def test_login_loads_every_valid_and_enabled_agent(logged_out_mac):
    mac = logged_out_mac
    mac.log_in()
    mac.run("disable", f"{mac.domain}/t.disabled")
    assert mac.log_out() == 0
    for label in ("t.one", "t.two", "t.disabled", "t.open", "t.linked"):
        mac.write(label=label, RunAtLoad=label == "t.one")
    (mac.agents / "t.open.plist").chmod(0o666)
    (mac.agents / "t.linked.plist").rename(mac.home / "elsewhere.plist")
    (mac.agents / "t.linked.plist").symlink_to(mac.home / "elsewhere.plist")
    (mac.agents / "broken.plist").write_bytes(b"<plist")
    (mac.agents / "t.three.plist.new").write_bytes(b"")
    os.mkfifo(mac.agents / "fifo.plist", 0o644)
    (mac.agents / "dangling.plist").symlink_to("nowhere")
    mac.log_in()
    labels = [line.split("\t")[2] for line in mac.run("list").stdout.splitlines()[1:]]
    assert labels == ["t.one", "t.two"]
    mac.await_start()
    assert '"t.disabled" => disabled' in mac.run("print-disabled", mac.domain).stdout


def test_starts_that_nobody_asked_for_wait_for_the_login_delay(logged_out_mac):
    mac = logged_out_mac
    mac.write(RunAtLoad=True)
    mac.write(label="t.wanted", RunAtLoad=True)
    mac.log_in("--login-delay", "15")
    assert mac.fields()["pended nondemand spawn"] == "speculative"
    assert "\ton-demand count = 1\n" in mac.run("print", mac.domain).stdout
    assert mac.run("kickstart", f"{mac.domain}/t.wanted").rc == 0
    assert mac.fields("t.wanted")["state"] == "running"
    mac.until(lambda: mac.fields()["state"] == "running", 40)
    assert "pended nondemand spawn" not in mac.fields()


def test_logout_ends_every_job_in_parallel_and_kills_the_stubborn(mac):
    for number in range(3):
        mac.bootstrap("--on-term", "ignore", label=f"t.{number}", KeepAlive=True)
    mac.await_start(3)
    began = time.monotonic()
    assert mac.log_out() == 0
    assert 0.9 <= time.monotonic() - began <= 2
    assert not any(mac.alive(start["pid"]) for start in mac.starts())
    assert not (mac.state / "sock").exists()


def test_bootstrap_is_refused_while_logging_out(mac):
    mac.bootstrap("--on-term", "ignore", RunAtLoad=True)
    mac.await_start()
    daemon = mac.daemons[-1]
    daemon.terminate()
    mac.until(lambda: mac.fields()["state"] == "SIGTERMed")
    assert mac.bootstrap(label="t.late").rc == 124
    assert mac.run("kickstart", mac.target).rc == 37
    assert daemon.wait(10) == 0


def test_no_job_outlives_a_daemon_that_was_killed(mac):
    mac.bootstrap("--on-term", "ignore", RunAtLoad=True)
    pid = mac.await_start()["pid"]
    mac.daemons[-1].kill()
    mac.until(lambda: not mac.alive(pid))
    mac.log_in()
    mac.await_start(2)


def test_two_daemons_cannot_share_a_state_directory(mac):
    second = mac.log_in()
    assert second.wait(10) == 73
    assert f"already serves {mac.state}" in mac.journal.read_text()
    assert mac.run("managername").stdout == "Aqua\n"


def test_the_daemon_keeps_nothing_of_its_starter(mac):
    held, given = os.pipe()
    daemon = subprocess.Popen(
        [sys.executable, "-m", "mlxhub.standin.daemon", "--state", mac.home / "other"],
        pass_fds=[given], stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        os.close(given)
        assert os.read(held, 1) == b""  # end of file: the daemon has closed its copy
        mac.until((mac.home / "other" / "sock").exists)
        assert Path(f"/proc/{daemon.pid}/cwd").readlink() == mac.home / "other"
        daemon.send_signal(signal.SIGHUP)
    finally:
        daemon.terminate()
        assert daemon.wait(10) == 0
        os.close(held)


def test_a_daemon_without_stdin_and_stdout_serves_none_of_its_files_in_their_place(mac):
    state = mac.home / "other"
    command = f'exec "{sys.executable}" -m mlxhub.standin.daemon --state "{state}" <&- >&-'
    daemon = subprocess.Popen(
        ["/bin/sh", "-c", command], stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
    )
    try:
        mac.until((state / "sock").exists)
        opened = [Path(f"/proc/{daemon.pid}/fd/{fd}").readlink() for fd in (0, 1)]
        assert opened == [Path("/dev/null")] * 2
    finally:
        daemon.terminate()
        assert daemon.wait(10) == 0


def test_a_full_disk_under_the_journal_stops_nothing(logged_out_mac):
    mac = logged_out_mac
    mac.log_in(journal=Path("/dev/full"))
    assert mac.bootstrap("--exit", "1", KeepAlive=True, ThrottleInterval=1).rc == 0
    mac.await_start(3)


def test_damaged_overrides_do_not_stop_a_login(logged_out_mac):
    mac = logged_out_mac
    mac.state.mkdir()
    (mac.state / f"disabled.{os.getuid()}.plist").write_bytes(b"<plist")
    mac.log_in()
    assert "no service is disabled" in mac.journal.read_text()
    assert mac.run("disable", mac.target).rc == 0


def test_the_journal_has_one_line_for_each_thing_that_happened(mac):
    mac.bootstrap("--exit", "75", KeepAlive=True, ThrottleInterval=60)
    pid = mac.await_start()["pid"]
    mac.until(lambda: "throttled" in mac.journal.read_text())
    mac.run("bootout", mac.target)
    lines = [re.sub(r"^\S+ | for [0-9.]+ s$", "", line) for line in mac.journal.read_text().splitlines()]
    assert "seed=0 " in lines[0]
    assert lines[1:] == [
        f"t.x: loaded from {mac.agents}/t.x.plist",
        f"t.x: pid {pid} started, run 1, inefficient",
        f"t.x: pid {pid} exited 75: EX_TEMPFAIL",
        "t.x: throttled",
        "t.x: removed",
    ]


def test_an_idle_daemon_uses_no_processor_time(mac):
    mac.bootstrap(RunAtLoad=True, KeepAlive=True)
    mac.await_start()
    stat = Path(f"/proc/{mac.daemons[-1].pid}/stat")

    def ticks() -> int:
        return sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))

    mac.fields()
    before = ticks()
    time.sleep(0.5)  # the fact is that nothing happens
    assert ticks() - before <= 1


def test_seed_zero_is_the_usual_launchd_and_every_answer_is_drawn_by_some_seed():
    drawn = [draw_variation(seed) for seed in range(200)]
    for each in fields(Variation)[1:]:
        answers = each.metadata["answers"]
        assert getattr(drawn[0], each.name) == answers[0]
        assert {getattr(variation, each.name) for variation in drawn} == set(answers), each.name
