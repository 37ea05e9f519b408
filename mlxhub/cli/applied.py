"""Writing down what was applied, by the command line and by the controller: a way back."""

import time

from mlxhub.cli.local_hub import LocalHub
from mlxhub.core.plan import Plan
from mlxhub.files.generations import remember


def remember_applied(local: LocalHub, plan: Plan, *, good: bool, everything_runs: bool = False) -> None:
    """As the generation that is in force. `good`: all that was started is ready.

    `everything_runs`: also what was down when the plan was made.
    """
    remember(
        local.paths,
        local.text,
        {label: agent.generation for label, agent in local.agents.items()},
        good=good and (everything_runs or not plan.down),
        time=time.time(),
    )
