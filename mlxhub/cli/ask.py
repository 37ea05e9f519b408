"""Ask a model and print its answer as it comes."""

from collections.abc import Sequence

import click

from mlxhub import demo
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub
from mlxhub.clients.chat import ChatMessage, ChatTarget, chat_stream
from mlxhub.core.access import base_url
from mlxhub.files.owner_socket import check_private
from mlxhub.fleet.hub import HubModel


def print_answer(target: ChatTarget, model: str, messages: Sequence[ChatMessage]) -> str:
    """The whole answer, after it has been printed piece by piece."""
    pieces = []
    # An argument that was not UTF-8 carries its bytes as lone surrogates, which no JSON can.
    clean = [message | {"content": _clean(message["content"])} for message in messages]
    for piece in chat_stream(target, model, clean):
        click.echo(piece, nl=False)
        pieces.append(piece)
    click.echo()
    return "".join(pieces)


def ask_demo(local: LocalHub, prompt: str) -> None:
    """The first answer of a fresh hub: from a demo model's own port and through the controller.

    Only of one that may load itself: another might take minutes and gigabytes for a greeting.
    """
    models = local.hub.models.values()
    model = next(
        (m for m in models if demo.find(m.config.model_path) and m.config.default and m.config.jit), None
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
