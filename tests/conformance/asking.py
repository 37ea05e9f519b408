"""Scenarios: what launchctl says of jobs, and of what is not there."""

import os

from tests.conformance.driver import Case, Job, Outcome
from tests.conformance.scenario import scenario

NOBODY = "gui/99999"


@scenario(
    9, "What is not there is said to be not there", "rely",
    measures=("unknown_domain", "says_bad_request", "loaded_elsewhere"),
)  # fmt: skip
def unknown(case: Case, job: Job) -> None:
    service = case.launchctl("print", job.target)
    assert (service.rc, service.stdout) == (113, "")
    said = f'Could not find service "{job.label}" in domain for user gui: {os.getuid()}\n'
    assert service.stderr in {said, f"Bad request.\n{said}"}
    case.saw("says_bad_request", service.stderr != said)
    domain = case.launchctl("print", NOBODY)
    assert domain.stdout == ""
    case.saw("unknown_domain", domain.rc)
    listed = case.launchctl("list", job.label)
    assert (listed.rc, listed.stdout) == (113, "")
    assert listed.stderr == f'Could not find service "{job.label}" in domain for port\n'
    case.saw("loaded_elsewhere", case.launchctl("bootstrap", NOBODY, str(job.path)).rc)
    assert job.print().rc == 113


@scenario(10, "list has a row for each job", "rely", plist={"RunAtLoad": True})
def listed(case: Case, job: Job) -> None:
    idle, killed = case.job(name="idle"), case.job(name="killed", RunAtLoad=True)
    start = job.start_now()
    assert idle.bootstrap() == Outcome(0)
    killed.start_now()
    assert killed.kill("TERM") == Outcome(0)
    case.until(lambda: killed.print().state == "not running", 1)
    lines = case.launchctl("list").stdout.splitlines()
    assert lines[0] == "PID\tStatus\tLabel"
    mine = {f"{start.pid}\t0\t{job.label}", f"-\t0\t{idle.label}", f"-\t-15\t{killed.label}"}
    assert {line for line in lines if line.split("\t")[2] in {job.label, idle.label, killed.label}} == mine


@scenario(
    11,
    "An exit code is shown with its name and as a wait status",
    "rely",
    "ends=75",
    plist={"RunAtLoad": True},
)
def exit_code(case: Case, job: Job) -> None:
    assert job.bootstrap() == Outcome(0)
    job.await_end()
    case.until(lambda: job.print().state == "not running", 1)
    entry = case.launchctl("list", job.label).stdout
    assert '\t"LastExitStatus" = 19200;\n' in entry
    assert f'\t"Label" = "{job.label}";\n' in entry
    assert '"PID"' not in entry
    printed = job.print()
    assert printed.fields["last exit code"] == "75: EX_TEMPFAIL"
    assert printed.pid is None


@scenario(16, "Verbs fail on what is not loaded", "rely", measures=("kickstarted_unknown", "removed_unknown"))
def not_loaded(case: Case, job: Job) -> None:
    kickstarted = job.kickstart()
    assert kickstarted.rc != 0
    case.saw("kickstarted_unknown", kickstarted.rc)
    assert job.kill("TERM").rc == 113
    case.saw("removed_unknown", job.bootout().rc)
    assert job.starts() == []


@scenario(19, "Misuse is told by its code", "rely")
def misuse(case: Case, job: Job) -> None:
    assert job.bootstrap() == Outcome(0)
    killed = job.kill("TERM")
    assert (killed.rc, killed.stderr) == (3, "No process to signal.\n")
    assert job.kill("BOGUS").rc == 64
    assert case.launchctl("kickstart").rc == 64
    unknown_verb = case.launchctl("frobnicate")
    assert unknown_verb.rc == 1
    assert unknown_verb.stderr.startswith("Unrecognized subcommand: frobnicate")
    assert job.print().state == "not running"
