"""Alive is not healthy: notices an engine that neither finishes a step nor fails."""

import asyncio
from collections.abc import Callable

from loguru import logger

from mlxhub.worker.engine_thread import EngineThread

WEDGED_SECONDS = 30.0
LOOK_SECONDS = 5.0


async def watch_engine(
    thread: EngineThread,
    on_wedged: Callable[[str], None],
    *,
    wedged_seconds: float = WEDGED_SECONDS,
    look_seconds: float = LOOK_SECONDS,
) -> None:
    """Ends after it has raised the alarm once."""
    while thread.stalled_seconds < wedged_seconds:  # noqa: ASYNC110 - a hung thread sends no event
        await asyncio.sleep(look_seconds)
    logger.error("The engine has been at one step for {:g} s:\n{}", wedged_seconds, thread.stack())
    on_wedged(f"the engine has been at one step for {wedged_seconds:g} s.")
