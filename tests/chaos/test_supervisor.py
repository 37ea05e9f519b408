"""The stand-in is killed: on Linux nothing stands above it, and what it ran goes with it."""

import os
import signal
import time

from mlxhub.core.restarts import DEATHS_TO_PARK, Run
from mlxhub.files.runs import write_runs
from tests.chaos.place import SUPERVISOR, Place
from tests.eventually import eventually


def test_what_a_killed_supervisor_ran_goes_with_it_and_a_start_brings_all_of_it_back(
    small_place: Place,
) -> None:
    place = small_place
    [pid] = place.census()[SUPERVISOR]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not place.hub.processes())
    assert "mlxhub start" in place.hub.run("stop").stderr
    # Each of them died so often that its next start by launchd alone would be none.
    now = time.time()
    deaths = tuple(Run(pid, now - 60, now - 50, "signal Killed") for pid in range(1, DEATHS_TO_PARK + 1))
    for program in place.programs:
        write_runs(place.paths.run_files(program), deaths)

    place.hub.ok("start")
    census = place.census()
    assert {len(pids) for pids in census.values()} == {1}, "and none of them twice"
    assert all(place.serving_pid(program) in census[program] for program in place.programs)
