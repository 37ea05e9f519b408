"""The stand-in answers as launchd does, whatever it has drawn."""

import threading
from pathlib import Path

import pytest

from tests.conformance.answers import save
from tests.conformance.catalogue import SCENARIOS
from tests.conformance.conftest import Report
from tests.conformance.driver import DOMAIN, Case, Job, Launchd
from tests.conformance.real import PREFIX, real_launchd
from tests.conformance.running import recorded, run_together
from tests.conformance.scenario import Scenario
from tests.conformance.stand_in import StandIns, drawn_answers, run_against_stand_ins, stand_in
from tests.conformance.uncertain import UNCERTAIN

# A busy machine may itself be the one that is late, but for the clock that runs in real seconds.
TOLD_AT_SCALE_1 = "throttle_late_seconds"
# Those that tell most about the clock.
AT_SCALE_1 = {21, 29, 30}
AS_ON_A_MAC = {1, 3, 6, 34, 35}


def test_scenarios(
    seed: int, tmp_path: Path, chosen: list[Scenario], record: Path | None, report: Report
) -> None:
    results = run_against_stand_ins(chosen, tmp_path, seed)
    if record is not None:
        save(record, recorded(results))
    report(f"seed {seed}", results)
    if seed == 0 and chosen == SCENARIOS:
        asked = {name for name, each in UNCERTAIN.items() if not each.by_hand}
        assert asked - recorded(results).keys() <= {TOLD_AT_SCALE_1}


def test_scenarios_in_real_seconds(tmp_path: Path, report: Report) -> None:
    chosen = [each for each in SCENARIOS if each.number in AT_SCALE_1]
    with StandIns(tmp_path, 0, scale=1) as stand_ins:
        results = run_together(chosen, stand_ins.for_scenario, drawn_answers(0))
    report("scale 1", results)
    assert TOLD_AT_SCALE_1 in recorded(results)


def test_the_run_on_a_mac_cleans_up_after_itself(tmp_path: Path, report: Report) -> None:
    """The same code as on a Mac, with the stand-in behind its launchctl."""
    with stand_in(tmp_path / "stand-in", seed=0, scale=1) as imitated:
        program = client_of(imitated, tmp_path / "launchctl")
        broken = Scenario(
            99, "Fails half-way", "rely", leaves_everything_behind, plist={"KeepAlive": True}, disables=True
        )
        imitated.ask(["disable", f"{DOMAIN}/{PREFIX}.44"])  # as a run that was killed leaves it
        with real_launchd(program) as launchd:
            directory = launchd.directory
            chosen = [each for each in SCENARIOS if each.number in AS_ON_A_MAC] + [broken]
            results = run_together(chosen, lambda _: launchd)
        left = imitated.ask(["list"]).stdout
        overrides = imitated.ask(["print-disabled", DOMAIN]).stdout
    failed = [result for result in results if result.failure is not None]
    assert [str(result.failure) for result in failed if result.scenario is broken] == ["half-way"]
    assert left == "PID\tStatus\tLabel\n"
    assert "disabled\n" not in overrides.replace("disabled services", "")
    kept = {line.split('"')[1] for line in overrides.splitlines() if '"' in line}
    assert kept == {f"{PREFIX}.{number}" for number in (34, 35, 44, 99)}  # and no more after another run
    assert not directory.exists()
    report("as on a Mac", [result for result in results if result.scenario is not broken])


def test_a_launchctl_that_hangs_costs_no_answer_and_no_other_label(tmp_path: Path) -> None:
    with stand_in(tmp_path / "stand-in", seed=0, scale=1) as imitated:
        hang = '[ "$1" = bootout ] && case "$2" in *.91) exec sleep 60;; esac'
        program = client_of(imitated, tmp_path / "launchctl", hang)
        stuck = Scenario(91, "Hangs", "rely", starts, plist={"KeepAlive": True})
        fine = Scenario(92, "Does not", "rely", starts, plist={"KeepAlive": True})
        with (
            pytest.raises(RuntimeError, match=r"launchd may still have \S+\.91\."),
            real_launchd(program, cleaning_limit_seconds=5) as launchd,
        ):
            results = run_together([stuck, fine], lambda _: launchd)
        left = imitated.ask(["list"]).stdout
    assert [result.failure for result in results] == [None, None]
    assert (left.count(".91\n"), left.count(".92\n")) == (1, 0)


def starts(case: Case, job: Job) -> None:
    job.start_now()


def test_a_scenario_that_is_not_done_in_time_is_stopped(tmp_path: Path) -> None:
    endless = Scenario(93, "Never ends", "rely", waits_for_ever)
    with stand_in(tmp_path, seed=0, scale=10) as imitated:
        before = threading.active_count()
        [result] = run_together([endless], lambda _: imitated, limit_seconds=10, mercy_seconds=0)
        assert threading.active_count() == before
    with pytest.raises(TimeoutError, match="scenario 93"):
        result.check()


def waits_for_ever(case: Case, job: Job) -> None:
    case.until(lambda: job.print().loaded, within=10_000)


def client_of(imitated: Launchd, program: Path, first: str = "") -> str:
    """A program that is the stand-in's launchctl, and does something first."""
    settings = " ".join(f"{name}='{value}'" for name, value in imitated.environment.items())
    words = " ".join(f"'{word}'" for word in imitated.command)
    program.write_text(f'#!/bin/sh\n{first}\n{settings} exec {words} "$@"\n')
    program.chmod(0o755)
    return str(program)


def leaves_everything_behind(case: Case, job: Job) -> None:
    job.start_now()
    case.launchctl("disable", job.target)
    raise ValueError("half-way")


def test_the_run_on_a_mac_wants_a_graphical_session(tmp_path: Path) -> None:
    program = tmp_path / "launchctl"
    program.write_text("#!/bin/sh\necho Background\n")
    program.chmod(0o755)
    with pytest.raises(PermissionError, match="Background"), real_launchd(str(program)):
        pass
