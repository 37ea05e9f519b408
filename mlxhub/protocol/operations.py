"""What both programs' OpenAPI documents say of the routes for models; the controller hands them on."""

from collections.abc import Mapping

from mlxhub.protocol.anthropic.documented import AnsweredMessage, TokenCount
from mlxhub.protocol.anthropic.errors import AnthropicError
from mlxhub.protocol.anthropic.messages import Conversation, MessagesRequest
from mlxhub.protocol.model_routes import (
    CHAT,
    COMPLETIONS,
    COUNT_TOKENS,
    EDITS,
    EMBEDDINGS,
    GENERATIONS,
    MESSAGES,
    RERANK,
    RESPONSES,
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
)
from mlxhub.protocol.openai.audio import (
    AnyTranscription,
    SpeechRequest,
    TranscriptionForm,
    TranslationForm,
)
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.openai.completions import CompletionRequest
from mlxhub.protocol.openai.documented import ChatCompletion, TextCompletion
from mlxhub.protocol.openai.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from mlxhub.protocol.openai.images import EditsForm, GenerationsRequest, Images
from mlxhub.protocol.openai.responses import ResponsesRequest
from mlxhub.protocol.openai.responses_documented import AnsweredResponse
from mlxhub.protocol.openapi import Operation
from mlxhub.protocol.rerank import RerankAnswer, RerankRequest

MODEL_OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", CHAT): Operation("Chat.", ChatCompletion, asks=ChatRequest),
    ("POST", COMPLETIONS): Operation("Continue texts.", TextCompletion, asks=CompletionRequest),
    ("POST", RESPONSES): Operation("Chat, as items.", AnsweredResponse, asks=ResponsesRequest),
    ("POST", MESSAGES): Operation(
        "Chat, as Anthropic's clients do.",
        AnsweredMessage,
        asks=MessagesRequest,
        error=AnthropicError,
    ),
    ("POST", COUNT_TOKENS): Operation(
        "How long a prompt is. Loads the model.", TokenCount, asks=Conversation, error=AnthropicError
    ),
    ("POST", EMBEDDINGS): Operation("Texts as vectors.", EmbeddingsAnswer, asks=EmbeddingsRequest),
    ("POST", TRANSCRIPTIONS): Operation(
        "What is said in a recording.",
        AnyTranscription,
        asks=TranscriptionForm,
        also=("text/plain", "text/vtt"),
    ),
    ("POST", TRANSLATIONS): Operation(
        "The same in English.", AnyTranscription, asks=TranslationForm, also=("text/plain", "text/vtt")
    ),
    ("POST", SPEECH): Operation("A text, spoken.", "audio/*", asks=SpeechRequest),
    ("POST", GENERATIONS): Operation("Draw.", Images, asks=GenerationsRequest),
    ("POST", EDITS): Operation("Change a picture.", Images, asks=EditsForm),
    ("POST", RERANK): Operation("Which documents answer best.", RerankAnswer, asks=RerankRequest),
}
