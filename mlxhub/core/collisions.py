"""What two entries of hub.yaml both claim: ports, ids, and names of groups."""

from mlxhub.core.document import Document, Location, Value
from mlxhub.errors import Fault


def collisions(document: Document, source: str, *, default_port: int) -> list[Fault]:
    """Works on raw values, so that other faults do not hide these. `default_port`: the controller's."""
    value = document.value if isinstance(document.value, dict) else {}
    return [
        *_two_of_one_port(document, source, value.get("port", default_port), _named(value.get("models"))),
        *_two_of_one_id(document, source, _named(value.get("models"))),
        *_two_groups_of_one_name(document, source, _named(value.get("groups"))),
    ]


_Entry = tuple[int, dict[str, Value], str]


def _named(entries: Value) -> list[_Entry]:
    """Those that can be spoken of: their place, what they say, and their name."""
    return [
        (index, entry, name)
        for index, entry in enumerate(entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(name := entry.get("name"), str)
    ]


def _two_of_one_port(
    document: Document, source: str, controller_port: Value, models: list[_Entry]
) -> list[Fault]:
    owners: dict[int, str] = {controller_port: "controller"} if isinstance(controller_port, int) else {}
    faults = []
    for index, model, name in models:
        port = model.get("port")
        if isinstance(port, int) and port in owners:
            other = owners[port]
            who = (
                f'models "{other}" and "{name}"'
                if other != "controller"
                else f'the controller and model "{name}"'
            )
            line = document.line_of(("models", index, "port"))
            faults.append(Fault(source, line, f"{who} both use port {port}. Give one of them another port."))
        elif isinstance(port, int):
            owners[port] = name
    return faults


def _two_of_one_id(document: Document, source: str, models: list[_Entry]) -> list[Fault]:
    """Names first: an alias yields to them, wherever they stand."""
    owners: dict[str, str] = {}
    faults: list[Fault] = []

    def claim(location: Location, model_id: str, owner: str) -> None:
        if model_id in owners:
            message = f'"{model_id}" means model "{owners[model_id]}" already. Use another name or alias.'
            faults.append(Fault(source, document.line_of(location), message))
        else:
            owners[model_id] = owner

    for index, _model, name in models:
        claim(("models", index, "name"), name, name)
    for index, model, name in models:
        aliases = model.get("aliases")
        for place, alias in enumerate(aliases if isinstance(aliases, list) else []):
            if isinstance(alias, str):
                claim(("models", index, "aliases", place), alias, name)
    return faults


def _two_groups_of_one_name(document: Document, source: str, groups: list[_Entry]) -> list[Fault]:
    known: set[str] = set()
    faults = []
    for index, _group, name in groups:
        if name in known:
            line = document.line_of(("groups", index, "name"))
            faults.append(
                Fault(source, line, f'there is a group "{name}" already. Use another name, or remove one.')
            )
        known.add(name)
    return faults
