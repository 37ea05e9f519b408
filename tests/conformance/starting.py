"""Scenarios: kickstart, alone and against the throttle."""

from tests.conformance.driver import Case, Job, Outcome
from tests.conformance.processes import is_alive
from tests.conformance.scenario import scenario


@scenario(12, "kickstart starts an idle job", "rely")
def kickstarted(case: Case, job: Job) -> None:
    assert job.bootstrap() == Outcome(0)
    before = case.now()
    assert job.kickstart() == Outcome(0)
    start = job.await_start()
    assert start.at <= before + 1 + case.lateness
    printed = job.print()
    assert (printed.state, printed.pid, printed.fields["runs"]) == ("running", start.pid, "1")
    assert printed.fields["immediate reason"] == "non-ipc demand"


@scenario(
    13, "kickstart leaves a running job alone", "rely",
    plist={"RunAtLoad": True}, measures=("kickstarted_running",),
)  # fmt: skip
def kickstarted_running(case: Case, job: Job) -> None:
    start = job.start_now()
    outcome = job.kickstart()
    case.saw("kickstarted_running", outcome.rc)
    assert (outcome.stdout, outcome.stderr) == ("", "")
    case.stays(lambda: job.print().pid == start.pid, during=3)
    assert len(job.starts()) == 1


@scenario(
    14, "kickstart -k replaces the process", "rely", "term=0",
    plist={"RunAtLoad": True}, measures=("kickstart_signal", "kickstart_waits_for_exit"),
)  # fmt: skip
def replaced(case: Case, job: Job) -> None:
    start = job.start_now()
    job.outlive_throttle(start)
    before = case.now()
    assert job.kickstart("-k") == Outcome(0)
    case.saw("kickstart_waits_for_exit", case.now() - before <= 10 + 3 + case.lateness)
    again = job.await_start(2, within=15)
    assert again.pid != start.pid
    assert not is_alive(start.pid)
    assert job.print().fields["runs"] == "2"
    case.saw("kickstart_signal", "SIGTERM" if job.ends() else "SIGKILL")


@scenario(15, "kickstart -p prints the bare pid into a pipe", "weak")
def pid_printed(case: Case, job: Job) -> None:
    assert job.bootstrap() == Outcome(0)
    outcome = job.kickstart("-p")
    assert outcome == Outcome(0, f"{job.await_start().pid}\n")


@scenario(
    43, "kickstart of a throttled job starts it, at once or later", "uncertain", "ends=1", "after=0.2",
    plist={"RunAtLoad": True, "ThrottleInterval": 20},
    measures=("kickstart_skips_throttle", "kickstart_blocks_in_throttle"),
)  # fmt: skip
def throttled(case: Case, job: Job) -> None:
    assert job.bootstrap() == Outcome(0)
    start = job.await_start()
    job.await_end()
    case.until(lambda: job.print().state == "not running", 1)
    assert job.kickstart().rc in {0, 37}
    returned = case.now()
    again = job.await_start(2, within=22)
    skips = again.at < start.at + 20 - case.tick
    case.saw("kickstart_skips_throttle", skips)
    if not skips:  # otherwise there is nothing to wait for
        case.saw("kickstart_blocks_in_throttle", returned >= again.at)


@scenario(
    44,
    "kickstart of a job that was disabled after it was loaded",
    "uncertain",
    measures=("kickstarted_disabled",),
    disables=True,
)
def kickstarted_while_disabled(case: Case, job: Job) -> None:
    assert job.bootstrap() == Outcome(0)
    assert case.launchctl("disable", job.target) == Outcome(0)
    outcome = job.kickstart()
    if outcome.rc == 0:
        assert job.await_start().pid == job.print().pid
    else:
        case.stays(lambda: job.starts() == [], during=3)
    case.saw("kickstarted_disabled", outcome.rc)
