"""`mlxhub open`: the dashboard in a browser, already unlocked."""

import webbrowser
from html import escape
from pathlib import Path

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import config_in_force, find_machine
from mlxhub.cli.running import reach_controller
from mlxhub.clients.hub import HubClient
from mlxhub.errors import MlxhubError
from mlxhub.files.state import write_atomically

# The browser's command line is for all to see, so it gets a file of ours to open, and the link stands there.
_PAGE = '<!doctype html><title>mlxhub</title><meta http-equiv="refresh" content="0; url={url}">\n'


@click.command("open")
@click.option(
    "--print", "only_print", is_flag=True, help="Print the link instead: it works once, for a minute."
)
@click.pass_obj
def open_dashboard(file: Path | None, only_print: bool) -> None:
    """Open the dashboard in the browser, unlocked."""
    machine = find_machine(file)
    config, _ = config_in_force(machine)
    if not config.enable_status_page:
        raise MlxhubError("hub.yaml says enable_status_page: false, so there is no dashboard.")
    address = reach_controller(machine, config)
    url = f"{address.url}/hub#t={HubClient(address).unlock_token()}"
    if only_print:
        click.echo(url)
        return
    page = machine.paths.browser_page
    write_atomically(page, _PAGE.format(url=escape(url)).encode())
    if not webbrowser.open(page.as_uri()):
        raise MlxhubError("No browser could be opened. Print the link instead with: mlxhub open --print")
    flash(Tone.OK, f"The dashboard is at {address.url}/hub")


COMMANDS = {"open": open_dashboard}
