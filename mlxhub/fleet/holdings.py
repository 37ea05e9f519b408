"""What models hold together, by the limits in force and the locks of workers, which need not answer."""

from dataclasses import dataclass

from mlxhub.core.limits import NO_LIMITS, Holder, HubLimits
from mlxhub.core.paths import Paths
from mlxhub.errors import MlxhubError
from mlxhub.files.ledger import Ledger
from mlxhub.files.limits import read_limits


@dataclass(frozen=True, slots=True)
class Holdings:
    """`holders` by name. `error`: why it is not known; the others are empty then."""

    limits: HubLimits = NO_LIMITS
    holders: tuple[Holder, ...] = ()
    error: str | None = None


NOTHING_HELD = Holdings()


def look_at_holdings(paths: Paths) -> Holdings:
    """Blocks, for a moment."""
    try:
        return Holdings(read_limits(paths.limits), Ledger(paths.locks).holders())
    except (MlxhubError, OSError) as error:
        return Holdings(error=str(error))
