"""`mlxhub completion`, and what it completes."""

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from mlxhub.errors import MlxhubError

_SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_MLXHUB_COMPLETE"


def complete_model(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names and aliases in hub.yaml; none where it cannot be read, since nobody can be told here."""
    from mlxhub.cli.local_hub import config_in_force, find_machine  # noqa: PLC0415 - for whoever completes only

    try:
        config, _ = config_in_force(find_machine(_config_of(ctx)))
    except (MlxhubError, OSError):
        return []
    given = {value for value in ctx.params.values() if isinstance(value, tuple) for value in value}
    return [
        CompletionItem(model_id, help=None if model_id == model.name else f"means {model.name}")
        for model in config.models
        for model_id in model.ids
        if model_id.startswith(incomplete) and model_id not in given
    ]


def _config_of(ctx: click.Context) -> Path | None:
    """No command has run yet, so that none has kept it."""
    given = ctx.find_root().params.get("config")
    return given if isinstance(given, Path) else None


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
def completion(shell: str | None) -> None:
    """Print what makes SHELL complete commands, options and names of models; by default for your own shell.

    In ~/.zshrc or ~/.bashrc: eval "$(mlxhub completion zsh)" or bash; in ~/.config/fish/config.fish:
    mlxhub completion fish | source
    """
    chosen = shell or Path(os.environ.get("SHELL", "")).name
    if chosen not in _SHELLS:
        raise click.UsageError(f"Name your shell: {', '.join(_SHELLS)}.")
    found = get_completion_class(chosen)
    assert found is not None
    from mlxhub.cli.main import mlxhub  # noqa: PLC0415 - it imports its commands when they are used

    click.echo(found(mlxhub, {}, "mlxhub", _VARIABLE).source())


COMMANDS = {"completion": completion}
