"""The hub as the command line finds it on this machine: hub.yaml, its agents, and the way to launchd."""

import os
from dataclasses import dataclass
from pathlib import Path

from mlxhub.core.agents import RenderedAgent, controller_address, controller_label, render_hub
from mlxhub.core.config import HubConfig
from mlxhub.core.paths import Paths
from mlxhub.errors import MlxhubError
from mlxhub.files.hub_yaml import known_ports, missing_models, promised_ports, read_hub_yaml
from mlxhub.files.machine import Machine, this_machine
from mlxhub.fleet.hub import Hub, make_hub
from mlxhub.launchd.launchctl import Launchctl
from mlxhub.launchd.supervisor import start_supervisor


@dataclass(frozen=True, slots=True)
class LocalHub:
    """`paths` are the machine's with the log directory that hub.yaml names."""

    machine: Machine
    paths: Paths
    hub: Hub
    agents: dict[str, RenderedAgent]
    warnings: list[str]

    @property
    def config(self) -> HubConfig:
        return self.hub.config


def open_hub(machine: Machine, *, promise: bool = False) -> LocalHub:
    """Raises ConfigError. `promise`: write down ports that are assigned for the first time."""
    config = read_hub_yaml(machine.paths.config)
    paths = machine.paths.with_logs(config.log_path, machine.home)
    ports = promised_ports(config, paths) if promise else known_ports(config, paths)
    agents = render_hub(config, ports, paths, machine.runtime)
    return LocalHub(
        machine=machine,
        paths=paths,
        hub=make_hub(config, ports, paths, agents),
        agents=agents,
        warnings=missing_models(config, paths, machine.home),
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


def ensure_supervisor(machine: Machine, launchd: Launchctl) -> bool:
    """Start the stand-in where the system has no launchd; whether it had to be started."""
    if machine.supervisor is None or launchd.has_session():
        return False
    start_supervisor(machine.supervisor, machine.paths, launchd.has_session)
    return True


def controller_url(config: HubConfig, paths: Paths) -> str:
    """Of the controller that is installed: hub.yaml may name another address by now."""
    plist = paths.plist(controller_label(config))
    installed = controller_address(plist.read_bytes()) if plist.is_file() else None
    return base_url(*(installed or (config.host, config.port)))


def base_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
