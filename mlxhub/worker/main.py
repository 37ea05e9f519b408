"""The worker's process: from settings to an exit code."""

import asyncio
import os
import resource
from pathlib import Path

from loguru import logger

from mlxhub.core.config import WorkerSettings
from mlxhub.errors import PortHeld
from mlxhub.logs import configure_logs
from mlxhub.web.server import bind_socket, run, serve
from mlxhub.worker.app import build_app
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions
from mlxhub.worker.model_service import ModelService

HOST = "127.0.0.1"
EXIT_OK = 0
EXIT_BROKEN = 70
EXIT_TRY_AGAIN = 75
OPEN_FILES = 8192


def run_worker(settings: WorkerSettings, generation: str) -> int:
    """Serve one model until SIGTERM. EXIT_TRY_AGAIN: a stranger holds the port. EXIT_BROKEN: replace me."""
    os.umask(0o077)
    # A worker reads local files only, whatever a model's configuration asks for.
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    _allow_open_files()
    configure_logs(settings.log_level, Path(settings.log_file) if settings.log_file else None)
    try:
        sock = bind_socket(HOST, settings.port)
    except PortHeld as error:
        logger.error("{}", error)
        return EXIT_TRY_AGAIN
    stop = asyncio.Event()
    service = ModelService(settings, _engine(settings), stop_process=stop.set)
    logger.info('Model "{}" is served at http://{}:{}/v1', settings.name, HOST, settings.port)
    run(
        serve(
            build_app(service, generation),
            sock,
            begin_drain=service.begin_drain,
            is_idle=lambda: service.is_idle,
            end_rest=service.end_rest,
            stop=stop,
        )
    )
    code = EXIT_OK if service.broken is None else EXIT_BROKEN
    logger.info('The worker of "{}" ends: {}', settings.name, service.broken or "as requested")
    if not service.stopped_cleanly:
        # The interpreter would wait for the engine thread for ever.
        logger.error("The engine did not stop in time. The process ends without it.")
        os._exit(code)
    return code


def _engine(settings: WorkerSettings) -> TextEngine:
    return TextEngine(
        TextEngineOptions(
            name=settings.name,
            model_path=settings.model_path,
            max_concurrency=settings.max_concurrency,
            prefill_step=settings.prefill_step,
            context_length=settings.context_length,
        )
    )


def _allow_open_files() -> None:
    """macOS starts agents with 256, which eight streams and a model's shards can exhaust."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
