"""A conversation with a model, in a terminal."""

from collections.abc import Callable
from dataclasses import replace

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from mlxhub.cli.ask import as_messages, printed_answer
from mlxhub.cli.flash import Tone, flash
from mlxhub.clients.chat import ChatTarget
from mlxhub.core.conversation import (
    HELP,
    Ask,
    Conversation,
    Exit,
    Help,
    Reset,
    System,
    Unknown,
    is_open,
    meant,
)
from mlxhub.errors import MlxhubError


def converse(target: ChatTarget, model: str, system: str | None) -> None:
    """Until ctrl-d or /exit."""
    conversation = Conversation(system)
    read = _reader(model)
    flash(Tone.INFO, f"A conversation with {model}. /help says what else there is; ctrl-d ends it.")
    while True:
        try:
            line = meant(read())
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        match line:
            case Exit():
                return
            case Ask(text):
                conversation = _ask(target, model, conversation, text)
            case None:
                pass
            case _:
                conversation = _obey(line, conversation)


def _obey(line: Reset | System | Help | Unknown, conversation: Conversation) -> Conversation:
    match line:
        case Reset():
            flash(Tone.OK, "It begins anew.")
            return conversation.reset()
        case System(text):
            flash(Tone.OK, "The model is told this first." if text else "It is told nothing first.")
            return replace(conversation, system=text)
        case Help():
            click.echo(HELP)
        case Unknown(command):
            flash(Tone.ERROR, f'There is no {command}. See /help; a text that begins so goes into """.')
    return conversation


def _ask(target: ChatTarget, model: str, conversation: Conversation, text: str) -> Conversation:
    said: list[str] = []
    try:
        for piece in printed_answer(target, model, as_messages(conversation, text)):
            said.append(piece)  # noqa: PERF402 - what came before an interruption counts
    except KeyboardInterrupt:
        flash(Tone.INFO, "Stopped." if said else "Stopped. The question is forgotten.")
    except MlxhubError as error:
        flash(Tone.ERROR, str(error))
        return conversation
    return conversation.with_turn(text, "".join(said)) if said else conversation


def _reader(model: str) -> Callable[[], str]:
    """Lines as people type them: with a history, and over several lines where they say so."""
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_open(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    session: PromptSession[str] = PromptSession(
        f"{model}> ", multiline=True, key_bindings=keys, prompt_continuation="... "
    )
    return session.prompt
