"""Showing how each of several actions ended."""

import json
from collections.abc import Sequence

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.protocol.hub import ActionResult


def show_results(results: Sequence[ActionResult], *, as_json: bool) -> None:
    """A line each, or JSON; ends the command with 1 if any failed."""
    if as_json:
        click.echo(json.dumps({"results": [result.model_dump() for result in results]}))
    else:
        for result in results:
            flash(Tone.OK if result.ok else Tone.ERROR, result.message)
    if not all(result.ok for result in results):
        raise click.exceptions.Exit(1)
