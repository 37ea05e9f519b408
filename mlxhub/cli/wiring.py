"""The controller with its real collaborators: hub.yaml on disk, launchd, the reconciler."""

import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Literal

import psutil

from mlxhub.cli.applied import remember_applied
from mlxhub.cli.local_hub import (
    LocalHub,
    config_in_force,
    find_machine,
    launchd_of,
    open_hub,
    open_hub_in_force,
)
from mlxhub.cli.readiness import await_ready_of
from mlxhub.controller.collaborators import Collaborators, FirstHub, ReloadOutcome
from mlxhub.controller.main import refuse_open_address, run_controller
from mlxhub.controller.settings import ControllerSettings
from mlxhub.core.agents import BY_HAND, model_of, worker_label
from mlxhub.core.config import LogLevel
from mlxhub.core.limits import make_limits
from mlxhub.core.plan import Change, Difference, Effect, Kickstart
from mlxhub.files.keys import make_keys
from mlxhub.files.machine import Machine
from mlxhub.fleet.catalogue import disable_model, discovered_models, enable_model
from mlxhub.fleet.holdings import look_at_holdings
from mlxhub.fleet.hub import Hub
from mlxhub.fleet.pulls import begin_pull
from mlxhub.launchd.carry_out import Applied, During
from mlxhub.launchd.contract import Launchd
from mlxhub.launchd.reconcile import reconcile
from mlxhub.protocol.hub import Failure
from mlxhub.protocol.registry import DiscoveredList
from mlxhub.registry.pulling import Pull


def wire_controller(
    file: Path | None,
    host: str | None,
    port: int | None,
    log_level: LogLevel | None,
    log_file: Path | None,
    generation: str,
) -> int:
    """What was not said on the command line comes from hub.yaml. Returns the exit code."""
    machine = find_machine(file)
    on_disk = HubOnDisk(machine, generation, launchd_of(machine))
    config = on_disk.first().hub.config
    settings = ControllerSettings(
        host=host or config.host,
        port=port or config.port,
        log_level=log_level or config.log_level,
        log_file=log_file,
        generation=generation,
        keys=machine.paths.keys,
        socket=machine.paths.socket,
    )
    refuse_open_address(settings, config.api_key)
    make_keys(settings.keys)
    collaborators = Collaborators(
        load_hub=on_disk.load,
        first_hub=on_disk.first,
        launchd=on_disk.launchd,
        reconcile_workers=on_disk.reconcile_workers,
        controller_generation=on_disk.controller_generation,
        catalogue=CatalogueOnDisk(machine),
        holdings=lambda: look_at_holdings(machine.paths),
    )
    return run_controller(settings, collaborators)


class CatalogueOnDisk:
    """A Catalogue."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def discover(self) -> DiscoveredList:
        config, _ = config_in_force(self._machine)
        limits = make_limits(config, int(psutil.virtual_memory().total))
        return discovered_models(self._machine, config, limits.memory_bytes)

    def enable(self, model: str, name: str | None) -> str:
        return enable_model(self._machine, model, name).name

    def disable(self, name: str) -> None:
        disable_model(self._machine, name)

    def begin_pull(self, repo: str) -> Pull:
        return begin_pull(self._machine, repo, os.environ)


class HubOnDisk:
    """hub.yaml as it was last read, and what follows from it for launchd."""

    def __init__(self, machine: Machine, generation: str, launchd: Launchd) -> None:
        """`generation` is the one the controller itself was started with."""
        self._machine = machine
        self._generation = generation
        self._local: LocalHub | None = None
        self.launchd = launchd

    def load(self) -> Hub:
        self._local = open_hub(self._machine, promise=True)
        return self._local.hub

    def first(self) -> FirstHub:
        """Where hub.yaml has faults, as it was last applied: models must not miss their router for a typo."""
        self._local = open_hub_in_force(self._machine)
        return FirstHub(self._local.hub, self._local.faults)

    def controller_generation(self, hub: Hub) -> str:
        return self._of(hub).agents[hub.controller_label].generation

    def reconcile_workers(self, hub: Hub, during: During) -> ReloadOutcome:
        """Never the controller's own agent: a process that boots itself out dies half-way."""
        local = self._of(hub)
        prefix = worker_label(hub.config, "")

        def remember(applied: Applied) -> None:
            if not applied.not_begun:
                remember_applied(self._as_it_runs(local), applied.plan, good=not applied.failed)

        applied = reconcile(
            {label: agent for label, agent in local.agents.items() if model_of(label)},
            owns=lambda label: label.startswith(prefix),
            paths=local.paths,
            launchd=self.launchd,
            await_ready=await_ready_of(hub, self.launchd, local.trust, _never_itself),
            limits=local.limits,
            during=during,
            remember=remember,
        )
        return reload_outcome(applied, prefix, local.warnings)

    def _as_it_runs(self, local: LocalHub) -> LocalHub:
        """A reload does not install the controller anew: what hub.yaml wants of it is not tried by that."""
        label = local.hub.controller_label
        agents = {each: agent for each, agent in local.agents.items() if each != label}
        if self._generation != BY_HAND:
            agents[label] = replace(local.agents[label], generation=self._generation)
        return replace(local, agents=agents)

    def _of(self, hub: Hub) -> LocalHub:
        assert self._local is not None, "a hub is loaded before anything is done with it"
        assert self._local.hub is hub, "one reload at a time"
        return self._local


def _never_itself() -> None:
    raise AssertionError("the controller's own agent is not in this plan")


def reload_outcome(applied: Applied, prefix: str, warnings: list[str]) -> ReloadOutcome:
    """By what happened to the processes; `prefix` is what labels of models begin with."""
    missed = {*applied.failed, *applied.not_begun}
    kicked = {step.label for step in applied.plan.steps if isinstance(step, Kickstart)}
    by_what: defaultdict[str, list[str]] = defaultdict(list)
    for label, difference in applied.plan.differences.items():
        if label not in missed:
            what = _what_happened(difference, kicked=label in kicked)
            by_what[what].append(label.removeprefix(prefix))
    return ReloadOutcome(
        started=tuple(by_what["started"]),
        stopped=tuple(by_what["stopped"]),
        restarted=tuple(by_what["restarted"]),
        unchanged=tuple(by_what["unchanged"]),
        defined=tuple(by_what["defined"]),
        failed=tuple(
            Failure(name=label.removeprefix(prefix), message=str(error), evidence=list(error.evidence))
            for label, error in applied.failed.items()
        ),
        not_begun=tuple(label.removeprefix(prefix) for label in applied.not_begun),
        warnings=tuple(warnings),
    )


def _what_happened(
    difference: Difference, *, kicked: bool
) -> Literal["started", "stopped", "restarted", "unchanged", "defined"]:
    """One that is as it should be is kicked too, where it was down and an earlier plan had changed it."""
    if difference.change is Change.REMOVE:
        return "stopped"
    if difference.effect is Effect.RESTARTS:
        return "restarted"
    if kicked:
        return "started"
    return "unchanged" if difference.change in (Change.KEEP, Change.REWRITE) else "defined"
