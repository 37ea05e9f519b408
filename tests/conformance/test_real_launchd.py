"""The scenarios against this Mac's own launchd: pytest tests/conformance --real-launchctl."""

from pathlib import Path

import pytest

from tests.conformance.answers import save
from tests.conformance.conftest import Report
from tests.conformance.real import real_launchd
from tests.conformance.running import recorded, run_together
from tests.conformance.scenario import Scenario


def test_scenarios(
    request: pytest.FixtureRequest, chosen: list[Scenario], record: Path | None, report: Report
) -> None:
    with real_launchd(request.config.getoption("launchctl")) as launchd:
        results = run_together(chosen, lambda _: launchd)
        if record is not None:  # before the cleaning up, which a launchd that hangs makes fail
            save(record, recorded(results))
        report("real launchd", results)
