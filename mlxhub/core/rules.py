"""What hub.yaml says of models as far as it matters for who is in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mlxhub.core.config import ModelConfig
from mlxhub.core.limits import HubLimits


@dataclass(frozen=True, slots=True)
class ModelRules:
    """`jit`: a request may start and load it. `pinned`: nobody makes room by unloading it.

    `most_waiting`: so many requests may wait for it.
    """

    jit: bool = True
    pinned: bool = False
    group: str | None = None
    most_waiting: int = 1000


@dataclass(frozen=True, slots=True)
class GroupRules:
    """At most `max_loaded` of its members may be in memory.

    `idle_trigger_seconds`: so long nobody who wants in can make a member go that is in use. None: for ever.
    """

    max_loaded: int
    idle_trigger_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """`models` by name. A group that is named and not defined has no limit; nor has memory without one."""

    models: Mapping[str, ModelRules] = field(default_factory=dict)
    groups: Mapping[str, GroupRules] = field(default_factory=dict)
    memory_limit_bytes: int | None = None


def make_rules(models: Iterable[ModelConfig], limits: HubLimits) -> Rules:
    """`limits` as they are in force."""
    rules = {
        model.name: ModelRules(
            jit=model.jit,
            pinned=limits.of(model.name).pinned,
            group=limits.of(model.name).group,
            most_waiting=model.max_concurrency + model.queue_size,
        )
        for model in models
    }
    groups = {
        group.name: GroupRules(
            group.max_loaded, None if group.idle_minutes is None else group.idle_minutes * 60
        )
        for group in limits.groups
    }
    return Rules(rules, groups, limits.memory_bytes)
