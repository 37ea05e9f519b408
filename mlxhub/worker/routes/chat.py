"""POST /v1/chat/completions."""

import time
import uuid

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.protocol.openai.answers import ChatWriter, Header, chat_completion
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.parameters import ignored_header
from mlxhub.web.streams import EventStream, run_unless_disconnected
from mlxhub.worker.chat import chat_wanted, stream_answer, whole_answer
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.routes.bodies import read_model


class ChatRoute:
    def __init__(self, service: ModelService) -> None:
        self._service = service

    async def post(self, request: Request) -> Response:
        chat = await read_model(request, ChatRequest)
        self._service.check_model(chat.model)
        wanted = chat_wanted(chat, self._service.settings)
        header = Header(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), self._service.settings.name)
        ignored = ignored_header(chat)
        if chat.stream:
            writer = ChatWriter(header, chat.answers, include_usage=chat.include_usage)
            return EventStream(stream_answer(self._service, wanted, writer), ignored)
        answered = await run_unless_disconnected(request.receive, whole_answer(self._service, wanted))
        return Response(chat_completion(header, answered), headers=ignored, media_type="application/json")
