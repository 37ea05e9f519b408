"""Scenarios: bootstrap, the override database and login."""

import os
import plistlib

from tests.conformance.driver import DOMAIN, Case, Job, Outcome
from tests.conformance.processes import is_alive
from tests.conformance.scenario import scenario

REFUSALS = {2, 5, 22, 107, 108, 109, 110, 111, 133}
RESTART_AFTER_FAILURE = {"SuccessfulExit": False}
# print's fields at one tab, in the order of the known samples.
KNOWN_FIELDS = (
    "active count", "path", "type", "state", "program", "working directory", "stdout path", "stderr path",
    "domain", "asid", "minimum runtime", "base minimum runtime", "exit timeout", "runs", "pid",
    "immediate reason", "pended nondemand spawn", "successive crashes", "forks", "execs", "initialized",
    "trampolined", "started suspended", "proxy started suspended", "checked allocations",
    "checked allocations reason", "checked allocations flags", "last exit code", "last terminating signal",
    "last exit reason", "spawn type", "jetsam priority", "jetsam memory limit (active)",
    "jetsam memory limit (inactive)", "jetsamproperties category", "jetsam thread limit", "cpumon",
    "job state", "properties",
)  # fmt: skip


@scenario(
    1, "RunAtLoad starts the job at bootstrap", "rely", plist={"RunAtLoad": True},
    measures=("loads_from_outside", "prints_label_only", "prints_unknown_fields", "prints_optional_fields",
              "shuffles_fields"),
)  # fmt: skip
def run_at_load(case: Case, job: Job) -> None:
    before = case.now()
    outcome = job.bootstrap()
    case.saw("loads_from_outside", outcome.rc == 0)
    assert outcome == Outcome(0)
    start = job.await_start()
    assert start.at <= before + 1 + case.lateness
    assert start.pgid == start.pid
    printed = job.print()
    assert is_alive(start.pid)
    assert (printed.state, printed.pid) == ("running", start.pid)
    assert (printed.fields["runs"], printed.fields["immediate reason"]) == ("1", "speculative")
    assert printed.fields["path"] == str(job.path)
    assert list(printed.arguments) == plistlib.loads(job.path.read_bytes())["ProgramArguments"]
    assert printed.first_line in {f"{job.target} = {{", f"{job.label} = {{"}
    case.saw("prints_label_only", printed.first_line == f"{job.label} = {{")
    case.saw("prints_optional_fields", "active count" in printed.fields)
    case.saw("prints_unknown_fields", not printed.fields.keys() <= set(KNOWN_FIELDS))
    known = [KNOWN_FIELDS.index(name) for name in printed.fields if name in KNOWN_FIELDS]
    case.saw("shuffles_fields", known != sorted(known))


@scenario(2, "A plain job is loaded and does not run", "rely")
def plain(case: Case, job: Job) -> None:
    assert job.bootstrap() == Outcome(0)
    case.stays(lambda: job.print().state == "not running", during=3)
    printed = job.print()
    assert printed.pid is None
    assert (printed.fields["runs"], printed.fields["last exit code"]) == ("0", "(never exited)")
    assert job.starts() == []


@scenario(
    3, "What is no plist is refused", "weak",
    measures=("missing_file", "directory_as_plist", "broken_plist", "no_label", "no_program"),
)  # fmt: skip
def refused_plists(case: Case, job: Job) -> None:
    missing, directory, broken = (case.job(name=name) for name in ("missing", "directory", "broken"))
    missing.path.unlink()
    directory.path.unlink()
    directory.path.mkdir()
    broken.path.write_text("<plist><dict><key>Label")
    nameless = case.job(name="nameless", Label=None)
    job.write(ProgramArguments=None)
    refused = {"missing_file": missing, "directory_as_plist": directory, "broken_plist": broken,
               "no_label": nameless, "no_program": job}  # fmt: skip
    for behaviour, candidate in refused.items():
        outcome = candidate.bootstrap()
        assert outcome.rc in REFUSALS, outcome
        assert outcome.stderr.startswith(f"Bootstrap failed: {outcome.rc}: "), outcome
        assert candidate.print().rc == 113
        case.saw(behaviour, outcome.rc)


@scenario(
    4, "A plist that others may change is refused", "weak", measures=("bad_permissions", "accepts_mode_0600")
)
def permissions(case: Case, job: Job) -> None:
    loose = [case.job(name="0666"), case.job(name="0664")]
    loose[0].path.chmod(0o666)
    loose[1].path.chmod(0o664)
    if os.getuid() == 0:  # nobody else can give a file away
        loose.append(case.job(name="foreign"))
        os.chown(loose[-1].path, 65534, 65534)
    for candidate in loose:
        outcome = candidate.bootstrap()
        assert outcome.rc != 0
        assert candidate.print().rc == 113
        case.saw("bad_permissions", outcome.rc)
    job.path.chmod(0o600)
    accepted = job.bootstrap().rc == 0
    assert job.print().loaded is accepted
    case.saw("accepts_mode_0600", accepted)


