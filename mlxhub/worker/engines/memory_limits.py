"""How much memory MLX takes, keeps for later and holds in place: what its worker has reserved."""

import mlx.core as mx


class MemoryLimits:
    """From the load until `lift`. `reserved_bytes` 0: nobody counts, and MLX's own limits stay.

    Over them MLX gives back what it keeps for later, and waits for what is being computed, but refuses
    nothing. What is held in place cannot be paged out; only Metal does so.
    """

    def __init__(self, reserved_bytes: int) -> None:
        self._memory: int | None = None
        self._cache: int | None = None
        if reserved_bytes:
            self._memory = mx.set_memory_limit(reserved_bytes)
            self._cache = mx.set_cache_limit(reserved_bytes)
        recommended = mx.device_info().get("max_recommended_working_set_size")
        self._wired = (
            min(recommended, reserved_bytes or recommended) if isinstance(recommended, int) else None
        )
        self._unwired = None if self._wired is None else mx.set_wired_limit(self._wired)

    def wire(self) -> None:
        """Again, after mlx-lm has wired all that this machine recommends. Not while anything is computed."""
        if self._wired is not None:
            mx.set_wired_limit(self._wired)

    def lift(self) -> None:
        """Once what is computed is done. A second time changes nothing."""
        memory, self._memory = self._memory, None
        cache, self._cache = self._cache, None
        unwired, self._unwired = self._unwired, None
        if memory is not None:
            mx.set_memory_limit(memory)
        if cache is not None:
            mx.set_cache_limit(cache)
        if unwired is not None:
            mx.set_wired_limit(unwired)
