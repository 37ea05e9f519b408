"""What the controller does not do itself: read hub.yaml, talk to launchd, carry out a plan."""

from collections.abc import Callable
from dataclasses import dataclass

from mlxhub.files.ports import port_holder
from mlxhub.fleet.hub import Hub
from mlxhub.fleet.ownership import HolderOf
from mlxhub.launchd.contract import Launchd


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """Model names by what happened to their processes."""

    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Collaborators:
    """All of these block.

    `load_hub` reads hub.yaml and the promised ports; raises ConfigError. `reconcile_workers` brings the
    workers' agents, and never the controller's, to what a hub says; raises LaunchdError or LockTimeout.
    `controller_generation` is the one the controller's own agent would have, were it installed anew.
    """

    load_hub: Callable[[], Hub]
    launchd: Launchd
    reconcile_workers: Callable[[Hub], ReloadOutcome]
    controller_generation: Callable[[Hub], str]
    holder_of: HolderOf = port_holder
