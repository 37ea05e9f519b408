"""POST /v1/messages and /v1/messages/count_tokens: Anthropic's API."""

import uuid

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.protocol.anthropic.answers import PING, MessageWriter, token_count, whole_message
from mlxhub.protocol.anthropic.errors import anthropic_error_event
from mlxhub.protocol.anthropic.messages import Conversation, MessagesRequest
from mlxhub.protocol.anthropic.translation import PARAMETERS, chat_of_conversation, chat_of_messages
from mlxhub.protocol.parameters import ignored_header
from mlxhub.web.request_id import request_id
from mlxhub.web.streams import EventStream, run_unless_disconnected
from mlxhub.worker.chat import chat_wanted, stream_answer, whole_answer
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.routes.bodies import read_model
from mlxhub.worker.routes.renamed import renamed


class MessagesRoutes:
    def __init__(self, service: ModelService) -> None:
        self._service = service

    async def create(self, request: Request) -> Response:
        asked = await read_model(request, MessagesRequest)
        self._service.check_model(asked.model)
        with renamed(PARAMETERS):
            wanted = chat_wanted(chat_of_messages(asked), self._service.settings, PARAMETERS)
        message_id, model = f"msg_{uuid.uuid4().hex}", self._service.settings.name
        ignored = ignored_header(asked)
        if asked.stream:
            identity = request_id(request.scope)
            return EventStream(
                stream_answer(self._service, wanted, MessageWriter(message_id, model)),
                ignored,
                keepalive=lambda: PING,
                error_event=lambda error: anthropic_error_event(error, identity),
            )
        answered = await run_unless_disconnected(request.receive, whole_answer(self._service, wanted))
        return Response(
            whole_message(message_id, model, answered), headers=ignored, media_type="application/json"
        )

    async def count_tokens(self, request: Request) -> Response:
        """Of a conversation as it stands, also where it ends with the assistant."""
        asked = await read_model(request, Conversation)
        self._service.check_model(asked.model)
        with renamed(PARAMETERS):
            wanted = chat_wanted(chat_of_conversation(asked), self._service.settings, PARAMETERS)
            counting = self._service.count_tokens(wanted.request)
            tokens = await run_unless_disconnected(request.receive, counting)
        return Response(token_count(tokens), headers=ignored_header(asked), media_type="application/json")
