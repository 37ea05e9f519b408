"""What models hold is read from files and locks, and what cannot be read is told."""

from mlxhub.core.limits import NO_LIMITS, GroupLimit, Holder, HubLimits
from mlxhub.core.paths import Paths
from mlxhub.files.ledger import Ledger
from mlxhub.files.limits import write_limits
from mlxhub.fleet.holdings import Holdings, look_at_holdings


def test_a_hub_that_was_never_applied_holds_nothing(paths: Paths) -> None:
    assert look_at_holdings(paths) == Holdings(NO_LIMITS, ())


def test_holders_are_told_beside_the_limits_in_force(paths: Paths) -> None:
    limits = HubLimits(9, (GroupLimit("g", 1, None),), {})
    write_limits(paths.limits, limits)
    entry = Ledger(paths.locks).take("a", lambda _others: None)
    entry.reserve(5, lambda _others: None)
    assert look_at_holdings(paths) == Holdings(limits, (Holder("a", 5),))
    entry.give_back()
    assert look_at_holdings(paths) == Holdings(limits, ())


def test_damaged_limits_are_told(paths: Paths) -> None:
    paths.limits.parent.mkdir(parents=True, exist_ok=True)
    paths.limits.write_text("{}")
    assert "limits.json cannot be read" in (look_at_holdings(paths).error or "")
