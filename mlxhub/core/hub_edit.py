"""Changes of `models:` in YAML that leave every other line as it is: comments and order are a person's."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_INDENT = "  "
_OFF = "# "


class NotEditable(ValueError):
    """Why this text is better edited by hand."""


def with_model(text: str, entry: Mapping[str, str], comment: str) -> str:
    """A model more, at the end of `models:`. Raises NotEditable."""
    changed = _with_model(text, entry, comment)
    before, after = _said(text), _said(changed)
    wanted = [*(before.pop("models", None) or []), dict(entry)]
    # Anchors, for instance, make lines mean what they do not say.
    if after.pop("models", None) != wanted or after != before:
        raise NotEditable("its models are written in a way that only a person can add to")
    return changed


def _with_model(text: str, entry: Mapping[str, str], comment: str) -> str:
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    models = _models(text)
    if models is None:
        # A key that is there without a value gets one.
        place = next((number for number, line in enumerate(lines) if line.startswith("models:")), None)
        if place is None:
            return "".join([*lines, "models:\n", *_entry(_INDENT, entry, comment)])
        return "".join([*lines[: place + 1], *_entry(_INDENT, entry, comment), *lines[place + 1 :]])
    if models.flow_style and models.value:
        raise NotEditable("models: stands in brackets. Write each model in a line of its own, after a dash")
    if models.flow_style:
        place = models.start_mark.line
        line = lines[place]
        begun = f"{line[: models.start_mark.column].rstrip()}{line[models.end_mark.column :]}"
        return "".join([*lines[:place], begun, *_entry(_INDENT, entry, comment), *lines[place + 1 :]])
    indent = " " * models.start_mark.column
    end = _last_line(models) + 1
    return "".join([*lines[:end], *_entry(indent, entry, comment), *lines[end:]])


def without_model(text: str, name: str) -> str:
    """Its entry as a comment: nothing that somebody wrote is lost. Raises NotEditable, KeyError."""
    models, entry = _found(text, name)
    if entry is None:
        raise KeyError(name)
    changed = _without(text, models, entry)
    _require_only_gone(text, changed, name)
    return changed


def _require_only_gone(text: str, changed: str, name: str) -> None:
    before, after = _said(text), _said(changed)
    wanted = [model for model in before.pop("models") if model.get("name") != name]
    if (after.pop("models", None) or []) != wanted or after != before:
        raise NotEditable("its models are written in a way that only a person can take apart")


def _without(text: str, models: yaml.SequenceNode, entry: yaml.Node) -> str:
    lines = text.splitlines(keepends=True)
    first, last = entry.start_mark.line, _last_line(entry)
    column = models.start_mark.column
    off = [
        f"{line[:column]}{_OFF}{line[column:]}" if line.strip() else line for line in lines[first : last + 1]
    ]
    return "".join([*lines[:first], *off, *lines[last + 1 :]])


def without_lines_of(text: str, name: str) -> str:
    """Its entry is gone, with the comment right above it. Raises NotEditable."""
    _, entry = _found(text, name)
    if entry is None:
        return text
    lines = text.splitlines(keepends=True)
    first = entry.start_mark.line
    begin = first - 1 if first and lines[first - 1].lstrip().startswith(_OFF) else first
    changed = "".join([*lines[:begin], *lines[_last_line(entry) + 1 :]])
    _require_only_gone(text, changed, name)
    return changed


def with_model_again(text: str, name: str) -> str | None:
    """An entry of this name that is a comment, as an entry again; None: there is none."""
    lines = text.splitlines(keepends=True)
    for first, line in enumerate(lines):
        column = len(line) - len(line.lstrip(" "))
        if not line.startswith(f"{_OFF}- ", column):
            continue
        block = _commented(lines[first:], column)
        if _names("".join(block), name):
            return "".join([*lines[:first], *block, *lines[first + len(block) :]])
    return None


def _commented(lines: Sequence[str], column: int) -> list[str]:
    """What stands behind the marks of an entry's lines, up to the next entry."""
    mark = " " * column + _OFF
    block = [lines[0].replace(_OFF, "", 1)]
    for line in lines[1:]:
        if not line.startswith(f"{mark}  "):
            break
        block.append(line.replace(_OFF, "", 1))
    return block


def _names(block: str, name: str) -> bool:
    try:
        said = yaml.safe_load(block)
    except yaml.YAMLError:
        return False
    return (
        isinstance(said, list)
        and len(said) == 1
        and isinstance(said[0], dict)
        and said[0].get("name") == name
    )


def _found(text: str, name: str) -> tuple[yaml.SequenceNode, yaml.Node | None]:
    """The list, and the entry of this name, if there is one."""
    models = _models(text)
    if models is None or models.flow_style:
        raise NotEditable("models: does not stand in lines of its own, one model after each dash")
    return models, next((each for each in models.value if _value_of(each, "name") == name), None)


def _models(text: str) -> yaml.SequenceNode | None:
    """None: there are none."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise NotEditable("it is not valid YAML") from error
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise NotEditable("it is not a list of keys, one in a line")
    node = next((value for key, value in root.value if key.value == "models"), None)
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        return None
    if not isinstance(node, yaml.SequenceNode):
        raise NotEditable("models: is no list")
    return node


def _value_of(entry: yaml.Node, wanted: str) -> str | None:
    if not isinstance(entry, yaml.MappingNode):
        return None
    return next((value.value for key, value in entry.value if key.value == wanted), None)


def _last_line(node: yaml.Node) -> int:
    """Of what it says: PyYAML counts the comments behind it in."""
    is_block = isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value
    if not is_block:
        # The mark stands behind it; behind a line break where it is a block of text.
        end: int = node.end_mark.line
        return end - 1 if node.end_mark.column == 0 and end > node.start_mark.line else end
    last = node.value[-1]
    return _last_line(last[1] if isinstance(last, tuple) else last)


def _entry(indent: str, entry: Mapping[str, str], comment: str) -> list[str]:
    keys = [f"{key}: {_scalar(value)}" for key, value in entry.items()]
    return [
        f"{indent}# {comment}\n",
        f"{indent}- {keys[0]}\n",
        *(f"{indent}  {key}\n" for key in keys[1:]),
    ]


def _scalar(value: str) -> str:
    """In quotes where it needs them."""
    return yaml.safe_dump(value, width=10_000, allow_unicode=True).removesuffix("\n...\n").removesuffix("\n")


def _said(text: str) -> dict[str, Any]:
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise NotEditable("it is not valid YAML") from error
    return said if isinstance(said, dict) else {}
