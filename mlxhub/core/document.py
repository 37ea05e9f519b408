"""YAML text to plain values, keeping the line of every key and item."""

from collections.abc import Hashable
from dataclasses import dataclass

import yaml

from mlxhub.errors import Fault

MAX_CHARACTERS = 1_000_000
MAX_NODES = 20_000
MAX_DEPTH = 20

Location = tuple[str | int, ...]
Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class Document:
    """`lines` maps the way to a value, as in ("models", 0, "port"), to the line it stands in, from 1."""

    value: Value
    lines: dict[Location, int]
    faults: tuple[Fault, ...]

    def line_of(self, location: Location) -> int | None:
        """The line of the nearest thing that exists: a missing key is blamed on its parent."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)


def read_document(text: str, *, source: str) -> Document:
    """Text that is not YAML gives a document without a value and with the fault that says so."""
    if len(text) > MAX_CHARACTERS:
        return Document(None, {}, (Fault(source, None, f"longer than {MAX_CHARACTERS} characters."),))
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        return Document(
            None, {}, (Fault(source, line, f"not valid YAML: {error.problem or error.context}."),)
        )
    except (yaml.YAMLError, RecursionError) as error:
        return Document(None, {}, (Fault(source, None, f"not valid YAML: {type(error).__name__}."),))
    reader = _Reader(source)
    value = reader.read(node, ()) if node is not None else None
    return Document(value, reader.lines, tuple(reader.faults))


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[Location, int] = {}
        self.faults: list[Fault] = []
        self._nodes = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def read(self, node: yaml.Node, location: Location) -> Value:
        self.lines.setdefault(location, node.start_mark.line + 1)
        self._nodes += 1
        if self._nodes > MAX_NODES:  # aliases of aliases would grow without end
            if self._nodes == MAX_NODES + 1:
                self._fault(node, "too many values (anchors that repeat themselves?).")
            return None
        if len(location) > MAX_DEPTH:
            self._fault(node, "too deep (an anchor that contains itself?).")
            self._nodes = MAX_NODES + 1
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*location, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> Value:
        values: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                self._fault(key_node, "a key must be a plain word.")
            elif key in values:
                first = self.lines[(*location, key)]
                self._fault(key_node, f'"{key}" stands here twice (first in line {first}). Remove one.')
            else:
                self.lines[*location, key] = key_node.start_mark.line + 1
                values[key] = self.read(value_node, (*location, key))
        return values

    def _scalar(self, node: yaml.Node) -> Value:
        try:
            value: Hashable = self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            value = object()
        if isinstance(value, str) and not value.isprintable():
            self._fault(node, f"{value!r:.60} has a control character, such as a line break. Take it out.")
            return None
        if value is None or isinstance(value, bool | int | float | str):
            return value
        self._fault(node, f'"{node.value}" is neither text, a number nor true/false. Put it in quotes.')
        return None

    def _fault(self, node: yaml.Node, message: str) -> None:
        self.faults.append(Fault(self.source, node.start_mark.line + 1, message))
