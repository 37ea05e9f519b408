"""GET /metrics."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.protocol.worker import WorkerStatus


class MetricsRoute:
    def __init__(self, status: Callable[[], WorkerStatus]) -> None:
        self._status = status

    async def get(self, _request: Request) -> Response:
        from mlxhub.worker.metrics import CONTENT_TYPE, as_metrics  # noqa: PLC0415 - no model that nobody scrapes pays

        return Response(as_metrics(self._status()), media_type=CONTENT_TYPE)
