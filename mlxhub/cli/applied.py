"""Writing down what was applied, by the command line and by the controller: a way back."""

import time

from mlxhub.cli.local_hub import LocalHub
from mlxhub.core.plan import Plan
from mlxhub.files.generations import prove, remember


def remember_applied(local: LocalHub, plan: Plan, *, good: bool) -> None:
    """As the generation that is in force, for who still holds the hub's lock.

    `good`: all that was started is ready.
    """
    remember(local.paths, local.text, _definitions(local), good=good and not plan.down, time=time.time())


def prove_applied(local: LocalHub) -> None:
    """All of it runs, also what was down when the plan was made. Takes the hub's lock."""
    prove(local.paths, local.text, _definitions(local), time=time.time())


def _definitions(local: LocalHub) -> dict[str, str]:
    return {label: agent.generation for label, agent in local.agents.items()}
