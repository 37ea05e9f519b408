"""The controller's reload: what it says happened, and what it writes down as tried."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest

from mlxhub.cli.wiring import HubOnDisk, reload_outcome
from mlxhub.controller.collaborators import ReloadOutcome
from mlxhub.core.agents import BY_HAND
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Change, Difference, Effect, Kickstart, Plan, Stage
from mlxhub.errors import MlxhubError
from mlxhub.files.generations import read_history
from mlxhub.files.machine import this_machine
from mlxhub.launchd.carry_out import Applied
from mlxhub.protocol.hub import Failure
from tests.fakes.launchd import FakeLaunchd

CONTROLLER = "io.mlxhub.controller"
LAZY = "models:\n  - {name: lazy, model_path: 'builtin:demo', default: false}\n"


def no_lock(_: tuple[str, ...]) -> AbstractContextManager[None]:
    return nullcontext()


def test_a_reload_is_told_by_what_happened_to_processes() -> None:
    differences = {
        "w.new": Difference(Change.ADD, Effect.STARTS),
        "w.lazy": Difference(Change.ADD),
        "w.edited": Difference(Change.CHANGE, Effect.RESTARTS),
        "w.edited-and-down": Difference(Change.CHANGE),
        "w.gone": Difference(Change.REMOVE, Effect.STOPS),
        "w.same": Difference(Change.KEEP),
        "w.was-down": Difference(Change.KEEP),
        "w.broken": Difference(Change.CHANGE, Effect.RESTARTS),
        "w.later": Difference(Change.CHANGE, Effect.RESTARTS),
    }
    kicks = tuple(map(Kickstart, ("w.new", "w.edited", "w.was-down", "w.broken", "w.later")))
    applied = Applied(
        Plan(differences, (Stage(kicks),)),
        failed={"w.broken": MlxhubError("it is not ready.")},
        not_begun=("w.later",),
        kept=(),
    )
    assert reload_outcome(applied, "w.", ["mind the gap"]) == ReloadOutcome(
        started=("new", "was-down"),
        stopped=("gone",),
        restarted=("edited",),
        unchanged=("same",),
        defined=("lazy", "edited-and-down"),
        failed=(Failure(name="broken", message="it is not ready."),),
        not_begun=("later",),
        warnings=("mind the gap",),
    )


@pytest.mark.parametrize(("started_with", "remembered"), [("g-old", "g-old"), (BY_HAND, None)])
def test_a_reload_does_not_take_a_controller_for_tried_that_was_not_installed(
    paths: Paths, started_with: str, remembered: str | None
) -> None:
    paths.config.write_text("port: 8123\n" + LAZY)
    on_disk = HubOnDisk(replace(this_machine(), paths=paths), started_with, FakeLaunchd())
    hub = on_disk.load()
    assert on_disk.controller_generation(hub) != started_with
    assert on_disk.reconcile_workers(hub, no_lock).defined == ("lazy",)
    in_force = read_history(paths).in_force
    assert in_force is not None
    assert in_force.definitions.get(CONTROLLER) == remembered
    assert in_force.definitions[hub.models["lazy"].label] == hub.models["lazy"].generation
