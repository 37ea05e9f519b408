"""`mlxhub doctor`: everything that can be wrong, checked, with what to do about it."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mlxhub.cli.local_hub import controller_address, launchd_of, open_hub, open_hub_in_force
from mlxhub.clients.hub import HubClient
from mlxhub.core.checks import Check, CheckStatus, worst_first
from mlxhub.core.plain_text import harmless
from mlxhub.errors import ConfigError, ControllerDown, Fault, StateUnreadable
from mlxhub.files.machine import Machine, this_machine
from mlxhub.fleet.doctor.asking import answer_within, begin
from mlxhub.fleet.doctor.examine import examine
from mlxhub.fleet.doctor.gather import HubRead, gather
from mlxhub.fleet.hub import Hub
from mlxhub.protocol.errors import RemoteError

READ_SECONDS = 10.0
_COLOURS = {
    CheckStatus.FAIL: "red",
    CheckStatus.WARN: "yellow",
    CheckStatus.OK: "green",
    CheckStatus.SKIP: "bright_black",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(file: Path | None, as_json: bool) -> None:
    """Check everything a hub needs and say what to do; exit 1 if a check failed. Changes nothing."""
    machine = this_machine(file)
    read = answer_within(READ_SECONDS, begin(lambda: _read(machine)), _unread(machine))
    found = gather(
        machine,
        read,
        launchd_of(machine),
        ask_controller=lambda: None if read.hub is None else _controller_pid(read.hub, read),
    )
    checks = examine(found)
    if as_json:
        click.echo(json.dumps({"checks": [asdict(check) for check in checks]}, indent=2))
    else:
        _show(worst_first(checks))
    if any(check.status is CheckStatus.FAIL for check in checks):
        raise click.exceptions.Exit(1)


def _read(machine: Machine) -> HubRead:
    """A hub.yaml with faults, or records that are damaged, are findings like any other.

    What hub.yaml said when it was last applied then holds, if anybody knows.
    """
    faults: tuple[Fault, ...] = ()
    state_fault = None
    try:
        try:
            local = open_hub(machine)
        except ConfigError as error:
            faults = error.faults
            local = open_hub_in_force(machine)
    except ConfigError:
        pass
    except StateUnreadable as error:
        state_fault = str(error)
    else:
        return HubRead(paths=local.paths, faults=faults, hub=local.hub, agents=local.agents, state_fault=None)
    return HubRead(paths=machine.paths, faults=faults, hub=None, agents={}, state_fault=state_fault)


def _unread(machine: Machine) -> HubRead:
    path = machine.paths.config
    late = Fault(
        str(path), None, f"reading it and {machine.paths.state} did not end within {READ_SECONDS:g} s."
    )
    return HubRead(paths=machine.paths, faults=(late,), hub=None, agents={}, state_fault=None)


def _controller_pid(hub: Hub, read: HubRead) -> int | None:
    """Of whoever answers as this hub's controller."""
    try:
        answer = HubClient(controller_address(hub.config, read.paths)).status().controller
    except (ControllerDown, RemoteError):
        return None
    return answer.pid if answer.label == hub.controller_label else None


def _show(checks: Sequence[Check]) -> None:
    width = max(len(check.id) for check in checks)
    for check in checks:
        mark = click.style(f"{f'[{check.status}]':<6}", fg=_COLOURS[check.status])
        click.echo(f"{mark} {check.id:<{width}}  {harmless(check.finding)}")
        if check.fix:
            click.echo(f"{'':<{width + 7}}  -> {harmless(check.fix)}")
    count = Counter(check.status for check in checks)
    click.echo(", ".join(f"{count[status]} {status}" for status in CheckStatus))


COMMANDS = {"doctor": doctor}
