"""The hub as the command line finds it on this machine: hub.yaml, its agents, and the way to launchd."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from mlxhub.clients.hub import HubAddress
from mlxhub.core.access import base_url
from mlxhub.core.agents import RenderedAgent, controller_label, model_of, render_hub
from mlxhub.core.agents import controller_address as address_in
from mlxhub.core.config import HubConfig
from mlxhub.core.limits import HubLimits, make_limits, undefined_groups
from mlxhub.core.paths import Paths
from mlxhub.core.restarts import CONTROLLER
from mlxhub.errors import ConfigError, Fault, MlxhubError
from mlxhub.files.generations import Generation, read_history
from mlxhub.files.hub_yaml import (
    known_ports,
    missing_models,
    parse_hub_text,
    promised_ports,
    read_hub_text,
    read_hub_yaml,
)
from mlxhub.files.keys import WorkerTrust, current_key
from mlxhub.files.machine import Machine, this_machine
from mlxhub.files.runs import make_new_beginning
from mlxhub.fleet.hub import Hub, make_hub
from mlxhub.fleet.libraries import lacking_libraries
from mlxhub.launchd.launchctl import Launchctl
from mlxhub.launchd.supervisor import start_supervisor, supervisor_pid


@dataclass(frozen=True, slots=True)
class LocalHub:
    """`text` is what hub.yaml says; `paths` are the machine's with the log directory that it names.

    `faults`: why it is an earlier hub.yaml.
    """

    text: str
    machine: Machine
    paths: Paths
    hub: Hub
    agents: dict[str, RenderedAgent]
    faults: tuple[str, ...] = ()

    @property
    def config(self) -> HubConfig:
        return self.hub.config

    @property
    def controller(self) -> HubAddress:
        return controller_address(self.config, self.paths)

    @property
    def trust(self) -> WorkerTrust:
        """What proves to workers that their hub asks."""
        return WorkerTrust(self.paths.keys)

    @property
    def api_key(self) -> str | None:
        """What a client of /v1 has to show; None: nothing. Raises StateUnreadable."""
        return current_key(self.paths.keys, "api") if self.config.api_key == "required" else None

    @property
    def limits(self) -> HubLimits:
        """As hub.yaml says, on this machine."""
        return make_limits(self.config, int(psutil.virtual_memory().total))

    @property
    def warnings(self) -> list[str]:
        """What hub.yaml names and is not there. Directories are looked for each time: disks may hang."""
        return [
            *undefined_groups(self.config),
            *missing_models(self.config, self.paths, self.machine.home),
            *lacking_libraries(self.config, self.machine),
        ]


def open_hub(machine: Machine, *, promise: bool = False) -> LocalHub:
    """Raises ConfigError. `promise`: write down ports that are assigned for the first time."""
    return hub_of(read_hub_text(machine.paths.config), machine, promise=promise)


def open_hub_in_force(machine: Machine) -> LocalHub:
    """As hub.yaml says; where it has faults, as last applied, with its faults.

    Raises ConfigError where nothing was applied yet.
    """
    try:
        return open_hub(machine)
    except ConfigError as error:
        applied = _last_applied(machine, error)
        local = hub_of(applied.hub_yaml, machine)
        said = (
            f"hub.yaml has faults: what it said when it was last applied (generation {applied.number}) holds."
        )
        return replace(local, faults=(said, *map(str, error.faults)))


def config_in_force(machine: Machine) -> tuple[HubConfig, tuple[Fault, ...]]:
    """As open_hub_in_force, for who needs nothing that follows from hub.yaml: no ports, no agents."""
    try:
        return read_hub_yaml(machine.paths.config), ()
    except ConfigError as error:
        applied = _last_applied(machine, error)
        return parse_hub_text(applied.hub_yaml, machine.paths.config), error.faults


def _last_applied(machine: Machine, error: ConfigError) -> Generation:
    """Raises `error`, which says why it is needed, where there is none."""
    applied = read_history(machine.paths).in_force
    if applied is None:
        raise error
    return applied


def hub_of(text: str, machine: Machine, *, promise: bool = False) -> LocalHub:
    """The hub that such a hub.yaml describes. Raises ConfigError."""
    config = parse_hub_text(text, machine.paths.config)
    paths = machine.paths.with_logs(config.log_path, machine.home)
    ports = promised_ports(config, paths) if promise else known_ports(config, paths)
    agents = render_hub(config, ports, paths, machine.runtime)
    return LocalHub(
        text=text,
        machine=machine,
        paths=paths,
        hub=make_hub(config, ports, paths, agents),
        agents=agents,
    )


def find_machine(config: Path | None) -> Machine:
    machine = this_machine(config)
    if machine.refuses_root and os.getuid() == 0:
        raise MlxhubError("LaunchAgents belong to a person: run mlxhub as yourself, without sudo.")
    return machine


def launchd_of(machine: Machine) -> Launchctl:
    return Launchctl(
        machine.launchctl,
        uid=machine.uid,
        environment=machine.launchctl_environment,
        no_session_hint=machine.session_hint,
        log_hint=machine.launchd_log,
    )


def is_supervisor_absent(machine: Machine) -> bool:
    """Whether the system has no launchd and the stand-in does not run: then nothing can be loaded."""
    return machine.supervisor is not None and supervisor_pid(machine.paths) is None


def ensure_supervisor(local: LocalHub, launchd: Launchctl) -> bool:
    """Start the stand-in where the system has no launchd; whether it had to be started.

    Raises NoSession where a launchd runs and has no session for us.
    """
    machine = local.machine
    if not is_supervisor_absent(machine):
        launchd.require_session()
        return False
    assert machine.supervisor is not None
    for label, agent in local.agents.items():
        if agent.eager:
            # It starts with the stand-in: one that died too often would park before anybody can forgive it.
            make_new_beginning(local.paths.run_files(model_of(label) or CONTROLLER))
    start_supervisor(machine.supervisor, machine.paths, launchd.has_session)
    return True


def controller_address(config: HubConfig, paths: Paths) -> HubAddress:
    """Of the controller that is installed: hub.yaml may name another address by now."""
    plist = paths.plist(controller_label(config))
    installed = address_in(plist.read_bytes()) if plist.is_file() else None
    return HubAddress(paths.socket, base_url(*(installed or (config.host, config.port))))
