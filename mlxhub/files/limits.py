"""What hub.yaml says of memory and groups, as workers read it at each load: so it restarts none of them."""

from pathlib import Path

from pydantic import TypeAdapter

from mlxhub.core.limits import NO_LIMITS, HubLimits
from mlxhub.files.state import read_state, write_state

_LIMITS = TypeAdapter(HubLimits)


def read_limits(path: Path) -> HubLimits:
    """None at all where there is no file. Raises StateUnreadable."""
    return read_state(path, _LIMITS, NO_LIMITS)


def write_limits(path: Path, limits: HubLimits) -> None:
    """Whoever loads from now on heeds them. Raises StateUnwritable."""
    write_state(path, _LIMITS, limits)
