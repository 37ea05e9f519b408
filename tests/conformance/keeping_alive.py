"""Scenarios: what KeepAlive and the throttle make of an end."""

from itertools import pairwise

from tests.conformance.driver import Case, Job, Outcome
from tests.conformance.scenario import scenario

AFTER_FAILURE = {"SuccessfulExit": False}


@scenario(17, "Without KeepAlive a killed job stays loaded and down", "rely", plist={"RunAtLoad": True})
def killed(case: Case, job: Job) -> None:
    start = job.start_now()
    job.outlive_throttle(start)
    assert job.kill("SIGTERM") == Outcome(0)
    case.until(lambda: job.print().state == "not running", 1)
    assert job.print().fields["last terminating signal"] == "Terminated: 15"
    case.stays(lambda: job.print().state == "not running", during=12)
    assert len(job.starts()) == 1


@scenario(
    18, "SuccessfulExit:false lets exit 0 stay down, and kickstart revives", "rely", "term=0",
    plist={"KeepAlive": AFTER_FAILURE},
)  # fmt: skip
def stays_down(case: Case, job: Job) -> None:
    job.outlive_throttle(job.start_now())
    assert job.kill("TERM") == Outcome(0)
    job.await_end()
    case.until(lambda: job.print().state == "not running", 1)
    case.stays(lambda: job.print().state == "not running", during=15)
    assert job.print().fields["last exit code"] == "0"
    assert job.kickstart() == Outcome(0)
    assert job.await_start(2).pid == job.print().pid


@scenario(
    20, "KeepAlive restarts at once what ran longer than the throttle", "rely", "ends=0,stay", "after=21",
    plist={"KeepAlive": True, "ThrottleInterval": 20},
)  # fmt: skip
def restarted_at_once(case: Case, job: Job) -> None:
    first = job.start_now()
    end = job.await_end(within=23)
    again = job.await_start(2, within=2)
    assert again.at <= end + 2 + case.lateness  # from exit to start it would be 20
    assert again.pid != first.pid
    printed = job.print()
    assert (printed.pid, printed.fields["runs"]) == (again.pid, "2")


@scenario(
    21, "The throttle counts from start to start and never gives up", "rely", "ends=1", "after=0.2",
    plist={"KeepAlive": AFTER_FAILURE}, measures=("throttle_late_seconds",),
)  # fmt: skip
def throttle(case: Case, job: Job) -> None:
    job.start_now()
    case.until(lambda: job.print().state == "spawn scheduled", 5)
    assert job.print().fields["minimum runtime"] == "10"
    job.await_start(4, within=35)
    assert min(gaps(job)) >= 10 - case.tick
    assert max(gaps(job)[:2]) <= 12 + case.lateness
    if min(gaps(job)) < 11:
        case.saw("throttle_late_seconds", 0)
    elif case.launchd.scale == 1:  # with a faster clock it may be this machine that is late
        case.saw("throttle_late_seconds", 1)
    case.until(lambda: job.print().state == "spawn scheduled", 5)


@scenario(
    22, "A longer ThrottleInterval counts as given", "rely", "ends=1", "after=0.2",
    plist={"KeepAlive": AFTER_FAILURE, "ThrottleInterval": 30}, hurries=True,
)  # fmt: skip
def longer_throttle(case: Case, job: Job) -> None:
    other = case.job("ends=1", "after=0.2", name="15", KeepAlive=AFTER_FAILURE, ThrottleInterval=15)
    for each, interval in ((job, 30), (other, 15)):
        assert each.bootstrap() == Outcome(0)
        assert each.print().fields["minimum runtime"] == str(interval)
    for each, interval in ((other, 15), (job, 30)):
        second = each.await_start(2, within=interval + 2)
        assert second.at - each.starts()[0].at >= interval - case.tick


@scenario(
    23, "ThrottleInterval 1 is taken or raised to 10; 0 means 10", "uncertain", "ends=1", "after=0.2",
    plist={"KeepAlive": AFTER_FAILURE, "ThrottleInterval": 1}, measures=("throttle_floor_seconds",),
)  # fmt: skip
def short_throttle(case: Case, job: Job) -> None:
    zero = case.job("ends=1", "after=0.2", name="0", KeepAlive=AFTER_FAILURE, ThrottleInterval=0)
    for each in (job, zero):
        assert each.bootstrap() == Outcome(0)
    zero.await_start(3, within=22)
    assert min(gaps(zero)) >= 10 - case.tick
    gap = min(gaps(job))
    assert gap >= 1 - case.tick
    assert gap < 5 or gap >= 10 - case.tick
    case.saw("throttle_floor_seconds", 1 if gap < 5 else 10)


