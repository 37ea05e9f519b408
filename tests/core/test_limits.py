"""Whether one more model may be loaded, and from what in hub.yaml that follows."""

import pytest

from mlxhub.core.config import parse_config
from mlxhub.core.limits import (
    NO_LIMITS,
    GroupLimit,
    Holder,
    HubLimits,
    ModelLimit,
    make_limits,
    refuse_full_group,
    refuse_short_memory,
    undefined_groups,
)
from mlxhub.core.memory import PROCESS_BYTES, MemoryNeed
from mlxhub.errors import GroupFull, InsufficientMemory

HUB = parse_config(
    "memory_limit: 50%\n"
    "groups:\n  - {name: large, max_loaded: 1}\n"
    "models:\n"
    "  - {name: a, model_path: x, group: large}\n"
    "  - {name: b, model_path: x, group: large, memory_limit: 2GB}\n"
    "  - {name: c, model_path: x, group: unknown}\n"
)
LIMITS = HubLimits(
    memory_bytes=5_000_000_000,
    groups=(GroupLimit("large", 1, None),),
    models={
        "a": ModelLimit("large", None, pinned=False),
        "b": ModelLimit("large", 2_000_000_000, pinned=False),
    },
)
NEED = MemoryNeed(
    weights_bytes=3_000_000_000 - PROCESS_BYTES, row_bytes=0, rows=1, context_tokens=9, kept_bytes=0
)


def test_limits_are_what_hub_yaml_says_on_a_machine_of_some_size() -> None:
    assert make_limits(HUB, total_bytes=10_000_000_000) == LIMITS


def test_a_group_that_is_not_defined_is_a_warning_and_limits_nothing() -> None:
    assert undefined_groups(HUB) == [
        'model "c": its group "unknown" is not defined under groups, so nothing limits it.'
    ]
    refuse_full_group("c", LIMITS, ["a", "b", "d"])


def test_a_full_group_names_who_is_in_memory() -> None:
    refuse_full_group("a", LIMITS, ["c", "stranger"])
    with pytest.raises(GroupFull) as full:
        refuse_full_group("a", LIMITS, ["b", "c"])
    assert str(full.value) == (
        'Model "a" is not loaded now: of its group "large" at most 1 may be in memory, and there is: b. '
        "Unload one of them first."
    )


def test_memory_may_be_reserved_to_the_last_byte() -> None:
    refuse_short_memory("a", 3_000_000_000, NEED, LIMITS, [Holder("b", 2_000_000_000)])
    with pytest.raises(InsufficientMemory) as short:
        refuse_short_memory("a", 3_000_000_001, NEED, LIMITS, [Holder("b", 2_000_000_000), Holder("new")])
    assert str(short.value) == (
        'Model "a" is not loaded now: it needs 3.0 GB of memory, and of the 5.0 GB that memory_limit allows '
        "3.0 GB are free (held by: b 2.0 GB). Unload another model first."
    )


def test_a_model_that_never_fits_is_told_why() -> None:
    limits = HubLimits(1_000_000_000, (), {})
    with pytest.raises(InsufficientMemory, match="use a smaller quantisation"):
        refuse_short_memory("a", NEED.total_bytes, NEED, limits, [])
    with pytest.raises(InsufficientMemory, match="Its own memory_limit is larger than that of the hub"):
        refuse_short_memory("a", 1_000_000_001, NEED, limits, [])


def test_nothing_limits_a_worker_without_a_hub() -> None:
    refuse_full_group("a", NO_LIMITS, ["b"])
    refuse_short_memory("a", 10**15, NEED, NO_LIMITS, [Holder("b", 10**15)])
