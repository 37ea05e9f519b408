"""What the controller does not do itself: read hub.yaml, talk to launchd, carry out a plan."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mlxhub.controller.pulls import Pulling
from mlxhub.files.ports import port_holder
from mlxhub.fleet.holdings import NOTHING_HELD, Holdings
from mlxhub.fleet.hub import Hub
from mlxhub.fleet.ownership import HolderOf
from mlxhub.launchd.carry_out import During
from mlxhub.launchd.contract import Launchd
from mlxhub.protocol.hub import Failure
from mlxhub.protocol.registry import DiscoveredList


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """As ReloadResult."""

    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    defined: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    not_begun: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FirstHub:
    """What a controller begins with; `warnings` hold until a reload."""

    hub: Hub
    warnings: tuple[str, ...] = ()


class Catalogue(Protocol):
    """Models on disk, and hub.yaml as their list. All of it blocks."""

    def discover(self) -> DiscoveredList:
        """Raises ConfigError and StateUnwritable."""

    def enable(self, model: str, name: str | None) -> str:
        """Its name in hub.yaml. Raises ConfigError, UnknownCheckpoint and HubYamlLeftAlone."""

    def disable(self, name: str) -> None:
        """Raises ConfigError, UnknownModel and HubYamlLeftAlone."""

    def begin_pull(self, repo: str) -> Pulling:
        """Raises PullFailed."""


@dataclass(frozen=True, slots=True)
class Collaborators:
    """All of these block.

    `load_hub` reads hub.yaml and the promised ports; raises ConfigError. `first_hub` does so at the start,
    and may know better than to give up where there are faults; None: it is `load_hub`. `reconcile_workers`
    brings the workers' agents, and never the controller's, to what a hub says, and holds `during` around
    each of its stages; what it raises before the first one (PlanRefused, LockTimeout, LaunchdError and more)
    has changed nothing.
    `holdings`: what models hold together.
    `controller_generation` is the one the controller's own agent would have, were it installed anew.
    """

    load_hub: Callable[[], Hub]
    launchd: Launchd
    reconcile_workers: Callable[[Hub, During], ReloadOutcome]
    controller_generation: Callable[[Hub], str]
    catalogue: Catalogue
    holder_of: HolderOf = port_holder
    holdings: Callable[[], Holdings] = lambda: NOTHING_HELD
    first_hub: Callable[[], FirstHub] | None = None

    def begin(self) -> FirstHub:
        """Raises ConfigError where there is nothing to begin with."""
        return FirstHub(self.load_hub()) if self.first_hub is None else self.first_hub()
