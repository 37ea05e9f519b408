"""Which launchd the scenarios run against, over which seeds, and how their results are reported."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

# pytest explains a failed assert only in files that it has rewritten.
for name in (
    "answers",
    "asking",
    "driver",
    "keeping_alive",
    "loading",
    "starting",
    "stopping",
    "surroundings",
):
    pytest.register_assert_rewrite(f"tests.conformance.{name}")

from tests.conformance.catalogue import SCENARIOS  # noqa: E402 - the lines above must come first
from tests.conformance.driver import NotPossibleHereError  # noqa: E402 - after the rewriting of asserts
from tests.conformance.running import Result  # noqa: E402 - after the rewriting of asserts
from tests.conformance.scenario import Scenario  # noqa: E402 - after the rewriting of asserts

Report = Callable[[str, Iterable[Result]], None]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A run is against the real launchd or the stand-in, which is made of Linux's own parts."""
    real = config.getoption("real_launchctl")
    unwanted = {
        "test_real_launchd.py": not real,
        "test_stand_in.py": real or sys.platform == "darwin",
        "test_table.py": sys.platform == "darwin",
    }
    return unwanted.get(collection_path.name) or None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        first, count = metafunc.config.getoption("first_seed"), metafunc.config.getoption("seeds")
        metafunc.parametrize("seed", range(first, first + count))


@pytest.fixture
def chosen(request: pytest.FixtureRequest) -> list[Scenario]:
    """The scenarios that the command line names; all if it names none."""
    numbers = request.config.getoption("scenario")
    return [each for each in SCENARIOS if not numbers or each.number in numbers]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Path | None:
    """Where the seen answers go, if anywhere."""
    return request.config.getoption("record")


@pytest.fixture
def report(subtests: pytest.Subtests) -> Report:
    """One sub-result for each scenario, under a name that says which run it was."""

    def reported(run: str, results: Iterable[Result]) -> None:
        for result in results:
            with subtests.test(f"{run}, scenario {result.scenario.number}: {result.scenario.title}"):
                try:
                    result.check()
                except NotPossibleHereError as reason:
                    pytest.skip(f"not possible here: {reason}")

    return reported
