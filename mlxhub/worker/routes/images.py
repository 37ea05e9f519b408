"""POST /v1/images/generations and /edits, and GET of what was drawn."""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.core.access import base_url
from mlxhub.protocol.model_routes import EDITS
from mlxhub.protocol.openai.images import (
    AnsweredImage,
    DrawingFields,
    EditsForm,
    GenerationsRequest,
    Images,
    completed_event,
    progress_event,
)
from mlxhub.protocol.parameters import ignored_header
from mlxhub.refusals import ImageGone
from mlxhub.web.streams import EventStream, run_unless_disconnected
from mlxhub.worker.engines.image_requests import Drawing, DrawingRequest, Drawn
from mlxhub.worker.image_store import ImageStore
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.routes.bodies import read_form_model, read_model


class ImageRoutes:
    """`host`: where this worker is reached."""

    def __init__(self, service: ModelService, store: ImageStore, host: str) -> None:
        self._service = service
        self._store = store
        self._host = host

    async def generate(self, request: Request) -> Response:
        asked = await read_model(request, GenerationsRequest)
        self._service.check_model(asked.model)
        return await self._answer(request, asked, _drawing(asked))

    async def edit(self, request: Request) -> Response:
        asked = await read_form_model(request, EditsForm)
        self._service.check_model(asked.model)
        return await self._answer(request, asked, _drawing(asked, asked.image, asked.strength))

    async def get(self, request: Request) -> Response:
        image = await asyncio.to_thread(
            self._store.find, request.path_params["image_id"].removesuffix(".png")
        )
        if image is None:
            raise ImageGone
        return Response(image, media_type="image/png")

    async def _answer(self, request: Request, asked: DrawingFields, wanted: DrawingRequest) -> Response:
        headers = ignored_header(asked)
        by_url = asked.response_format == "url"
        if asked.stream:
            kind = "image_edit" if request.url.path == EDITS else "image_generation"
            return EventStream(self._events(wanted, kind, by_url=by_url), headers)
        drawn = await run_unless_disconnected(request.receive, self._drawn(wanted))
        images = Images(
            created=int(time.time()),
            data=[await self._image(each, by_url=by_url) for each in drawn],
            size=_size(drawn[0]),
        )
        body = images.model_dump_json(exclude_none=True)
        return Response(body, headers=headers, media_type="application/json")

    async def _drawn(self, wanted: DrawingRequest) -> list[Drawn]:
        drawn: list[Drawn] = []
        async with self._service.generate([wanted]) as generation:
            while generation.has_more:
                drawn += [delta for delta in await generation.take() if isinstance(delta, Drawn)]
        return drawn

    async def _events(
        self, wanted: DrawingRequest, kind: str, *, by_url: bool
    ) -> AsyncGenerator[bytes, None]:
        async with self._service.generate([wanted]) as generation:
            while generation.has_more:
                for delta in await generation.take():
                    match delta:
                        case Drawing(index=index, step=step, steps=steps):
                            yield progress_event(kind, index, step, steps)
                        case Drawn(index=index):
                            image = await self._image(delta, by_url=by_url)
                            yield completed_event(kind, index, image, int(time.time()), _size(delta))

    async def _image(self, drawn: Drawn, *, by_url: bool) -> AnsweredImage:
        if by_url:
            image_id = await asyncio.to_thread(self._store.keep, drawn.png)
            at = base_url(self._host, self._service.settings.port)
            return AnsweredImage(url=f"{at}/v1/images/files/{image_id}.png", seed=drawn.seed)
        return AnsweredImage(b64_json=base64.b64encode(drawn.png).decode(), seed=drawn.seed)


def _drawing(
    asked: DrawingFields, source: bytes | None = None, strength: float | None = None
) -> DrawingRequest:
    width, height = asked.sides or (None, None)
    return DrawingRequest(
        asked.prompt,
        # Who names none gets to know which it was.
        secrets.randbelow(1 << 32) if asked.seed is None else asked.seed,
        asked.n or 1,
        width,
        height,
        asked.steps,
        asked.guidance,
        asked.negative_prompt,
        strength,
        source,
    )


def _size(drawn: Drawn) -> str:
    return f"{drawn.width}x{drawn.height}"
