"""What an engine has of the device's memory, from a load to the next unload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlxhub.worker.engines.engine import EngineLoad
from mlxhub.worker.engines.open_files import kept_open_files

if TYPE_CHECKING:
    from mlxhub.worker.engines.memory_limits import MemoryLimits


class DeviceMemory:
    """MLX is imported by the first use: a worker that has nothing loaded does not pay for it."""

    def __init__(self) -> None:
        # From the first load on; then it tells the truth also of what an unload left behind.
        self._is_used = False
        self._limits: MemoryLimits | None = None

    def limit(self, reserved_bytes: int) -> MemoryLimits:
        """As of MemoryLimits, until `release`."""
        with kept_open_files():
            from mlxhub.worker.engines.memory_limits import MemoryLimits  # noqa: PLC0415 - imports MLX

        self._is_used = True
        self._limits = limits = MemoryLimits(reserved_bytes)
        return limits

    def release(self) -> None:
        """Once the last reference to what was loaded is gone."""
        if not self._is_used:
            return
        from mlxhub.worker.engines import device  # noqa: PLC0415 - imported already

        device.finish_device_work()
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.lift()
        device.release_memory()

    def measured(self, rows: int, peak_rows: int, kept_prompts: int = 0, kept_bytes: int = 0) -> EngineLoad:
        if not self._is_used:
            return EngineLoad()
        from mlxhub.worker.engines import device  # noqa: PLC0415 - imported already

        active, peak = device.memory_bytes()
        return EngineLoad(rows, peak_rows, kept_prompts, kept_bytes, active, peak)
