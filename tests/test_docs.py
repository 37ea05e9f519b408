"""The documentation knows every command and every key."""

import re
from pathlib import Path

import click

from mlxhub.cli.main import mlxhub
from mlxhub.core.config import HubConfig, ModelConfig

DOCS = Path(__file__).parents[1] / "docs"


def test_every_command_is_explained() -> None:
    explained = set(re.findall(r"`([a-z][a-z-]*)", (DOCS / "cli.md").read_text()))
    assert set(mlxhub.list_commands(click.Context(mlxhub))) - explained == set()


def test_every_key_of_hub_yaml_is_explained() -> None:
    explained = set(re.findall(r"`([a-z_]+)`", (DOCS / "hub-yaml.md").read_text()))
    assert {*HubConfig.model_fields, *ModelConfig.model_fields} - explained == set()
