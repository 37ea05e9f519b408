"""`mlxhub connect`: clients that use this hub, by their own settings."""

import os
from pathlib import Path

import click

from mlxhub.cli.completion import complete_model
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub, find_machine, open_hub
from mlxhub.core.client_settings import NO_KEY, Client, Offer, connected
from mlxhub.files.connections import connect_client, disconnect_client
from mlxhub.files.machine import Machine
from mlxhub.fleet.catalogue import context_length

_WANTS_ONE_MODEL = (Client.CLAUDE, Client.CODEX)
# Before anybody has said a word Claude Code sends 88 KB and Codex 40 (November 2026): at four bytes a token
# some 22,000 and 10,000.
_USUAL_PROMPT_TOKENS = 32_768
_NEXT = {
    Client.CLAUDE: "Start it with: claude",
    Client.CODEX: "Start it with: codex --profile mlxhub",
    Client.CONTINUE: "Choose a model in your editor; Continue reads its settings anew by itself.",
}
_OPEN_WEBUI = """\
Open WebUI keeps its settings in a database, and reads these at its first start:

  OPENAI_API_BASE_URL={url}/v1 OPENAI_API_KEY={key} ENABLE_OLLAMA_API=false open-webui serve

Later: Admin Settings > Connections > OpenAI API > add {url}/v1 with the key {key}.
In Docker Desktop the hub's address is http://host.docker.internal:{port}/v1, and hub.yaml has to allow that
name: allowed_hosts: [host.docker.internal]"""


@click.command()
@click.argument("client", type=click.Choice([client.value for client in Client]))
@click.option(
    "--model", metavar="NAME", shell_complete=complete_model, help="For claude and codex: which one."
)
@click.option("--undo", is_flag=True, help="Put back what was there before.")
@click.option("--print", "only_print", is_flag=True, help="Print the settings instead of writing them.")
@click.pass_obj
def connect(file: Path | None, client: str, model: str | None, undo: bool, only_print: bool) -> None:
    """Write this hub into the settings of CLIENT: Claude Code, Codex or Continue; for Open WebUI, say how."""
    machine, chosen = find_machine(file), Client(client)
    if undo:
        _undo(machine, chosen)
        return
    local = open_hub(machine)
    offer = _offer(local, chosen, model)
    if chosen is Client.OPENWEBUI:
        port = offer.url.rpartition(":")[2]
        click.echo(_OPEN_WEBUI.format(url=offer.url, key=offer.key or NO_KEY, port=port))
        return
    place = _settings(chosen, machine.home)
    if only_print:
        click.echo(f"# {place}", err=True)
        click.echo(connected(chosen, None, offer), nl=False)
        return
    if connect_client(machine.paths, chosen, place, offer):
        flash(Tone.OK, f"Wrote {place}. {_NEXT[chosen]}")
    else:
        flash(Tone.OK, f"{place} says so already. {_NEXT[chosen]}")
    flash(Tone.INFO, f"Undo it with: mlxhub connect {chosen} --undo")


def _undo(machine: Machine, client: Client) -> None:
    place = disconnect_client(machine.paths, client)
    if place is None:
        flash(Tone.INFO, f"Nothing was written into the settings of {client}.")
    else:
        flash(Tone.OK, f"{place} no longer names this hub.")


def _offer(local: LocalHub, client: Client, model: str | None) -> Offer:
    names = tuple(local.hub.models)
    if client not in _WANTS_ONE_MODEL:
        return Offer(local.controller.url, local.api_key, "", names)
    if model is None and len(names) != 1:
        raise click.UsageError(
            f"Which model? --model NAME, one of: {', '.join(names) or 'hub.yaml has none'}"
        )
    chosen = local.hub.find(model or names[0])
    length = context_length(local.machine, local.config, chosen.config)
    if length is not None and length < _USUAL_PROMPT_TOKENS:
        flash(
            Tone.WARN,
            f'"{chosen.name}" holds {length:,} tokens, fewer than {client} begins with. '
            "Take another: --model NAME",
        )
    return Offer(local.controller.url, local.api_key, chosen.name, names, length)


def _settings(client: Client, home: Path) -> Path:
    """Where the client itself looks."""
    match client:
        case Client.CLAUDE:
            return Path(os.environ.get("CLAUDE_CONFIG_DIR") or home / ".claude") / "settings.json"
        case Client.CODEX:
            return Path(os.environ.get("CODEX_HOME") or home / ".codex") / "mlxhub.config.toml"
        case _:
            return home / ".continue" / "config.yaml"


COMMANDS = {"connect": connect}
