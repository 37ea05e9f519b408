"""Ask a model and print its answer as it comes."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from mlxhub import demo
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub
from mlxhub.clients.chat import ChatMessage, ChatTarget, Said, Thought, chat_stream
from mlxhub.core.access import base_url
from mlxhub.core.conversation import Conversation
from mlxhub.core.plain_text import harmless
from mlxhub.files.owner_socket import check_private
from mlxhub.fleet.hub import HubModel


def print_answer(target: ChatTarget, model: str, messages: Sequence[ChatMessage]) -> None:
    """Piece by piece, as it comes."""
    for _ in printed_answer(target, model, messages):
        pass


def printed_answer(target: ChatTarget, model: str, messages: Sequence[ChatMessage]) -> Iterator[str]:
    """Its pieces, each printed before. What a model thinks first is for people only, and no part of it."""
    # An argument that was not UTF-8 carries its bytes as lone surrogates, which no JSON can.
    clean = [message | {"content": _clean(message["content"])} for message in messages]
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    thinks = is_begun = False
    with _waiting(model, is_shown=is_terminal and sys.stderr.isatty()) as stop_waiting:
        try:
            for piece in chat_stream(target, model, clean):
                stop_waiting()
                is_begun = True
                match piece:
                    case Thought(text) if is_terminal:
                        click.secho(harmless(text), nl=False, dim=True)
                        thinks = True
                    case Said(text):
                        click.echo("\n\n" if thinks else "", nl=False)
                        click.echo(harmless(text) if is_terminal else text, nl=False)
                        thinks = False
                        yield text
        finally:
            stop_waiting()
            if is_begun:
                click.echo()


@contextmanager
def _waiting(model: str, *, is_shown: bool) -> Iterator[Callable[[], None]]:
    """Something moves on the terminal until the function is called: a model that is loaded takes a while."""
    if not is_shown:
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - a pipe needs none of it
    from rich.text import Text  # noqa: PLC0415 - likewise

    spinner = Console(stderr=True).status(Text(f"{model} …", "dim"), spinner="dots")
    spinner.start()
    try:
        yield spinner.stop
    finally:
        spinner.stop()


def as_messages(conversation: Conversation, question: str) -> list[ChatMessage]:
    return [{"role": role, "content": content} for role, content in conversation.messages(question)]


def ask_demo(local: LocalHub, prompt: str) -> None:
    """The first answer of a fresh hub: from a demo model's own port and through the controller.

    Only of one that may load itself: another might take minutes and gigabytes for a greeting.
    """
    models = local.hub.models.values()
    model = next(
        (m for m in models if demo.find(m.config.model_path or "") and m.config.default and m.config.jit),
        None,
    )
    if model is None:
        flash(Tone.INFO, "There is no demo model to ask. Ask one of yours: mlxhub chat NAME")
        return
    for target in (model_target(local, model), router_target(local)):
        flash(Tone.INFO, f'Asking "{model.name}" at {target.base_url}: {prompt}')
        print_answer(target, model.name, [{"role": "user", "content": prompt}])


def _clean(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="replace")


def model_target(local: LocalHub, model: HubModel) -> ChatTarget:
    return ChatTarget(f"{base_url('127.0.0.1', model.port)}/v1", local.api_key)


def router_target(local: LocalHub) -> ChatTarget:
    """As its clients reach it; `own_target`: past whoever may have taken its port."""
    return ChatTarget(f"{local.controller.url}/v1", local.api_key)


def own_target(local: LocalHub) -> ChatTarget:
    address = local.controller
    check_private(address.socket.parent)
    return ChatTarget(f"{address.url}/v1", socket=address.socket)
