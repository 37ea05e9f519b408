"""A worker's status in Prometheus' format. Label values come from the configuration only."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mlxhub.core.lifecycle import ModelState
from mlxhub.protocol.worker import WorkerStatus

__all__ = ["CONTENT_TYPE", "as_metrics"]


def as_metrics(status: WorkerStatus) -> bytes:
    registry = CollectorRegistry()
    registry.register(_StatusCollector(status))
    return generate_latest(registry)


class _StatusCollector(Collector):
    """Derived at each look: there is no second count of anything."""

    def __init__(self, status: WorkerStatus) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        now = self._status
        gauges = {
            "mlxhub_model_loaded": (
                "1 while the weights are in memory",
                now.model_status is ModelState.READY,
            ),
            "mlxhub_requests_in_flight": ("Requests being served or waiting", now.in_flight),
            "mlxhub_requests_queued": ("Requests waiting for a place in the batch", now.queued),
            "mlxhub_batch_rows": ("Rows decoding together", now.batch.rows),
            "mlxhub_prompt_cache_bytes": ("Memory of what is kept of prompts", now.prompt_cache.used_bytes),
            "mlxhub_memory_footprint_bytes": ("Memory of the process", now.memory.footprint_bytes),
            "mlxhub_memory_reserved_bytes": (
                "Memory reserved of the hub's memory_limit",
                now.reservation.reserved_bytes,
            ),
            "mlxhub_mlx_active_bytes": ("Memory MLX holds", now.memory.mlx_active_bytes),
            "mlxhub_mlx_peak_bytes": ("Most memory MLX held", now.memory.mlx_peak_bytes),
        }
        for name, (text, value) in gauges.items():
            yield _with_value(GaugeMetricFamily(name, text, labels=["model"]), now.name, value)
        for name, count in now.counters.model_dump().items():
            family = CounterMetricFamily(
                f"mlxhub_{name}", f"{name} since the process started", labels=["model"]
            )
            yield _with_value(family, now.name, count)


def _with_value(
    family: GaugeMetricFamily | CounterMetricFamily, model: str, value: float
) -> GaugeMetricFamily | CounterMetricFamily:
    family.add_metric([model], float(value))
    return family
