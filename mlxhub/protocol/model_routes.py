"""The routes for models, and which types of models each is for: the one table of both programs."""

from dataclasses import dataclass

from mlxhub.core.access import Body, Need, Route
from mlxhub.core.model_type import ModelType

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"
RERANK = "/v1/rerank"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
SPEECH = "/v1/audio/speech"
GENERATIONS = "/v1/images/generations"
EDITS = "/v1/images/edits"

_TEXT = (ModelType.LM, ModelType.MULTIMODAL, ModelType.ECHO)


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """A POST. `types`: of the models that answer there; a command may be one that does, at any of them.

    `streams`: where the request says `stream: true`.
    """

    path: str
    types: tuple[ModelType, ...]
    body: Body = Body.JSON
    streams: bool = False


_ROUTES = (
    ModelRoute(CHAT, _TEXT, streams=True),
    ModelRoute(COMPLETIONS, _TEXT, streams=True),
    ModelRoute(RESPONSES, _TEXT, streams=True),
    ModelRoute(MESSAGES, _TEXT, streams=True),
    ModelRoute(COUNT_TOKENS, _TEXT),
    ModelRoute(EMBEDDINGS, (ModelType.EMBEDDINGS,)),
    ModelRoute(RERANK, (ModelType.EMBEDDINGS,)),
    ModelRoute(TRANSCRIPTIONS, (ModelType.WHISPER,), Body.FORM, streams=True),
    ModelRoute(TRANSLATIONS, (ModelType.WHISPER,), Body.FORM),
    ModelRoute(SPEECH, (ModelType.WHISPER,)),
    ModelRoute(GENERATIONS, (ModelType.IMAGE_GENERATION,), streams=True),
    ModelRoute(EDITS, (ModelType.IMAGE_EDIT,), Body.FORM, streams=True),
)
# What the controller hands on to the model that the body names.
FOR_MODELS = frozenset(route.path for route in _ROUTES)
FORMS = frozenset(route.path for route in _ROUTES if route.body is Body.FORM)
STREAMED = frozenset(route.path for route in _ROUTES if route.streams)
ACCESS = tuple(Route("POST", route.path, Need.API_WHERE_REQUIRED, route.body) for route in _ROUTES)


def paths_of(model_type: ModelType) -> tuple[str, ...]:
    """Where models of this type answer."""
    if model_type is ModelType.COMMAND:
        return tuple(route.path for route in _ROUTES)
    return tuple(route.path for route in _ROUTES if model_type in route.types)
