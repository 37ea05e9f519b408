"""The `mlxhub` command: its sub-commands by name, each imported only when it is used."""

import importlib
import os
import sys
from pathlib import Path

import click

from mlxhub.cli.flash import Tone, are_colours_off, flash
from mlxhub.core.plain_text import harmless
from mlxhub.errors import ConfigError, MlxhubError, NoSession
from mlxhub.files.imports import collector_at_rest

EXIT_FAILED = 1
EXIT_NO_SESSION = 3

# In the order of `mlxhub --help`: where each command lives, and its line there.
_COMMANDS = {
    "init": ("init", "Write a hub.yaml to begin with."),
    "install": ("install", "Make launchd run what hub.yaml says."),
    "uninstall": ("uninstall", "Stop everything and remove what install wrote."),
    "plan": ("plan", "Show how hub.yaml differs from what launchd runs."),
    "apply": ("apply", "Carry that out, one running model at a time."),
    "rollback": ("rollback", "Return to a hub.yaml that was applied before."),
    "status": ("status", "Show every model: process, memory, port."),
    "start": ("whole", "Start the controller and the models that are on by default."),
    "stop": ("whole", "Stop every model and the controller."),
    "reload": ("whole", "Read hub.yaml again and apply what changed."),
    "start-all": ("whole", "Start the process of every model."),
    "stop-all": ("whole", "Stop the process of every model."),
    "start-model": ("models", "Start the processes of models."),
    "stop-model": ("models", "Stop the processes of models."),
    "restart-model": ("models", "Stop and start the processes of models."),
    "load-model": ("models", "Bring models into memory."),
    "unload-model": ("models", "Take models out of memory; their processes stay."),
    "models": ("registry", "Show the models of hub.yaml; find others on disk, and put them there."),
    "chat": ("chat", "Talk to a model."),
    "bench": ("bench", "Time a model's answers, one and several at once."),
    "connect": ("connect", "Make Claude Code, Codex or Continue use this hub, or no longer."),
    "env": ("env", "Print what makes clients in a shell use this hub."),
    "logs": ("logs", "Show the log of a model or of the controller."),
    "open": ("open", "Open the dashboard in a browser, unlocked."),
    "keys": ("keys", "Show or replace the keys of this hub."),
    "watch": ("watch", "Show every model as it is, until ctrl-c."),
    "events": ("events", "Show what happened in the hub, and what happens."),
    "doctor": ("doctor", "Check everything a hub needs, and say what to do."),
    "crashes": ("crashes", "Show when and how processes died, and which stay down."),
    "config": ("config", "Check and show hub.yaml."),
    "completion": ("completion", "Print what makes your shell complete commands and models."),
    "worker": ("run", "Serve one model in the foreground (what its plist runs)."),
    "controller": ("run", "Run the controller in the foreground (what its plist runs)."),
    "version": ("version", "Show the version."),
}


def _without_colours(ctx: click.Context, _param: click.Parameter, is_wanted: bool) -> None:
    """rich looks at https://no-color.org, click does not; flash speaks also where click is over."""
    if is_wanted:
        os.environ["NO_COLOR"] = "1"
    if are_colours_off():
        ctx.find_root().color = ctx.color = False


def _no_color_option() -> click.Option:
    return click.Option(
        ["--no-color"], is_flag=True, expose_value=False, callback=_without_colours, help="Print no colours."
    )


def _take_no_color(command: click.Command) -> None:
    """People write it behind the command, and behind the command's command."""
    if not any(param.name == "no_color" for param in command.params):
        command.params.append(_no_color_option())
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _take_no_color(inner)


class _LazyGroup(click.Group):
    """A worker must not pay for the imports of commands it never runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[cmd_name]
        with collector_at_rest():
            commands = importlib.import_module(f"mlxhub.cli.{module}").COMMANDS
        command: click.Command = commands[cmd_name]
        _take_no_color(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="hub.yaml; else $MLXHUB_CONFIG, else the hub's own place.",
)
@click.option(
    "--no-color", is_flag=True, expose_value=False, callback=_without_colours, help="Print no colours."
)
@click.pass_context
def mlxhub(ctx: click.Context, config: Path | None) -> None:
    """Run many MLX models on this machine, each its own process under launchd."""
    ctx.obj = config


def main() -> None:
    """Every expected failure is flash lines on stderr and an exit code: 1 failed, 2 usage, 3 no launchd."""
    # Whatever any command writes is its user's alone, unless it says otherwise.
    os.umask(0o077)
    try:
        mlxhub(prog_name="mlxhub")
    except ConfigError as error:
        for fault in error.faults:
            flash(Tone.ERROR, str(fault))
        sys.exit(EXIT_FAILED)
    except MlxhubError as error:
        flash(Tone.ERROR, str(error))
        for line in error.evidence:
            click.echo(f"        {harmless(line)}", err=True)
        sys.exit(EXIT_NO_SESSION if isinstance(error, NoSession) else EXIT_FAILED)
    except OSError as error:  # a file or directory that the user's rights do not reach
        flash(Tone.ERROR, f"{error.filename or 'mlxhub'}: {error.strerror or error}.")
        sys.exit(EXIT_FAILED)
