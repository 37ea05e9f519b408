"""What hub.yaml says of models as far as it matters for who is in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlxhub.core.config import HubConfig
from mlxhub.core.limits import HubLimits


@dataclass(frozen=True, slots=True)
class ModelRules:
    """`jit`: a request may start and load it. `pinned`: nobody makes room by unloading it."""

    jit: bool = True
    pinned: bool = False
    group: str | None = None


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


def make_rules(config: HubConfig, limits: HubLimits) -> Rules:
    """`limits` as they are in force."""
    models = {
        model.name: ModelRules(
            jit=model.jit, pinned=limits.of(model.name).pinned, group=limits.of(model.name).group
        )
        for model in config.models
    }
    groups = {
        group.name: GroupRules(
            group.max_loaded, None if group.idle_minutes is None else group.idle_minutes * 60
        )
        for group in limits.groups
    }
    return Rules(models, groups, limits.memory_bytes)
