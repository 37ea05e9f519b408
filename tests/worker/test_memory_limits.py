"""What a worker has reserved is what MLX may take and keep while the model is loaded, and no longer."""

import mlx.core as mx
import pytest

from mlxhub.worker.engines.memory_limits import MemoryLimits
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions

RESERVED = 3_000_000_000


def cache_limit() -> int:
    """MLX tells it only when it is set."""
    limit = mx.set_cache_limit(0)
    mx.set_cache_limit(limit)
    return limit


def test_a_reservation_is_a_limit_from_load_to_unload() -> None:
    engine = TextEngine(TextEngineOptions("m", "builtin:demo", 2, Prefill(64, 64)))
    before = mx.get_memory_limit(), cache_limit()
    engine.load(RESERVED)
    assert (mx.get_memory_limit(), cache_limit()) == (RESERVED, RESERVED)
    engine.unload()
    assert (mx.get_memory_limit(), cache_limit()) == before


def test_where_nothing_is_reserved_mlx_keeps_its_own_limits() -> None:
    before = mx.get_memory_limit(), cache_limit()
    limits = MemoryLimits(0)
    assert (mx.get_memory_limit(), cache_limit()) == before
    limits.lift()
    assert (mx.get_memory_limit(), cache_limit()) == before


def test_lifted_twice_they_are_what_they_were() -> None:
    before = mx.get_memory_limit(), cache_limit()
    limits = MemoryLimits(RESERVED)
    limits.lift()
    limits.lift()
    assert (mx.get_memory_limit(), cache_limit()) == before


@pytest.mark.parametrize(("reserved", "wired"), [(0, 900), (500, 500), (1000, 900)])
def test_no_more_is_held_in_place_than_is_reserved_and_the_machine_recommends(
    monkeypatch: pytest.MonkeyPatch, reserved: int, wired: int
) -> None:
    """Only Metal has such a limit: here a record of what it would be told."""
    told: list[int] = [7]

    def set_wired_limit(limit: int) -> int:
        told.append(limit)
        return told[-2]

    monkeypatch.setattr(mx, "device_info", lambda: {"max_recommended_working_set_size": 900})
    monkeypatch.setattr(mx, "set_wired_limit", set_wired_limit)
    limits = MemoryLimits(reserved)
    assert told[1:] == [wired]
    set_wired_limit(900)
    limits.wire()
    assert told[-1] == wired
    limits.lift()
    assert told[-1] == 7
