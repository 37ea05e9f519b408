"""`mlxhub worker` and `mlxhub controller`: the programs that plists run, also by hand in the foreground."""

import contextlib
import os
import queue
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
from loguru import logger
from pydantic import ValidationError

from mlxhub.cli.flash import Tone, flash
from mlxhub.core.agents import BY_HAND
from mlxhub.core.config import LogLevel, WorkerSettings
from mlxhub.core.engine_options import Reading
from mlxhub.core.paths import RunFiles, model_location
from mlxhub.core.restarts import CONTROLLER, misunderstood_reason
from mlxhub.errors import StateUnwritable
from mlxhub.files.imports import collector_at_rest
from mlxhub.files.machine import is_testing, this_machine
from mlxhub.files.recorded_run import EXIT_PARKED, Ending, run_recorded
from mlxhub.files.runs import NOTE_VARIABLE, keep_down

_LOG_LEVELS = click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
# How a process ended is worth knowing; it is not worth a model that stays away.
_LAST_EXIT_SECONDS = 10.0


class _Launched(click.Command):
    """Arguments that it does not understand, as of another version's plist, no restart mends."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _misunderstanding_keeps_down():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with _misunderstanding_keeps_down():
            return super().invoke(ctx)


@contextlib.contextmanager
def _misunderstanding_keeps_down() -> Iterator[None]:
    """Where launchd runs this; a person at a terminal is told how it is used."""
    try:
        yield
    except click.UsageError as error:
        if NOTE_VARIABLE not in os.environ:
            raise
        note = Path(os.environ[NOTE_VARIABLE])
        reason = misunderstood_reason(note.stem, error.format_message())
        flash(Tone.ERROR, reason)
        try:
            keep_down(note, reason)
        except StateUnwritable as unwritable:
            flash(Tone.ERROR, str(unwritable))
        sys.exit(EXIT_PARKED)


@click.command(cls=_Launched)
@click.option("--settings", help="All settings as JSON (what a plist carries).")
@click.option("--generation", default=BY_HAND, hidden=True)
@click.option(
    "--model-path",
    help="Serve this model by hand: directory, Hugging Face repo id, builtin:demo or builtin:demo-thinking.",
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
            chosen = WorkerSettings.model_validate_json(settings, context=Reading(is_testing()))
        else:
            location = model_location(str(model_path), home=Path.home(), base=Path.cwd())
            chosen = WorkerSettings.model_validate(
                {"name": name or _slug(location), "model_path": location, "port": port}
            )
    except ValidationError as error:
        faults = (": ".join([*map(str, fault["loc"]), fault["msg"]]) for fault in error.errors())
        raise click.UsageError(f"settings: {'; '.join(faults)}") from error
    from mlxhub.worker.main import run_worker  # noqa: PLC0415 - the controller does not pay for it

    sys.exit(run_worker(chosen, generation, _last_exit))


@click.command(cls=_Launched)
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
        with collector_at_rest():
            from mlxhub.cli.wiring import wire_controller  # noqa: PLC0415 - nor a worker for this

        return Ending(wire_controller(chosen, host, port, log_level, log_file, generation))

    if label is None or log_file is None:
        ending = program()
    else:
        from mlxhub.logs import configure_logs  # noqa: PLC0415 - nor does a command that only shows its help

        ending = run_recorded(
            _controller_files(chosen, log_file),
            program,
            open_log=lambda: configure_logs(log_level or "INFO", log_file),
            last_exit=lambda: _last_exit(label),
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
        try:
            ending = launchd_of(find_machine(None)).inspect(label).last_exit
        except Exception as error:  # noqa: BLE001 - the top of a thread, whose answer somebody awaits
            logger.warning("launchd does not say how the last process ended: {}", error)
        finally:
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
