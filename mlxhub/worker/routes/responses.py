"""POST /v1/responses."""

import time

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.protocol.openai.responses import ResponsesRequest
from mlxhub.protocol.openai.responses_answers import ResponseHead, new_id, whole_response
from mlxhub.protocol.openai.responses_events import ResponseWriter
from mlxhub.protocol.openai.responses_translation import PARAMETERS, chat_of_response
from mlxhub.protocol.parameters import ignored_header
from mlxhub.web.streams import EventStream, run_unless_disconnected
from mlxhub.worker.chat import chat_wanted, stream_answer, whole_answer
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.routes.bodies import read_model
from mlxhub.worker.routes.renamed import renamed


class ResponsesRoute:
    def __init__(self, service: ModelService) -> None:
        self._service = service

    async def post(self, request: Request) -> Response:
        asked = await read_model(request, ResponsesRequest)
        self._service.check_model(asked.model)
        with renamed(PARAMETERS):
            wanted = chat_wanted(chat_of_response(asked), self._service.settings, PARAMETERS)
        head = ResponseHead(new_id("resp"), int(time.time()), self._service.settings.name, asked)
        ignored = ignored_header(asked)
        if asked.stream:
            writer = ResponseWriter(head)
            return EventStream(
                stream_answer(self._service, wanted, writer),
                ignored,
                keepalive=writer.keepalive,
                error_event=writer.error,
            )
        answered = await run_unless_disconnected(request.receive, whole_answer(self._service, wanted))
        return Response(whole_response(head, answered), headers=ignored, media_type="application/json")
