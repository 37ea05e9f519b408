"""POST /v1/responses, and GET and DELETE of those that are kept."""

import asyncio
import time
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mlxhub.protocol.openai.responses import InputItem, ResponsesRequest
from mlxhub.protocol.openai.responses_answers import (
    JsonObject,
    ResponseHead,
    encode,
    new_id,
    whole_response,
)
from mlxhub.protocol.openai.responses_events import ResponseWriter
from mlxhub.protocol.openai.responses_items import input_items, read_items, written_items
from mlxhub.protocol.openai.responses_translation import PARAMETERS, chat_of_response
from mlxhub.protocol.parameters import ignored_header
from mlxhub.refusals import InvalidRequest, ResponseGone, UnknownResponse
from mlxhub.web.streams import EventStream, run_unless_disconnected
from mlxhub.worker.chat import chat_wanted, stream_answer, whole_answer
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.response_store import KeptResponse, ResponseStore
from mlxhub.worker.routes.bodies import read_model
from mlxhub.worker.routes.renamed import renamed


class ResponsesRoutes:
    def __init__(self, service: ModelService, store: ResponseStore) -> None:
        self._service = service
        self._store = store

    async def create(self, request: Request) -> Response:
        asked = await read_model(request, ResponsesRequest)
        self._service.check_model(asked.model)
        previous = self._previous(asked.previous_response_id)
        # Beside the event loop: it may be as long as all bodies that were sent for it together.
        earlier = () if previous is None else await asyncio.to_thread(_items, previous)
        with renamed(PARAMETERS):
            wanted = chat_wanted(chat_of_response(asked, earlier), self._service.settings, PARAMETERS)
        response_id = new_id("resp")
        keep = self._keeper(response_id, asked, previous) if self._is_to_keep(asked) else None
        head = ResponseHead(response_id, int(time.time()), self._service.settings.name, asked, keep)
        not_kept = ("store",) if asked.store and not self._store.is_on else ()
        not_offered = ("tools",) if asked.offers_other_tools else ()
        ignored = ignored_header(asked, *not_kept, *not_offered)
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

    async def get(self, request: Request) -> Response:
        if request.query_params.get("stream") == "true":
            raise InvalidRequest("stream: a response that is kept is told as a whole.", "stream")
        found = self._store.find(request.path_params["response_id"])
        if found is None:
            raise UnknownResponse(is_on=self._store.is_on)
        return Response(found.response, media_type="application/json")

    async def delete(self, request: Request) -> Response:
        response_id = request.path_params["response_id"]
        if not self._store.remove(response_id):
            raise UnknownResponse(is_on=self._store.is_on)
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})

    def _previous(self, response_id: str | None) -> KeptResponse | None:
        if response_id is None:
            return None
        if not self._store.is_on:
            raise InvalidRequest(
                "previous_response_id: this model keeps no responses. Send the whole conversation, "
                "or have `response_store: {entries: 1000}` set for the model in hub.yaml.",
                "previous_response_id",
            )
        found = self._store.find(response_id)
        if found is None:
            raise ResponseGone
        return found

    def _is_to_keep(self, asked: ResponsesRequest) -> bool:
        """As at OpenAI's, unless the request says otherwise."""
        return self._store.is_on and asked.store is not False

    def _keeper(
        self, response_id: str, asked: ResponsesRequest, previous: KeptResponse | None
    ) -> Callable[[JsonObject], bool]:
        items = written_items(input_items(asked.input))
        return lambda said: self._store.keep(KeptResponse(response_id, items, encode(said), previous))


def _items(previous: KeptResponse) -> Sequence[InputItem]:
    return [item for kept in previous.conversation for item in read_items(kept.input_items, kept.response)]
