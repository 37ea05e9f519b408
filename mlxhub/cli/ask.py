"""Ask a model and print its answer as it comes."""

from collections.abc import Sequence

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub, base_url, controller_url
from mlxhub.clients.chat import ChatMessage, chat_stream
from mlxhub.demo import MODEL_REFERENCE as DEMO
from mlxhub.fleet.hub import HubModel


def print_answer(url: str, model: str, messages: Sequence[ChatMessage]) -> str:
    """The whole answer, after it has been printed piece by piece."""
    pieces = []
    # An argument that was not UTF-8 carries its bytes as lone surrogates, which no JSON can.
    clean = [message | {"content": _clean(message["content"])} for message in messages]
    for piece in chat_stream(url, model, clean):
        click.echo(piece, nl=False)
        pieces.append(piece)
    click.echo()
    return "".join(pieces)


def ask_demo(local: LocalHub, prompt: str) -> None:
    """The first answer of a fresh hub: from the demo model's own port and through the controller.

    Only of a demo model that may load itself: another might take minutes and gigabytes for a greeting.
    """
    models = local.hub.models.values()
    model = next(
        (m for m in models if m.config.model_path == DEMO and m.config.default and m.config.jit), None
    )
    if model is None:
        flash(Tone.INFO, "There is no demo model to ask. Ask one of yours: mlxhub chat NAME")
        return
    for url in (model_base_url(model), router_base_url(local)):
        flash(Tone.INFO, f'Asking "{model.name}" at {url}: {prompt}')
        print_answer(url, model.name, [{"role": "user", "content": prompt}])


def _clean(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="replace")


def model_base_url(model: HubModel) -> str:
    return f"{base_url('127.0.0.1', model.port)}/v1"


def router_base_url(local: LocalHub) -> str:
    return f"{controller_url(local.config, local.paths)}/v1"
