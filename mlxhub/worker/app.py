"""The worker's ASGI application: routes around one ModelService."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from mlxhub.web.guard import Guard
from mlxhub.web.request_id import RequestIdMiddleware
from mlxhub.web.responses import UnexpectedErrors, install_error_handlers
from mlxhub.worker.access import TABLE, access_policy, authenticator
from mlxhub.worker.image_store import ImageStore
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.response_store import ResponseStore
from mlxhub.worker.routes.admin import AdminRoutes
from mlxhub.worker.routes.health import HealthRoutes
from mlxhub.worker.routes.identity import IdentityRoute
from mlxhub.worker.routes.images import ImageRoutes
from mlxhub.worker.routes.metrics import MetricsRoute
from mlxhub.worker.routes.model_routes import model_routes
from mlxhub.worker.routes.models import ModelRoutes
from mlxhub.worker.routes.responses import ResponsesRoutes

if TYPE_CHECKING:
    from mlxhub.worker.child_server import ChildServer

HOST = "127.0.0.1"


def build_app(service: ModelService, generation: str, child: "ChildServer | None" = None) -> Starlette:
    """`child`: who serves a model of type command."""
    health = HealthRoutes(service, generation)
    admin = AdminRoutes(service, health)
    models = ModelRoutes(service)
    settings = service.settings
    kept = settings.response_store
    responses = ResponsesRoutes(service, ResponseStore(kept.entries, kept.bytes))
    images_kept = ImageStore(None if settings.kept_images is None else Path(settings.kept_images))
    images = ImageRoutes(service, images_kept, HOST)
    policy = access_policy(settings, HOST)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with service.running():
            yield
            if child is not None:
                child.give_up()
        await asyncio.to_thread(images_kept.close)

    app = Starlette(
        routes=[
            Route("/health", health.health),
            Route("/livez", health.live),
            Route("/readyz", health.ready),
            Route("/identity/{nonce}", IdentityRoute(settings).get),
            Route("/status", health.status),
            Route("/metrics", MetricsRoute(health.now).get),
            Route("/load", admin.load, methods=["POST"]),
            Route("/unload", admin.unload, methods=["POST"]),
            Route("/v1/models", models.list),
            Route("/v1/models/{model_id:path}", models.get),
            *model_routes(service, responses, images, child),
            Route("/v1/images/files/{image_id}", images.get),
            Route("/v1/responses/{response_id}", responses.get),
            Route("/v1/responses/{response_id}", responses.delete, methods=["DELETE"]),
        ],
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(UnexpectedErrors),
            Middleware(Guard, table=TABLE, policy=lambda: policy, authenticate=authenticator(settings)),
        ],
        lifespan=lifespan,
    )
    install_error_handlers(app)
    return app
