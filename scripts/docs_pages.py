"""Pages of the documentation that are made and not written: a hook of MkDocs."""

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from mlxhub.cli.main import mlxhub
from mlxhub.controller.openapi import controller_openapi
from mlxhub.core.config import HubConfig
from mlxhub.worker.openapi import worker_openapi

_ROOT = Path(__file__).parents[1]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Decisions are pages by their number; mkdocs.yml would have to name each."""
    assert config.nav is not None
    pages = ["decisions/index.md", *(f"decisions/{path.name}" for path in _decisions())]
    explanation = next(item["Explanation"] for item in config.nav if "Explanation" in item)
    explanation.append({"Decisions": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    pages = {
        "index.md": _readme(),
        "decisions/index.md": "\n".join(_decisions_page()),
        "reference/commands.md": "\n".join(_commands_page()),
        "reference/hub-yaml-schema.md": "\n".join(_schema_page(HubConfig.model_json_schema())),
        "reference/controller.md": "\n".join(_api_page("the controller", controller_openapi())),
        "reference/worker.md": "\n".join(_api_page("a model", worker_openapi())),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def _decisions() -> list[Path]:
    return sorted((_ROOT / "docs/decisions").glob("*.md"))


def _decisions_page() -> Iterator[str]:
    yield "# Decisions\n\nWhat would be dear to change, and why it is as it is.\n"
    for path in _decisions():
        title = path.read_text().partition("\n")[0].removeprefix("# ")
        yield f"- [{title}]({path.name})"


def _readme() -> str:
    """As the site's first page: its links begin in docs/."""
    text = (_ROOT / "README.md").read_text()
    text = text.replace("](docs/decisions)", "](docs/decisions/index.md)")
    return text.replace("](docs/", "](").replace('src="docs/', 'src="')


def _commands_page() -> Iterator[str]:
    yield "# Every command's help"
    yield "\nAs `mlxhub COMMAND --help` says it; [the command line](../cli.md) says more.\n"
    yield from _options(mlxhub)
    with click.Context(mlxhub, info_name="mlxhub") as ctx:
        for name in mlxhub.list_commands(ctx):
            command = mlxhub.get_command(ctx, name)
            assert command is not None
            yield from _command(command, f"mlxhub {name}")


def _command(command: click.Command, path: str) -> Iterator[str]:
    with click.Context(command, info_name=path) as ctx:
        usage = " ".join([path, *command.collect_usage_pieces(ctx)])
    yield f"\n## {path}\n\n{inspect.cleandoc(command.help or '')}\n\n    {usage}\n"
    yield from _options(command)
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(inner, f"{path} {name}")


def _options(command: click.Command) -> Iterator[str]:
    with click.Context(command) as ctx:
        records = [
            record
            for option in command.params
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)) is not None
        ]
    if records:
        yield "| option | |"
        yield "| --- | --- |"
        yield from (f"| `{_cell(names)}` | {_cell(said)} |" for names, said in records)


def _schema_page(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "# hub.yaml, by its schema"
    yield "\nAs `mlxhub config schema` prints it, for editors; [hub.yaml](../hub-yaml.md) explains it.\n"
    yield "## The file\n"
    yield from _properties(schema)
    for name, inner in schema["$defs"].items():
        if "properties" in inner:
            yield f"\n## {name}\n\n{inner.get('description', '')}\n"
            yield from _properties(inner)


def _properties(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    yield "| key | type | default | |"
    yield "| --- | --- | --- | --- |"
    for name, said in schema["properties"].items():
        default = "**required**" if name in required else f"`{json.dumps(said.get('default'))}`"
        yield f"| `{name}` | {_type(said)} | {default} | {_cell(said.get('description', ''))} |"


def _api_page(whose: str, document: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Every route of {whose}"
    yield "\nFrom its OpenAPI document (`mlxhub config openapi`); [HTTP](../api.md) explains it.\n"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"\n## {method.upper()} {path}\n\n{operation['summary']}\n"
            yield from _route(operation, document)


def _route(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (
            f"`{each['name']}`",
            f"{each['in']}, {_type(each['schema'])}",
            _cell(each["schema"].get("description", "")),
        )
        for each in operation.get("parameters", ())
    ]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        inner = _resolved(content["schema"], document)
        rows.append(("body", media, _cell(inner.get("description", ""))))
        rows += [
            (f"`{name}`", _type(said), _cell(said.get("description", "")))
            for name, said in inner.get("properties", {}).items()
        ]
    if rows:
        yield "| takes | | |"
        yield "| --- | --- | --- |"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""
    yield "| answers | | |"
    yield "| --- | --- | --- |"
    for status, answer in operation["responses"].items():
        media = ", ".join(answer.get("content", {}))
        yield f"| {status} | {media} | {_cell(answer.get('description', ''))} |"


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = document["components"]["schemas"].get(name, schema)
    return found


def _type(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"$ref": reference}:
            return str(reference).rpartition("/")[2]
        case {"enum": values}:
            return ", ".join(f"`{json.dumps(value)}`" for value in values)
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"anyOf": options} | {"oneOf": options}:
            return " or ".join(dict.fromkeys(_type(option) for option in options))
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": kind}:
            return str(kind)
        case _:
            return "anything"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
