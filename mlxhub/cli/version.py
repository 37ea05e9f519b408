"""`mlxhub version`."""

import importlib.metadata
import platform

import click


@click.command()
def version() -> None:
    """Show the version of mlxhub, of Python and of the system."""
    number = importlib.metadata.version("mlxhub")
    click.echo(
        f"mlxhub {number} (Python {platform.python_version()}, {platform.system()} {platform.machine()})"
    )


COMMANDS = {"version": version}
