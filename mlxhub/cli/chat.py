"""`mlxhub chat`: talk to a model in the terminal."""

import sys
from pathlib import Path

import click

from mlxhub.cli.ask import model_target, own_target, print_answer
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import find_machine, open_hub
from mlxhub.clients.chat import ChatMessage, ChatTarget
from mlxhub.errors import ControllerDown, MlxhubError, WorkerSilent


@click.command()
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--direct", is_flag=True, help="Ask the model at its own port, past the controller.")
@click.pass_obj
def chat(file: Path | None, model: str, prompt: str | None, direct: bool) -> None:
    """Ask MODEL one PROMPT, or without one, converse: /reset begins anew, /exit or ctrl-d ends."""
    local = open_hub(find_machine(file))
    target = model_target(local, local.hub.find(model)) if direct else own_target(local)
    try:
        _chat(target, model, prompt)
    except WorkerSilent:
        if direct:
            raise
        raise ControllerDown(local.controller.url) from None


def _chat(target: ChatTarget, model: str, prompt: str | None) -> None:
    if prompt is not None:
        print_answer(target, model, [{"role": "user", "content": prompt}])
    elif sys.stdin is not None and sys.stdin.isatty():
        _converse(target, model)
    elif sys.stdin is not None:
        piped = sys.stdin.buffer.read().decode(errors="replace")
        print_answer(target, model, [{"role": "user", "content": piped}])
    else:
        raise click.UsageError("Give a PROMPT, or something on standard input.")


def _converse(target: ChatTarget, model: str) -> None:
    messages: list[ChatMessage] = []
    while True:
        try:
            said = click.prompt(f"{model}", prompt_suffix="> ", type=str)
        except (EOFError, click.Abort):
            click.echo()
            return
        if said == "/exit":
            return
        if said == "/reset":
            messages = []
            continue
        messages.append({"role": "user", "content": said})
        try:
            answer = print_answer(target, model, messages)
        except KeyboardInterrupt:
            click.echo()
            flash(Tone.INFO, "Stopped. The question is forgotten.")
            messages.pop()
        except MlxhubError as error:
            flash(Tone.ERROR, str(error))
            messages.pop()
        else:
            messages.append({"role": "assistant", "content": answer})


COMMANDS = {"chat": chat}
