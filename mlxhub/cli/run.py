"""`mlxhub worker` and `mlxhub controller`: the programs that plists run, also by hand in the foreground."""

import re
import sys
from pathlib import Path

import click
from pydantic import ValidationError

from mlxhub.core.agents import BY_HAND
from mlxhub.core.config import LogLevel, WorkerSettings
from mlxhub.core.paths import model_location
from mlxhub.errors import ConfigError, Fault

_LOG_LEVELS = click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])


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

    sys.exit(run_worker(chosen, generation))


@click.command()
@click.option("--config", "own_file", type=click.Path(path_type=Path), help="As before the command.")
@click.option("--host", help="The address to listen on; else hub.yaml's.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port; else hub.yaml's.")
@click.option("--log-level", type=_LOG_LEVELS, help="Else hub.yaml's.")
@click.option("--log-file", type=click.Path(path_type=Path), help="Else the terminal.")
@click.option("--generation", default=BY_HAND, hidden=True)
@click.pass_obj
def controller(
    file: Path | None,
    own_file: Path | None,
    host: str | None,
    port: int | None,
    log_level: LogLevel | None,
    log_file: Path | None,
    generation: str,
) -> None:
    """Run the controller in the foreground."""
    from mlxhub.cli.wiring import wire_controller  # noqa: PLC0415 - nor a worker for this

    sys.exit(wire_controller(own_file or file, host, port, log_level, log_file, generation))


def _slug(location: str) -> str:
    """builtin:demo → demo, /models/Qwen3-4B → qwen3-4b."""
    last = re.split(r"[/:]", location.rstrip("/"))[-1].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("._-")[:63] or "model"


COMMANDS = {"worker": worker, "controller": controller}
