"""The controller as a process: bind, serve, drain, end."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from loguru import logger

from mlxhub.controller.app import make_controller
from mlxhub.controller.collaborators import Collaborators
from mlxhub.controller.settings import ControllerSettings
from mlxhub.errors import PortHeld
from mlxhub.fleet.hub import Hub
from mlxhub.logs import configure_logs
from mlxhub.web.server import bind_socket, run, serve

# launchd starts us again, and whoever holds the port may be gone by then.
EXIT_TRY_AGAIN = 75
EXIT_BROKEN = 1
# Calls of launchctl wait for facts; those of many models must not wait for each other.
EDGE_THREADS = 32


def run_controller(settings: ControllerSettings, collaborators: Collaborators) -> int:
    """Serve until asked to stop; the exit code. Raises what `load_hub` does."""
    configure_logs(settings.log_level, settings.log_file)
    hub = collaborators.load_hub()
    try:
        sock = bind_socket(settings.host, settings.port)
    except PortHeld as error:
        logger.error("{}", error)
        return EXIT_TRY_AGAIN
    try:
        run(_serve(settings, hub, collaborators, sock))
    except Exception:  # noqa: BLE001  the top of the process
        logger.exception("The controller ends because of an unexpected error.")
        return EXIT_BROKEN
    logger.info("The controller ended. Its models serve on.")
    return 0


async def _serve(
    settings: ControllerSettings, hub: Hub, collaborators: Collaborators, sock: socket.socket
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(EDGE_THREADS, "edge"))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        controller = make_controller(settings, hub, collaborators, tasks, stop.set)
        running = tasks.create_task(controller.run())
        logger.info(
            "The controller begins at http://{}:{} with {} models.",
            settings.host,
            settings.port,
            len(hub.models),
        )
        await serve(
            controller.app,
            sock,
            begin_drain=controller.dispatcher.begin_drain,
            is_idle=lambda: controller.dispatcher.is_idle,
            end_rest=controller.dispatcher.end_leases,
            stop=stop,
        )
        controller.operations.cancel()
        running.cancel()