@scenario(5, "A symlinked plist is loaded or refused", "uncertain", measures=("bootstrap_follows_symlinks",))
def symlink(case: Case, job: Job) -> None:
    real = job.path.rename(job.path.with_suffix(".elsewhere"))
    job.path.symlink_to(real)
    accepted = job.bootstrap().rc == 0
    assert job.print().loaded is accepted
    case.saw("bootstrap_follows_symlinks", accepted)


@scenario(
    6, "A second bootstrap is refused and disturbs nothing", "rely",
    plist={"RunAtLoad": True}, measures=("loaded_twice",),
)  # fmt: skip
def loaded_twice(case: Case, job: Job) -> None:
    start = job.start_now()
    outcome = job.bootstrap()
    assert outcome.rc != 0
    assert outcome.stderr.startswith(f"Bootstrap failed: {outcome.rc}: ")
    case.saw("loaded_twice", outcome.rc)
    case.stays(lambda: job.print().pid == start.pid, during=2)
    assert job.print().fields["runs"] == "1"


@scenario(7, "An edited plist changes nothing until bootout", "rely", plist={"RunAtLoad": True})
def edited(case: Case, job: Job) -> None:
    start = job.start_now()
    arguments = job.print().arguments
    job.write("ends=stay", "edited=yes", RunAtLoad=True)
    assert job.bootstrap().rc != 0
    assert job.print().arguments == arguments
    job.outlive_throttle(start)
    assert job.kickstart("-k").rc == 0
    again = job.await_start(2, within=15)
    assert again.pid != start.pid
    assert job.print().arguments == arguments
    assert again.argv == start.argv


@scenario(8, "Bootout and bootstrap take up an edited plist", "rely", plist={"RunAtLoad": True})
def reloaded(case: Case, job: Job) -> None:
    job.start_now()
    job.write("edited=yes", RunAtLoad=True)
    job.bootout()
    job.await_unloaded()
    assert job.bootstrap() == Outcome(0)
    assert job.await_start(2).argv[-1] == "edited=yes"
    assert job.print().arguments[-1] == "edited=yes"


@scenario(
    34, "disable refuses the next bootstrap, enable allows it", "rely",
    measures=("loaded_while_disabled", "prints_true_false"), disables=True,
)  # fmt: skip
def disabled(case: Case, job: Job) -> None:
    case.launchctl("disable", job.target)
    outcome = job.bootstrap()
    assert outcome.rc != 0
    case.saw("loaded_while_disabled", outcome.rc)
    assert job.print().rc == 113
    word = override(case, job)
    assert word in {"disabled", "true"}
    case.saw("prints_true_false", word == "true")
    assert case.launchctl("enable", job.target) == Outcome(0)
    assert override(case, job) in {"enabled", "false"}
    assert job.bootstrap() == Outcome(0)
    assert job.print().loaded


@scenario(
    35, "disable leaves a running job alone and holds after a login", "rely",
    plist={"RunAtLoad": True}, logs_out=True, disables=True,
)  # fmt: skip
def disabled_at_login(case: Case, job: Job) -> None:
    start = job.start_now()
    assert case.launchctl("disable", job.target) == Outcome(0)
    case.stays(lambda: job.print().pid == start.pid, during=3)
    case.launchd.log_in_again()
    case.stays(lambda: job.print().rc == 113, during=3)
    assert override(case, job) in {"disabled", "true"}
    job.path.unlink()
    case.launchd.log_in_again()
    assert override(case, job) in {"disabled", "true"}
    assert len(job.starts()) == 1


@scenario(
    41, "A login loads what is valid and enabled", "rely", plist={"RunAtLoad": True},
    measures=("login_follows_symlinks",), logs_out=True, disables=True,
)  # fmt: skip
def login(case: Case, job: Job) -> None:
    plain, off, loose, linked = (case.job(name=name) for name in ("plain", "off", "loose", "linked"))
    loose.path.chmod(0o666)
    linked.path.symlink_to(linked.path.rename(linked.path.with_suffix(".elsewhere")))
    case.launchctl("disable", off.target)
    before = case.now()
    case.launchd.log_in_again(delay=20)
    assert [each.print().loaded for each in (job, plain, off, loose)] == [True, True, False, False]
    case.saw("login_follows_symlinks", linked.print().loaded)
    assert job.starts() == []
    assert job.await_start(within=20).at >= before + 20
    assert plain.starts() == []


def override(case: Case, job: Job) -> str | None:
    """What the override database says of the label."""
    for line in case.launchctl("print-disabled", DOMAIN).stdout.splitlines():
        if line.strip().startswith(f'"{job.label}" => '):
            return line.rpartition(" => ")[2]
    return None
