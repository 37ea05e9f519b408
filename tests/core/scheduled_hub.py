"""A scheduler at a time, with models and what was seen of them."""

from typing import Any

from mlxhub.core.commands import (
    Command,
    Done,
    Failed,
    Load,
    Refused,
    Start,
    Ticket,
    Unload,
)
from mlxhub.core.lifecycle import ModelState
from mlxhub.core.rules import GroupRules, ModelRules, Rules
from mlxhub.core.scheduler import Scheduler
from mlxhub.core.slot import SlotFacts
from mlxhub.errors import LoadFailed

DOWN, UNLOADED = {"serving": False}, {"serving": True}
LOADING = {"serving": True, "memory": ModelState.LOADING}
READY = {"serving": True, "memory": ModelState.READY}
UNLOADING = {"serving": True, "memory": ModelState.UNLOADING}
REFUSAL = LoadFailed("a", "no seat")


class Hub:
    """A scheduler at a time, with tickets that wait for 100 s, and models `a`, `b` and `c`."""

    def __init__(
        self,
        seen: dict[str, dict[str, Any]],
        rules: dict[str, ModelRules] | None = None,
        groups: dict[str, GroupRules] | None = None,
        limit: int | None = None,
    ) -> None:
        self.now = 1000.0
        models = {name: ModelRules() for name in "abc"} | (rules or {})
        self.rules = Rules(models, groups or {}, limit)
        self.scheduler = Scheduler(self.rules)
        for name in "abc":
            self.see(name, **seen.get(name, DOWN))

    def see(self, name: str, *, seconds_ago: float = 0, **facts: Any) -> list[Command]:
        return self.scheduler.on_observed(name, SlotFacts(self.now - seconds_ago, **facts), self.now)

    def ask(self, name: str, number: int, seconds: float = 100) -> list[Command]:
        return self.scheduler.on_request(self.ticket(number, seconds), name, self.now)

    def ticket(self, number: int, seconds: float = 100) -> Ticket:
        return Ticket(number, 1000 + seconds)

    def release(self, number: int) -> list[Command]:
        return self.scheduler.on_released(self.ticket(number), self.now)

    def cancel(self, number: int) -> list[Command]:
        return self.scheduler.on_cancelled(self.ticket(number), self.now)

    def finish(self, work: Command, outcome: Done | Refused | Failed = Done()) -> list[Command]:  # noqa: B008
        assert isinstance(work, Start | Load | Unload)
        return self.scheduler.on_finished(work, outcome, self.now)

    def after(self, seconds: float) -> list[Command]:
        self.now += seconds
        return self.scheduler.on_time(self.now)


def in_group(max_loaded: int = 1, trigger: float | None = None, **more: Any) -> dict[str, Any]:
    """All three models in one group."""
    rules = {name: ModelRules(group="g") for name in "abc"} | more.pop("rules", {})
    return {"rules": rules, "groups": {"g": GroupRules(max_loaded, trigger)}, **more}
