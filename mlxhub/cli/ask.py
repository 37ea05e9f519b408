"""Ask a model and print its answer as it comes."""

from collections.abc import Sequence

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub, base_url, controller_url
from mlxhub.clients.chat import ChatMessage, chat_stream
from mlxhub.errors import MlxhubError
from mlxhub.fleet.hub import HubModel


def print_answer(url: str, model: str, messages: Sequence[ChatMessage]) -> str:
    """The whole answer, after it has been printed piece by piece."""
    pieces = []
    for piece in chat_stream(url, model, messages):
        click.echo(piece, nl=False)
        pieces.append(piece)
    click.echo()
    return "".join(pieces)


def ask_once(local: LocalHub, prompt: str) -> None:
    """The first answer of a fresh hub: from the model's own port and through the controller."""
    model = next(iter(local.hub.models.values()), None)
    if model is None:
        raise MlxhubError(f"{local.paths.config} has no models. Add one, then run: mlxhub install")
    for url in (model_base_url(model), router_base_url(local)):
        flash(Tone.INFO, f'Asking "{model.name}" at {url}: {prompt}')
        print_answer(url, model.name, [{"role": "user", "content": prompt}])


def model_base_url(model: HubModel) -> str:
    return f"{base_url('127.0.0.1', model.port)}/v1"


def router_base_url(local: LocalHub) -> str:
    return f"{controller_url(local.config)}/v1"
