"""`mlxhub chat`: talk to a model in the terminal."""

import sys
from pathlib import Path

import click

from mlxhub.cli.ask import as_messages, model_target, own_target, print_answer
from mlxhub.cli.completion import complete_model
from mlxhub.cli.local_hub import find_machine, open_hub
from mlxhub.clients.chat import ChatTarget
from mlxhub.core.conversation import Conversation
from mlxhub.errors import ControllerDown, WorkerSilent


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.argument("prompt", required=False)
@click.option("--direct", is_flag=True, help="Ask the model at its own port, past the controller.")
@click.option("--system", metavar="TEXT", help="What the model is told before everything else.")
@click.pass_obj
def chat(file: Path | None, model: str, prompt: str | None, direct: bool, system: str | None) -> None:
    """Ask MODEL one PROMPT, or what comes on standard input; in a terminal without one, converse."""
    local = open_hub(find_machine(file))
    target = model_target(local, local.hub.find(model)) if direct else own_target(local)
    try:
        _chat(target, model, prompt, system)
    except WorkerSilent:
        if direct:
            raise
        raise ControllerDown(local.controller.url) from None


def _chat(target: ChatTarget, model: str, prompt: str | None, system: str | None) -> None:
    if prompt is None and sys.stdin is None:
        raise click.UsageError("Give a PROMPT, or something on standard input.")
    if prompt is None and sys.stdin.isatty():
        from mlxhub.cli.converse import converse  # noqa: PLC0415 - its line editor is for terminals only

        converse(target, model, system)
        return
    asked = sys.stdin.buffer.read().decode(errors="replace") if prompt is None else prompt
    print_answer(target, model, as_messages(Conversation(system), asked))


COMMANDS = {"chat": chat}
