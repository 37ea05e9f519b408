"""The routes for models as one worker has them: those of its model's type, and what it says at the others."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.protocol.model_routes import (
    CHAT,
    COMPLETIONS,
    COUNT_TOKENS,
    EDITS,
    EMBEDDINGS,
    FOR_MODELS,
    GENERATIONS,
    MESSAGES,
    RERANK,
    RESPONSES,
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    paths_of,
)
from mlxhub.refusals import WrongModelType
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.routes.audio import AudioRoutes
from mlxhub.worker.routes.chat import ChatRoute
from mlxhub.worker.routes.completions import CompletionRoute
from mlxhub.worker.routes.embeddings import EmbeddingRoutes
from mlxhub.worker.routes.images import ImageRoutes
from mlxhub.worker.routes.messages import MessagesRoutes
from mlxhub.worker.routes.responses import ResponsesRoutes

if TYPE_CHECKING:
    from mlxhub.worker.child_server import ChildServer

_Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def model_routes(
    service: ModelService, responses: ResponsesRoutes, images: ImageRoutes, child: "ChildServer | None"
) -> list[Route]:
    """`child`: who answers all of them for a model of type command."""
    if child is not None:
        from mlxhub.web.forwarding import Forwarder  # noqa: PLC0415 - no model of ours pays for it
        from mlxhub.worker.child_server import ChildLeases  # noqa: PLC0415 - likewise

        forwarder = Forwarder(ChildLeases(service, child, service.settings.upstream_model))
        return [Route(path, forwarder, methods=["POST"]) for path in sorted(FOR_MODELS)]
    messages, embeddings = MessagesRoutes(service), EmbeddingRoutes(service)
    audio = AudioRoutes(service)
    endpoints: dict[str, _Endpoint] = {
        CHAT: ChatRoute(service).post,
        COMPLETIONS: CompletionRoute(service).post,
        RESPONSES: responses.create,
        MESSAGES: messages.create,
        COUNT_TOKENS: messages.count_tokens,
        EMBEDDINGS: embeddings.embed,
        RERANK: embeddings.rank,
        TRANSCRIPTIONS: audio.transcribe,
        TRANSLATIONS: audio.translate,
        SPEECH: audio.speak,
        GENERATIONS: images.generate,
        EDITS: images.edit,
    }
    own = paths_of(service.model_type)
    elsewhere = _elsewhere(service, own)
    return [
        Route(path, endpoints[path] if path in own else elsewhere, methods=["POST"])
        for path in sorted(FOR_MODELS)
    ]


def _elsewhere(service: ModelService, own: tuple[str, ...]) -> _Endpoint:
    async def refuse(request: Request) -> Response:
        raise WrongModelType(service.settings.name, service.model_type, request.url.path, own)

    return refuse
