"""Commands for the whole hub: `start`, `stop`, `reload`, `start-all`, `stop-all`."""

import asyncio
import json
from pathlib import Path

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import ensure_supervisor, find_machine, launchd_of, open_hub
from mlxhub.cli.outcome import NEXT_STEPS
from mlxhub.cli.results import show_results
from mlxhub.cli.running import jobs_stop, reach_controller, start_controller, workers_run
from mlxhub.clients.hub import HubAddress, HubClient
from mlxhub.core.agents import model_of
from mlxhub.core.plain_text import harmless
from mlxhub.files.hub_yaml import read_hub_yaml
from mlxhub.files.manifest import installed_agents
from mlxhub.protocol.hub import BulkAction, ReloadResult

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@_json_option
@click.pass_obj
def start(file: Path | None, as_json: bool) -> None:
    """Start the controller and every model with `default: true`, after `mlxhub stop` for instance."""
    machine = find_machine(file)
    local = open_hub(machine)
    launchd = launchd_of(machine)
    if local.paths.plist(local.hub.controller_label).is_file():
        ensure_supervisor(local, launchd)
    controller = start_controller(local, launchd)
    models = [model for model in local.hub.models.values() if model.config.default]
    show_results([controller, *asyncio.run(workers_run(models, launchd, local.trust))], as_json=as_json)


@click.command()
@_json_option
@click.pass_obj
def stop(file: Path | None, as_json: bool) -> None:
    """Stop every model and the controller until `mlxhub start` or the next login."""
    machine = find_machine(file)
    launchd = launchd_of(machine)
    launchd.require_session()
    installed = installed_agents(machine.paths)
    # The controller first: it would start again, for the next request, what is stopped before it.
    own = {label: plist for label, plist in installed.items() if model_of(label) is None}
    rest = {label: plist for label, plist in installed.items() if label not in own}
    controllers = asyncio.run(jobs_stop(own, launchd))
    workers = asyncio.run(jobs_stop(rest, launchd))
    show_results([*controllers, *workers], as_json=as_json)


@click.command()
@_json_option
@click.pass_obj
def reload(file: Path | None, as_json: bool) -> None:
    """Have the controller read hub.yaml again; only models that changed restart."""
    result = HubClient(_reached(file)).reload()
    if as_json:
        click.echo(json.dumps(result.model_dump()))
    else:
        _show_reload(result)
    if result.failed or result.not_begun:
        raise click.exceptions.Exit(1)


def _show_reload(result: ReloadResult) -> None:
    for warning in result.warnings:
        flash(Tone.WARN, warning)
    for what, names in (
        ("Started", result.started),
        ("Restarted", result.restarted),
        ("Stopped", result.stopped),
        ("Defined, not started", result.defined),
    ):
        if names:
            flash(Tone.OK, f"{what}: {', '.join(names)}")
    for failure in result.failed:
        flash(Tone.ERROR, f"{failure.name}: {failure.message}")
        for line in failure.evidence:
            click.echo(f"        {harmless(line)}", err=True)
    if result.not_begun:
        flash(Tone.WARN, f"Not begun: {', '.join(result.not_begun)}")
    if result.failed or result.not_begun:
        flash(Tone.INFO, NEXT_STEPS, to_stderr=True)
    else:
        flash(Tone.OK, f"hub.yaml is in force; {len(result.unchanged)} model(s) unchanged.")


def _bulk(action: BulkAction, line: str) -> click.Command:
    @click.command(action, help=line)
    @_json_option
    @click.pass_obj
    def command(file: Path | None, as_json: bool) -> None:
        show_results(HubClient(_reached(file)).bulk(action).results, as_json=as_json)

    return command


def _reached(file: Path | None) -> HubAddress:
    machine = find_machine(file)
    return reach_controller(machine, read_hub_yaml(machine.paths.config))


COMMANDS = {
    "start": start,
    "stop": stop,
    "reload": reload,
    "start-all": _bulk("start-all", "Start the process of every model, also of those with `default: false`."),
    "stop-all": _bulk("stop-all", "Stop the process of every model; the controller stays."),
}
