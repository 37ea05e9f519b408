"""The controller with its real collaborators: hub.yaml on disk, launchd, the reconciler."""

from pathlib import Path

from mlxhub.cli.local_hub import find_machine, launchd_of, open_hub
from mlxhub.controller.collaborators import Collaborators, ReloadOutcome
from mlxhub.controller.main import run_controller
from mlxhub.controller.settings import ControllerSettings
from mlxhub.core.agents import RenderedAgent, model_of, render_hub, worker_label
from mlxhub.core.config import HubConfig, LogLevel
from mlxhub.core.plan import Change, Plan
from mlxhub.files.hub_yaml import missing_models
from mlxhub.files.machine import Machine
from mlxhub.fleet.hub import Hub
from mlxhub.launchd.contract import Launchd
from mlxhub.launchd.reconcile import reconcile


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
    launchd = launchd_of(machine)
    config = open_hub(machine).config
    settings = ControllerSettings(
        host=host or config.host,
        port=port or config.port,
        log_level=log_level or config.log_level,
        log_file=log_file,
        generation=generation,
    )
    collaborators = Collaborators(
        load_hub=lambda: open_hub(machine, promise=True).hub,
        launchd=launchd,
        reconcile_workers=lambda hub: _reconcile_workers(hub, machine, launchd),
        controller_generation=lambda hub: _agents(hub, machine)[hub.controller_label].generation,
    )
    return run_controller(settings, collaborators)


def _reconcile_workers(hub: Hub, machine: Machine, launchd: Launchd) -> ReloadOutcome:
    """Never the controller's own agent: a process that boots itself out dies half-way."""
    paths = machine.paths.with_logs(hub.config.log_path, machine.home)
    prefix = worker_label(hub.config, "")
    plan = reconcile(
        {label: agent for label, agent in _agents(hub, machine).items() if model_of(label)},
        owns=lambda label: label.startswith(prefix),
        paths=paths,
        launchd=launchd,
    )
    return _outcome(plan, hub.config, missing_models(hub.config, paths, machine.home))


def _agents(hub: Hub, machine: Machine) -> dict[str, RenderedAgent]:
    paths = machine.paths.with_logs(hub.config.log_path, machine.home)
    ports = {name: model.port for name, model in hub.models.items()}
    return render_hub(hub.config, ports, paths, machine.runtime)


def _outcome(plan: Plan, config: HubConfig, warnings: list[str]) -> ReloadOutcome:
    def names(*changes: Change) -> tuple[str, ...]:
        return tuple(label.removeprefix(worker_label(config, "")) for label in plan.labels(*changes))

    return ReloadOutcome(
        started=names(Change.ADD),
        stopped=names(Change.REMOVE),
        restarted=names(Change.CHANGE),
        unchanged=names(Change.KEEP, Change.REWRITE),
        warnings=tuple(warnings),
    )
