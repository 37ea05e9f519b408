"""One model served at one port, until the worker is asked to stop or is broken."""

import asyncio

from loguru import logger

from mlxhub.core.config import WorkerSettings
from mlxhub.core.paths import RunFiles
from mlxhub.core.restarts import EXIT_TRY_AGAIN
from mlxhub.errors import PortHeld
from mlxhub.files.recorded_run import Ending
from mlxhub.web.server import bind_socket, run, serve
from mlxhub.worker.app import HOST, build_app
from mlxhub.worker.engines.engine import Engine
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions
from mlxhub.worker.model_service import ModelService


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
    service = ModelService(settings, _engine(settings), stop_process=stop.set, files=files)
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
    logger.info('The worker of "{}" ends: {}', settings.name, service.broken or "as requested")
    if not service.stopped_cleanly:
        # The interpreter would wait for the engine thread for ever.
        logger.error("The engine did not stop in time. The process ends without it.")
    return Ending(service.exit_code, service.broken, cleanly=service.stopped_cleanly)


def _engine(settings: WorkerSettings) -> Engine:
    match settings.model_type:
        case "lm":
            return _text_engine(settings)
        case "echo":
            from mlxhub.worker.engines.echo import (  # noqa: PLC0415 - no real model pays for it
                EchoEngine,
                EchoEngineOptions,
            )

            return EchoEngine(
                EchoEngineOptions(
                    name=settings.name,
                    model_path=settings.model_path,
                    max_concurrency=settings.max_concurrency,
                    context_length=settings.context_length,
                )
            )


def _text_engine(settings: WorkerSettings) -> TextEngine:
    return TextEngine(
        TextEngineOptions(
            name=settings.name,
            model_path=settings.model_path,
            max_concurrency=settings.max_concurrency,
            prefill=Prefill(settings.prefill_step, settings.prefill_step_shared),
            context_length=settings.context_length,
            trust_remote_code=settings.trust_remote_code,
            kept_prompts=settings.prompt_cache.entries,
            kept_bytes=settings.prompt_cache.bytes,
            stored_bytes=settings.prompt_cache.disk_bytes,
            stored_prompts=settings.stored_prompts,
            kv_bits=settings.kv_bits,
            draft_model=settings.draft_model,
            draft_tokens=settings.draft_tokens,
            adapter_path=settings.adapter_path,
            chat_template_file=settings.chat_template_file,
            tool_call_parser=settings.tool_call_parser,
            reasoning_parser=settings.reasoning_parser,
        )
    )
