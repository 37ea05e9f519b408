"""What models may take together: from hub.yaml to what workers are told, and whether one more may load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.memory import MemoryNeed
from mlxhub.core.sizes import parse_ceiling, parse_size
from mlxhub.errors import GroupFull, InsufficientMemory

Bytes = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """`idle_minutes`: of a member that then makes room for another; None: none does."""

    name: str
    max_loaded: Annotated[int, Field(ge=1)]
    idle_minutes: Annotated[float, Field(ge=0)] | None


@dataclass(frozen=True, slots=True)
class ModelLimit:
    """`group`: one that limits it. `reserved_bytes`: instead of what is estimated for it.

    `pinned`: it makes room for nobody.
    """

    group: str | None
    reserved_bytes: Bytes | None
    pinned: bool


@dataclass(frozen=True, slots=True)
class HubLimits:
    """`memory_bytes`: for all together; None: nobody said. No defaults: a file must say all of it."""

    memory_bytes: Bytes | None
    groups: tuple[GroupLimit, ...]
    models: Mapping[str, ModelLimit]

    def of(self, name: str) -> ModelLimit:
        return self.models.get(name, _UNLIMITED)

    def group_of(self, name: str) -> GroupLimit | None:
        return next((group for group in self.groups if group.name == self.of(name).group), None)

    def members(self, group: GroupLimit, names: Sequence[str]) -> list[str]:
        """Those of these that are in it."""
        return [name for name in names if self.of(name).group == group.name]


_UNLIMITED = ModelLimit(group=None, reserved_bytes=None, pinned=False)
NO_LIMITS = HubLimits(memory_bytes=None, groups=(), models={})


@dataclass(frozen=True, slots=True)
class Holder:
    """A model that is in memory, or on its way there. 0 bytes: what it needs is not known yet."""

    name: str
    reserved_bytes: int = 0


def make_limits(config: HubConfig, total_bytes: int) -> HubLimits:
    """`total_bytes`: the memory of this machine."""
    groups = {group.name for group in config.groups}
    return HubLimits(
        memory_bytes=parse_ceiling(config.memory_limit, total_bytes),
        groups=tuple(
            GroupLimit(group.name, group.max_loaded, group.idle_unload_trigger_min) for group in config.groups
        ),
        models={
            model.name: limit
            for model in config.models
            if (limit := _model_limit(model, groups)) != _UNLIMITED
        },
    )


def undefined_groups(config: HubConfig) -> list[str]:
    """A warning for each model of such a group: it is loaded as if it had none."""
    known = {group.name for group in config.groups}
    return [
        f'model "{model.name}": its group "{model.group}" is not defined under groups, so nothing limits it.'
        for model in config.models
        if model.group is not None and model.group not in known
    ]


def refuse_full_group(name: str, limits: HubLimits, loaded: Sequence[str]) -> None:
    """`loaded`: the others that are in memory. Raises GroupFull."""
    group = limits.group_of(name)
    if group is None:
        return
    inside = limits.members(group, loaded)
    if len(inside) >= group.max_loaded:
        raise GroupFull(name, group.name, group.max_loaded, tuple(inside))


def refuse_short_memory(
    name: str, size: int, need: MemoryNeed, limits: HubLimits, others: Sequence[Holder]
) -> None:
    """`size`: what would be reserved for it; `need`: how that was estimated. Raises InsufficientMemory."""
    limit = limits.memory_bytes
    if limit is None or sum(holder.reserved_bytes for holder in others) + size <= limit:
        return
    holders = {holder.name: holder.reserved_bytes for holder in others if holder.reserved_bytes}
    raise InsufficientMemory(name, size, limit, holders, _advice(size, need, limit))


def _advice(size: int, need: MemoryNeed, limit: int) -> str:
    if size <= limit:
        return "Unload another model first."
    if size != need.total_bytes:
        return "Its own memory_limit is larger than that of the hub: lower it."
    return need.advice(limit)


def _model_limit(model: ModelConfig, groups: set[str]) -> ModelLimit:
    return ModelLimit(
        group=model.group if model.group in groups else None,
        reserved_bytes=None if model.memory_limit is None else parse_size(model.memory_limit),
        pinned=model.pinned,
    )
