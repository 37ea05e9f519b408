"""`mlxhub worker` and `mlxhub controller`: the programs that plists run, also by hand in the foreground."""

import contextlib
import queue
import re
import sys
import threading
from dataclasses import replace
from pathlib import Path

import click
from pydantic import ValidationError

from mlxhub.core.agents import BY_HAND
from mlxhub.core.config import LogLevel, WorkerSettings
from mlxhub.core.paths import RunFiles, model_location
from mlxhub.core.restarts import CONTROLLER
from mlxhub.errors import ConfigError, Fault, LaunchdError
from mlxhub.files.machine import this_machine
from mlxhub.files.recorded_run import Ending, run_recorded

_LOG_LEVELS = click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
# How a process ended is worth knowing; it is not worth a model that stays away.
_LAST_EXIT_SECONDS = 10.0


@click.command()
@click.option("--settings", help="All settings as JSON (what a plist carries).")
@click.option("--generation", default=BY_HAND, hidden=True)
@click.option(
    "--model-path", help="Serve this model by hand: directory, Hugging Face repo id or builtin:demo."
)
@click.option("--port", type=click.IntRange(1, 65535), help="The port to serve it on.")
@click.option("--name", help="The model id; else made from the path.")
def worker(
    settings: str | None, generation: str, model_path: str | None, port: int | None, name: str | None
) -> None:
    """Serve one model in the foreground: mlxhub worker --model-path builtin:demo --port 8123"""
    if (settings is None) == (model_path is None or port is None):
        raise click.UsageError("Give either --model-path and --port, or --settings.")
    try:
        if settings is not None:
            chosen = WorkerSettings.model_validate_json(settings)
        else:
            location = model_location(str(model_path), home=Path.home(), base=Path.cwd())
            chosen = WorkerSettings.model_validate(
                {"name": name or _slug(location), "model_path": location, "port": port}
            )
    except ValidationError as error:
        faults = tuple(
            Fault("settings", None, f"{'.'.join(map(str, e['loc']))}: {e['msg']}") for e in error.errors()
        )
        raise ConfigError(faults) from error
    from mlxhub.worker.main import run_worker  # noqa: PLC0415 - the controller does not pay for it

    sys.exit(run_worker(chosen, generation, _last_exit))


@click.command()
@click.option("--config", "own_file", type=click.Path(path_type=Path), help="As before the command.")
@click.option("--host", help="The address to listen on; else hub.yaml's.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port; else hub.yaml's.")
@click.option("--log-level", type=_LOG_LEVELS, help="Else hub.yaml's.")
@click.option("--log-file", type=click.Path(path_type=Path), help="Else the terminal.")
@click.option("--label", hidden=True)
@click.option("--generation", default=BY_HAND, hidden=True)
@click.pass_obj
def controller(
    file: Path | None,
    own_file: Path | None,
    host: str | None,
    port: int | None,
    log_level: LogLevel | None,
    log_file: Path | None,
    label: str | None,
    generation: str,
) -> None:
    """Run the controller in the foreground."""
    chosen = own_file or file

    def program() -> Ending:
        from mlxhub.cli.wiring import wire_controller  # noqa: PLC0415 - nor a worker for this

        return Ending(wire_controller(chosen, host, port, log_level, log_file, generation))

    if label is None or log_file is None:
        ending = program()
    else:
        from mlxhub.logs import configure_logs  # noqa: PLC0415 - nor does a command that only shows its help

        configure_logs(log_level or "INFO", log_file)
        ending = run_recorded(
            _controller_files(chosen, log_file), program, last_exit=lambda: _last_exit(label)
        )
    sys.exit(ending.exit_code)


def _controller_files(file: Path | None, log_file: Path) -> RunFiles:
    """Without hub.yaml, which may be what the controller dies of."""
    return replace(this_machine(file).paths.run_files(CONTROLLER), log=log_file)


def _last_exit(label: str) -> str | None:
    """How the process before this one ended, as launchd says; None where it does not say in time."""
    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        from mlxhub.cli.local_hub import find_machine, launchd_of  # noqa: PLC0415 - only after a crash

        ending = None
        with contextlib.suppress(LaunchdError):
            ending = launchd_of(find_machine(None)).inspect(label).last_exit
        answer.put(ending)

    threading.Thread(target=ask, name="last-exit", daemon=True).start()
    with contextlib.suppress(queue.Empty):
        return answer.get(timeout=_LAST_EXIT_SECONDS)
    return None


def _slug(location: str) -> str:
    """builtin:demo → demo, /models/Qwen3-4B → qwen3-4b."""
    last = re.split(r"[/:]", location.rstrip("/"))[-1].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("._-")[:63] or "model"


COMMANDS = {"worker": worker, "controller": controller}
