"""Agents without programs, and one call that brings them about."""

import json
import plistlib

from mlxhub.core.agents import RenderedAgent
from mlxhub.core.limits import HubLimits
from mlxhub.core.paths import Paths
from mlxhub.files.manifest import installed_agents
from mlxhub.launchd.carry_out import Applied, AwaitReady, During, nothing_during
from mlxhub.launchd.reconcile import Remember, reconcile
from tests.fakes.launchd import FakeLaunchd


def agents(paths: Paths, *labels: str, generation: str = "g1") -> dict[str, RenderedAgent]:
    made = {}
    for label in labels:
        properties = {
            "Label": label,
            "ProgramArguments": ["/bin/true", "--generation", generation],
            "KeepAlive": {"SuccessfulExit": False},
            "WorkingDirectory": str(paths.working_directory),
            "StandardOutPath": str(paths.logs / "stdio" / f"{label}.log"),
        }
        made[label] = RenderedAgent(label, plistlib.dumps(properties), generation, eager=True)
    return made


def ready(_label: str) -> None:
    """Nothing to wait for: these agents have no programs."""


def bring(
    desired: dict[str, RenderedAgent],
    paths: Paths,
    launchd: FakeLaunchd | None,
    *,
    await_ready: AwaitReady = ready,
    force: bool = False,
    during: During = nothing_during,
    remember: Remember | None = None,
    limits: HubLimits | None = None,
) -> Applied:
    return reconcile(
        desired,
        owns=lambda _label: True,
        paths=paths,
        launchd=launchd,
        await_ready=await_ready,
        force=force,
        during=during,
        remember=remember,
        limits=limits,
    )


def assert_as_desired(desired: dict[str, RenderedAgent], paths: Paths, launchd: FakeLaunchd) -> None:
    assert {path.stem: path.read_bytes() for path in paths.agents.iterdir()} == {
        label: agent.plist for label, agent in desired.items()
    }
    assert {label: job.generation for label, job in launchd.jobs.items()} == {
        label: agent.generation for label, agent in desired.items()
    }
    assert installed_agents(paths).keys() == desired.keys()


def serving(paths: Paths, ports: dict[str, int], generation: str) -> dict[str, RenderedAgent]:
    made = {}
    for label, port in ports.items():
        (plain,) = agents(paths, label, generation=generation).values()
        properties = plistlib.loads(plain.plist)
        properties["ProgramArguments"] += ["--settings", json.dumps({"port": port})]
        made[label] = RenderedAgent(label, plistlib.dumps(properties), generation, eager=True)
    return made
