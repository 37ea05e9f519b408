"""All scenarios, in the order of their numbers."""

from tests.conformance import asking, keeping_alive, loading, starting, stopping, surroundings
from tests.conformance.scenario import Scenario

SCENARIOS = sorted(
    (
        value
        for module in (loading, asking, starting, keeping_alive, stopping, surroundings)
        for value in vars(module).values()
        if isinstance(value, Scenario)
    ),
    key=lambda each: each.number,
)