@scenario(
    24, "SuccessfulExit:false restarts what SIGKILL ended", "rely",
    plist={"KeepAlive": AFTER_FAILURE, "ThrottleInterval": 20}, measures=("keeps_last_signal",),
)  # fmt: skip
def restarted_after_kill(case: Case, job: Job) -> None:
    start = job.start_now()
    job.outlive_throttle(start, 20)
    before = case.now()
    assert job.kill("KILL") == Outcome(0)
    again = job.await_start(2, within=2)
    assert again.at <= before + 2 + case.lateness
    assert again.pid != start.pid
    shown = job.print().fields.get("last terminating signal")
    assert shown in {"Killed: 9", None}
    case.saw("keeps_last_signal", shown is not None)


@scenario(
    25, "SuccessfulExit:true restarts exit 0 and leaves exit 1 down", "rely", "ends=0,1", "after=0.2",
    plist={"KeepAlive": {"SuccessfulExit": True}},
)  # fmt: skip
def restarted_after_success(case: Case, job: Job) -> None:
    job.start_now()
    job.await_end(2, within=13)
    case.stays(lambda: len(job.starts()) == 2, during=13)
    printed = job.print()
    assert (printed.state, printed.fields["last exit code"]) == ("not running", "1")


@scenario(
    26, "Crashed:true restarts after SIGABRT and not after SIGKILL", "rely", "ends=abort,stay",
    plist={"KeepAlive": {"Crashed": True}, "RunAtLoad": True},
)  # fmt: skip
def restarted_after_crash(case: Case, job: Job) -> None:
    job.start_now()
    again = job.await_start(2, within=12)
    job.outlive_throttle(again)
    assert job.kill("KILL") == Outcome(0)
    case.until(lambda: job.print().state == "not running", 1)
    case.stays(lambda: len(job.starts()) == 2, during=12)
    assert job.print().fields["last terminating signal"] == "Killed: 9"


@scenario(
    27, "SuccessfulExit:false implies a first start at bootstrap", "rely", plist={"KeepAlive": AFTER_FAILURE}
)
def starts_by_itself(case: Case, job: Job) -> None:
    before = case.now()
    assert job.bootstrap() == Outcome(0)
    start = job.await_start()
    assert start.at <= before + 1 + case.lateness
    assert job.print().pid == start.pid


@scenario(
    28, "The conditions of KeepAlive are ORed", "weak", "ends=0,stay",
    plist={"KeepAlive": {"SuccessfulExit": False, "Crashed": False}},
)  # fmt: skip
def conditions_are_ored(case: Case, job: Job) -> None:
    first = job.start_now()
    again = job.await_start(2, within=12)
    assert again.at >= first.at + 10 - case.tick
    assert job.print().pid == again.pid


@scenario(
    45, "Crashed:true starts at bootstrap, or not", "uncertain",
    plist={"KeepAlive": {"Crashed": True}}, measures=("crashed_starts_at_load",),
)  # fmt: skip
def crashed_starts(case: Case, job: Job) -> None:
    assert job.bootstrap() == Outcome(0)
    case.sleep(5)
    started = job.print().fields["runs"] == "1"
    if started:
        job.await_start()
    assert len(job.starts()) == started
    case.saw("crashed_starts_at_load", started)


@scenario(
    46, "Six crashes in a row make the throttle grow, or not", "uncertain", "ends=abort",
    plist={"KeepAlive": AFTER_FAILURE}, measures=("throttle_grows",), hurries=True,
)  # fmt: skip
def backoff(case: Case, job: Job) -> None:
    assert job.bootstrap() == Outcome(0)
    case.until(lambda: len(job.starts()) == 7 or has_grown(job), within=75)
    assert min(gaps(job)) >= 10 - case.tick
    case.saw("throttle_grows", has_grown(job))


def has_grown(job: Job) -> bool:
    return int(job.print().fields["minimum runtime"]) > 10


def gaps(job: Job) -> list[float]:
    """From each start to the next."""
    starts = [start.at for start in job.starts()]
    return [later - earlier for earlier, later in pairwise(starts)]
