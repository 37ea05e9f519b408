"""Scenarios: bootout, ExitTimeOut, and what becomes of a job's other processes."""

import psutil

from tests.conformance.driver import Case, Job, Outcome
from tests.conformance.processes import is_alive
from tests.conformance.scenario import scenario


@scenario(
    29, "bootout ends a job, whatever KeepAlive says", "rely",
    plist={"KeepAlive": True}, measures=("removed_running",),
)  # fmt: skip
def booted_out(case: Case, job: Job) -> None:
    start = job.start_now()
    before = case.now()
    outcome = job.bootout()
    assert case.now() <= before + 0.5 + case.lateness
    case.saw("removed_running", outcome.rc)
    job.await_unloaded(within=1.5)
    assert not is_alive(start.pid)
    case.stays(lambda: len(job.starts()) == 1, during=12)
    assert job.print().rc == 113


@scenario(
    30, "bootout kills after ExitTimeOut what ignores SIGTERM", "rely", "term=ignore",
    plist={"RunAtLoad": True}, measures=("leaving_state",),
)  # fmt: skip
def killed_after_timeout(case: Case, job: Job) -> None:
    start = job.start_now()
    before = case.now()
    assert job.bootout().rc in {0, 36}
    printed = job.print()
    assert (printed.rc, printed.pid) == (0, start.pid)
    assert printed.state is not None
    case.saw("leaving_state", printed.state)
    case.sleep(5)
    assert job.print().pid == start.pid
    case.ends_between(lambda: is_alive(start.pid), since=before, earliest=10, latest=12)
    job.await_unloaded()


@scenario(
    31, "Without ExitTimeOut the default limit holds", "weak", "term=ignore",
    plist={"RunAtLoad": True, "ExitTimeOut": None}, measures=("exit_timeout_default_seconds",),
)  # fmt: skip
def default_timeout(case: Case, job: Job) -> None:
    start = job.start_now()
    limit = int(job.print().fields["exit timeout"])
    case.saw("exit_timeout_default_seconds", limit)
    before = case.now()
    assert job.bootout().rc in {0, 36}
    case.ends_between(lambda: is_alive(start.pid), since=before, earliest=limit, latest=limit + 2)
    job.await_unloaded()


@scenario(
    32, "An ExitTimeOut above 60 is cut to 60, or not", "uncertain", "term=ignore",
    plist={"RunAtLoad": True, "ExitTimeOut": 600}, measures=("exit_timeout_is_clamped",), hurries=True,
)  # fmt: skip
def long_timeout(case: Case, job: Job) -> None:
    start = job.start_now()
    limit = int(job.print().fields["exit timeout"])
    assert limit in {60, 600}
    case.saw("exit_timeout_is_clamped", limit == 60)
    before = case.now()
    assert job.bootout().rc in {0, 36}
    if limit == 60:
        case.ends_between(lambda: is_alive(start.pid), since=before, earliest=60, latest=62)
    else:
        case.stays(lambda: is_alive(start.pid), during=65)
        psutil.Process(start.pid).kill()
    job.await_unloaded(within=2)


@scenario(
    33, "No bootstrap succeeds before the old process is gone", "rely", "term=ignore",
    plist={"RunAtLoad": True}, measures=("loaded_while_leaving",),
)  # fmt: skip
def loaded_while_leaving(case: Case, job: Job) -> None:
    start = job.start_now()
    before = case.now()
    assert job.bootout().rc in {0, 36}
    case.sleep(2)
    refusals = 0
    while (outcome := job.bootstrap()).rc != 0:
        assert case.now() <= before + 12 + case.lateness
        if is_alive(start.pid):  # before the answer was given, too
            case.saw("loaded_while_leaving", outcome.rc)
        refusals += 1
        case.sleep(1)
    assert not is_alive(start.pid)
    assert case.now() >= before + 10
    assert refusals > 0
    assert job.await_start(2).pid == job.print().pid
    assert job.kill("KILL") == Outcome(0)  # nothing else would end it soon


@scenario(
    38, "The rest of a job's process group goes with it", "rely", "ends=0", "after=1",
    "child=plain", "child=stubborn", "child=setsid",
    plist={"RunAtLoad": True}, measures=("sweep_signal",),
)  # fmt: skip
def swept(case: Case, job: Job) -> None:
    children = job.start_now().children
    assert all(is_alive(pid) for pid in children.values())
    job.await_end()
    case.until(lambda: not is_alive(children["plain"]), within=2)
    case.sleep(2)
    assert is_alive(children["setsid"])
    case.saw("sweep_signal", "SIGTERM" if is_alive(children["stubborn"]) else "SIGKILL")
    for kind in ("stubborn", "setsid"):
        if is_alive(children[kind]):
            psutil.Process(children[kind]).kill()


@scenario(
    42, "A job boots itself out through a detached process", "rely",
    plist={"RunAtLoad": True}, measures=("self_bootout_completes",),
)  # fmt: skip
def self_bootout(case: Case, job: Job) -> None:
    launchctl = [f"launchctl={word}" for word in case.launchd.command]
    keys = {"RunAtLoad": True, "EnvironmentVariables": dict(case.launchd.environment)}
    attached = case.job("bootout=self", *launchctl, name="attached", **keys)
    job.write("bootout=detached", *launchctl, **keys)
    for each in (job, attached):
        assert each.bootstrap() == Outcome(0)
        each.await_start()
    job.await_unloaded(within=5)
    case.sleep(5)
    completed = attached.print().rc == 113
    assert completed or attached.print().pid == attached.starts()[0].pid
    case.saw("self_bootout_completes", completed)
