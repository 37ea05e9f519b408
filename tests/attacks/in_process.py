"""The guard and the protocol of both programs around an app that says yes to everything, on a real socket."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from mlxhub.controller import access as controller_access
from mlxhub.controller.sessions import Sessions
from mlxhub.core.access import Policy, own_names
from mlxhub.core.config import WorkerSettings
from mlxhub.files.keys import current_key, make_keys
from mlxhub.web.guard import Guard
from mlxhub.web.protocol import LIMITS, Limits
from mlxhub.web.request_id import RequestIdMiddleware
from mlxhub.web.responses import UnexpectedErrors
from mlxhub.web.server import bind_socket, run, serve
from mlxhub.worker import access as worker_access
from tests.attacks.place import Place, Program

STORY_SECONDS = 60


def play(
    program: Program,
    directory: Path,
    story: Callable[[Place], None],
    *,
    keys_required: bool = False,
    limits: Limits = LIMITS,
    app: ASGIApp | None = None,
) -> None:
    """Run `story`, which may block, while a server answers. `directory` is for its keys."""
    make_keys(directory)

    async def tell() -> None:
        sock = bind_socket("127.0.0.1", 0)
        port: int = sock.getsockname()[1]
        keys = (current_key(directory, which) for which in ("api", "admin", "worker"))
        place = Place(program, port, *keys, keys_required=keys_required)
        stop = asyncio.Event()
        async with asyncio.timeout(STORY_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(
                serve(
                    RequestIdMiddleware(UnexpectedErrors(_guard(program, directory, place, app or say_yes))),
                    sock,
                    begin_drain=lambda: None,
                    is_idle=lambda: True,
                    limits=limits,
                    stop=stop,
                )
            )
            try:
                await asyncio.to_thread(story, place)
            finally:
                stop.set()

    run(tell())


def _guard(program: Program, directory: Path, place: Place, app: ASGIApp) -> Guard:
    policy = Policy(own_names("127.0.0.1", place.port), place.keys_required)
    if program is Program.CONTROLLER:
        table = controller_access.TABLE
        authenticate = controller_access.authenticator(directory, Sessions(time.monotonic))
    else:
        table = worker_access.TABLE
        settings = WorkerSettings(name="demo", model_path="x", port=place.port, keys=str(directory))
        authenticate = worker_access.authenticator(settings)
    return Guard(app, table=table, policy=lambda: policy, authenticate=authenticate)


async def say_yes(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    assert scope["type"] == "http", scope["type"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
