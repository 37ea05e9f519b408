"""The stand-in answers as launchd does, whatever it has drawn."""

from pathlib import Path

import pytest

from tests.conformance.answers import save
from tests.conformance.catalogue import SCENARIOS
from tests.conformance.conftest import Report
from tests.conformance.driver import DOMAIN, Case, Job
from tests.conformance.real import real_launchd
from tests.conformance.running import recorded, run_together
from tests.conformance.scenario import Scenario
from tests.conformance.stand_in import StandIns, drawn_answers, run_against_stand_ins, stand_in
from tests.conformance.uncertain import UNCERTAIN

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
        assert recorded(results).keys() == {name for name, each in UNCERTAIN.items() if not each.by_hand}


def test_scenarios_in_real_seconds(tmp_path: Path, report: Report) -> None:
    chosen = [each for each in SCENARIOS if each.number in AT_SCALE_1]
    with StandIns(tmp_path, 0, scale=1) as stand_ins:
        results = run_together(chosen, stand_ins.for_scenario, drawn_answers(0))
    report("scale 1", results)


def test_the_run_on_a_mac_cleans_up_after_itself(tmp_path: Path, report: Report) -> None:
    """The same code as on a Mac, with the stand-in behind its launchctl."""
    with stand_in(tmp_path / "stand-in", seed=0, scale=1) as imitated:
        program = tmp_path / "launchctl"
        settings = " ".join(f"{name}='{value}'" for name, value in imitated.environment.items())
        words = " ".join(f"'{word}'" for word in imitated.command)
        program.write_text(f'#!/bin/sh\n{settings} exec {words} "$@"\n')
        program.chmod(0o755)
        broken = Scenario(99, "Fails half-way", "rely", leaves_everything_behind, plist={"KeepAlive": True})
        with real_launchd(str(program)) as launchd:
            directory = launchd.directory
            chosen = [each for each in SCENARIOS if each.number in AS_ON_A_MAC] + [broken]
            results = run_together(chosen, lambda _: launchd)
        left = imitated.ask(["list"]).stdout
        overrides = imitated.ask(["print-disabled", DOMAIN]).stdout
    failed = [result for result in results if result.failure is not None]
    assert [str(result.failure) for result in failed if result.scenario is broken] == ["half-way"]
    assert left == "PID\tStatus\tLabel\n"
    assert "disabled\n" not in overrides.replace("disabled services", "")
    assert not directory.exists()
    report("as on a Mac", [result for result in results if result.scenario is not broken])


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
