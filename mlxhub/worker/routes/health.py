"""GET /health, /livez, /readyz, /status: answered while alive, never counted as use."""

import os
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mlxhub.protocol.worker import (
    BatchStatus,
    MemoryStatus,
    ProgressStatus,
    PromptCacheStatus,
    ReservationStatus,
    WorkerStatus,
)
from mlxhub.worker.engines.engine import EngineLoad
from mlxhub.worker.model_service import ModelService


class HealthRoutes:
    def __init__(self, service: ModelService, generation: str) -> None:
        self._service = service
        self._generation = generation
        self._started = time.monotonic()

    async def health(self, _request: Request) -> Response:
        service = self._service
        fault = self._fault() or ("draining" if service.draining else None)
        said = {"status": fault or "ok", "model_status": service.state, "model": service.settings.name}
        return JSONResponse(said, 200 if fault is None else 503)

    async def live(self, _request: Request) -> Response:
        fault = self._fault()
        return JSONResponse({"status": fault or "ok"}, 200 if fault is None else 503)

    async def ready(self, _request: Request) -> Response:
        ready = self._service.can_serve and self._fault() is None
        return JSONResponse({"status": "ok" if ready else "not ready"}, 200 if ready else 503)

    async def status(self, _request: Request) -> Response:
        return Response(self.now().model_dump_json(), media_type="application/json")

    def now(self) -> WorkerStatus:
        service = self._service
        settings, residency = service.settings, service.residency
        measured = service.thread.measured
        return WorkerStatus(
            name=settings.name,
            pid=os.getpid(),
            generation=self._generation,
            model_path=settings.model_path,
            model_type=service.model_type,
            model_status=service.state,
            error=residency.error,
            context_length=residency.model.context_length if residency.model else settings.context_length,
            in_flight=service.in_flight,
            queued=max(0, service.rows - measured.rows),
            batch=self._batch(),
            prompt_cache=PromptCacheStatus(entries=measured.kept_prompts, used_bytes=measured.kept_bytes),
            memory=MemoryStatus(
                footprint_bytes=service.footprint.now(),
                peak_bytes=service.footprint.peak_bytes,
                mlx_active_bytes=measured.active_bytes,
                mlx_peak_bytes=measured.peak_bytes,
            ),
            reservation=ReservationStatus(
                has_seat=residency.admission.has_seat,
                reserved_bytes=residency.admission.reserved_bytes,
                needed_bytes=residency.admission.needed_bytes,
                is_waiting=residency.admission.is_waiting,
            ),
            progress=_progress(measured),
            counters=service.counters,
            uptime_seconds=time.monotonic() - self._started,
            load_seconds=residency.load_seconds,
            load_retry_in_seconds=residency.retry_in_seconds,
            idle_seconds=service.idle_seconds,
            unload_in_seconds=service.unload_in_seconds,
            draining=service.draining,
            trust_remote_code=settings.trust_remote_code,
        )

    def _batch(self) -> BatchStatus:
        model, measured = self._service.residency.model, self._service.thread.measured
        return BatchStatus(
            rows=measured.rows,
            max_rows=self._service.max_rows,
            peak_rows=measured.peak_rows,
            one_at_a_time=None if model is None else model.why_one_at_a_time,
        )

    def _fault(self) -> str | None:
        service = self._service
        if service.broken is not None or not service.thread.is_alive:
            return "broken"
        return "wedged" if service.watchdog.is_wedged else None


def _progress(measured: EngineLoad) -> ProgressStatus | None:
    if not measured.total_steps:
        return None
    return ProgressStatus(done_steps=measured.done_steps, total_steps=measured.total_steps)
