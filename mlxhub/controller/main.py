"""The controller as a process: bind, serve, drain, end."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from loguru import logger

from mlxhub.controller.app import make_controller
from mlxhub.controller.collaborators import Collaborators, FirstHub
from mlxhub.controller.settings import ControllerSettings
from mlxhub.core.access import is_loopback
from mlxhub.core.config import ApiKey
from mlxhub.core.restarts import EXIT_TRY_AGAIN
from mlxhub.errors import OpenAddress, PortHeld
from mlxhub.files.owner_socket import bind_owner_socket
from mlxhub.logs import configure_logs
from mlxhub.web.server import bind_socket, run, serve

EXIT_BROKEN = 1
# Calls of launchctl wait for facts; those of many models must not wait for each other.
EDGE_THREADS = 32


def refuse_open_address(settings: ControllerSettings, api_key: ApiKey) -> None:
    """Before anything is bound. Raises OpenAddress."""
    if api_key != "required" and not is_loopback(settings.host):
        raise OpenAddress(settings.host)


def run_controller(settings: ControllerSettings, collaborators: Collaborators) -> int:
    """Serve until asked to stop; the exit code. Raises what `begin` does."""
    configure_logs(settings.log_level, settings.log_file)
    first = collaborators.begin()
    for warning in first.warnings:
        logger.error("{}", warning)
    try:
        sock = bind_socket(settings.host, settings.port)
    except PortHeld as error:
        logger.error("{}", error)
        return EXIT_TRY_AGAIN
    owner_socket = bind_owner_socket(settings.socket)
    if owner_socket is None:
        logger.warning("Another controller of this hub runs: the command line goes on talking to that one.")
    try:
        run(_serve(settings, first, collaborators, sock, owner_socket))
    except Exception:  # noqa: BLE001  the top of the process
        logger.exception("The controller ends because of an unexpected error.")
        return EXIT_BROKEN
    finally:
        if owner_socket is not None:
            settings.socket.unlink(missing_ok=True)
    logger.info("The controller ended.")
    return 0


async def _serve(
    settings: ControllerSettings,
    first: FirstHub,
    collaborators: Collaborators,
    sock: socket.socket,
    owner_socket: socket.socket | None,
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(EDGE_THREADS, "edge"))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        controller = make_controller(
            settings, first.hub, collaborators, tasks, stop.set, warnings=first.warnings
        )
        running = tasks.create_task(controller.run())
        await serve(
            controller.app,
            sock,
            begin_drain=controller.begin_drain,
            is_idle=lambda: controller.dispatcher.is_idle,
            end_rest=controller.dispatcher.end_leases,
            owner_socket=owner_socket,
            stop=stop,
        )
        controller.stop_waiting()
        running.cancel()
