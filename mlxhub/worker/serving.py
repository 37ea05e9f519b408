"""One model served at one port, until the worker is asked to stop or is broken."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from mlxhub.core.config import WorkerSettings
from mlxhub.core.model_type import ModelType
from mlxhub.core.paths import RunFiles
from mlxhub.core.restarts import EXIT_TRY_AGAIN
from mlxhub.errors import PortHeld
from mlxhub.files.huggingface import cache_directory
from mlxhub.files.recorded_run import Ending
from mlxhub.registry.extras import check_libraries
from mlxhub.registry.inference import infer_type
from mlxhub.registry.refused import IntakeRefused
from mlxhub.web.server import bind_socket, run, serve
from mlxhub.worker.app import HOST, build_app
from mlxhub.worker.choice import choose_engine
from mlxhub.worker.model_service import ModelService

if TYPE_CHECKING:
    from mlxhub.worker.child_server import ChildServer


def serve_model(settings: WorkerSettings, generation: str, files: RunFiles | None) -> Ending:
    """Until SIGTERM, or an end as of ModelService, or EXIT_TRY_AGAIN: a stranger holds the port.

    `files`: what tells of this process when it is gone.
    """
    try:
        sock = bind_socket(HOST, settings.port)
    except PortHeld as error:
        logger.error("{}", error)
        return Ending(EXIT_TRY_AGAIN, str(error))
    stop = asyncio.Event()
    settings = _with_type(settings)
    child = _child(
        settings,
        lambda reason: service.on_death(reason),  # noqa: PLW0108 - there is no service yet
    )
    service = ModelService(
        settings,
        choose_engine(settings, child),
        stop_process=stop.set,
        files=files,
        beside=lambda: 0 if child is None else child.memory_bytes,
    )
    try:
        check_libraries(service.model_type)
    except IntakeRefused as refused:
        # Also before anybody asks for a load, which says it again.
        logger.error('Model "{}" cannot be loaded: {}', settings.name, refused)
        service.residency.error = str(refused)
    logger.info('Model "{}" is served at http://{}:{}/v1', settings.name, HOST, settings.port)
    run(
        serve(
            build_app(service, generation, child),
            sock,
            begin_drain=service.begin_drain,
            is_idle=lambda: service.is_idle,
            end_rest=service.end_rest,
            stop=stop,
        )
    )
    logger.info('The worker of "{}" ends: {}', settings.name, service.broken or "as requested")
    if not service.stopped_cleanly:
        # The interpreter would wait for the engine thread for ever.
        logger.error("The engine did not stop in time. The process ends without it.")
    return Ending(service.exit_code, service.broken, cleanly=service.stopped_cleanly)


def _child(settings: WorkerSettings, on_death: Callable[[str], None]) -> "ChildServer | None":
    """None: the model is served by an engine of ours."""
    if settings.model_type is not ModelType.COMMAND:
        return None
    from mlxhub.worker.child_server import ChildServer  # noqa: PLC0415 - no model of ours pays for it

    return ChildServer(settings.command, settings.health_path, on_death)


def _with_type(settings: WorkerSettings) -> WorkerSettings:
    """As hub.yaml says, or as its files tell; a text model where nobody can."""
    if settings.model_type is not None:
        return settings
    if settings.model_path is None:
        return settings.model_copy(update={"model_type": ModelType.COMMAND})
    found = infer_type(settings.model_path, cache_directory(os.environ, Path.home()))
    if found is not None and found is not ModelType.LM:
        logger.info('Model "{}" is of type {}, as its files tell.', settings.name, found)
    return settings.model_copy(update={"model_type": found or ModelType.LM})
