"""What a chat template sees, as transformers makes it. Standard library and jinja2 only."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

# The names of a message's thoughts, of which transformers takes the first.
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")


def make_environment(
    kind: type[ImmutableSandboxedEnvironment] = ImmutableSandboxedEnvironment,
) -> ImmutableSandboxedEnvironment:
    environment = kind(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _raise_exception,
        # Local and without a zone: what `%z` gives must be what transformers gives.
        "strftime_now": lambda form: datetime.now().strftime(form),  # noqa: DTZ005 - as said above
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return environment


def chosen_template(templates: str | Mapping[str, str], *, with_tools: bool) -> str:
    """Of several by name. Raises ValueError."""
    if isinstance(templates, str):
        return templates
    for name in ("tool_use", "default") if with_tools else ("default",):
        if name in templates:
            return templates[name]
    raise ValueError("there are several, and none of them is named default")


def template_variables(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None,
    *,
    add_generation_prompt: bool,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """`options`: the model's special tokens, and what else the template may ask for. Raises ValueError."""
    if not messages:
        raise ValueError("there are no messages")
    return {
        **options,
        "messages": [_with_thoughts(_without_nulls(message)) for message in messages],
        "tools": tools,
        "documents": None,
        "add_generation_prompt": add_generation_prompt,
    }


def said(error: Exception) -> str:
    """In one line of letters."""
    text = " ".join(str(error).split())[:300]
    return "".join(each if each.isprintable() else "?" for each in text) or type(error).__name__


def _without_nulls(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if value is not None}


def _with_thoughts(message: dict[str, Any]) -> dict[str, Any]:
    thought = next((message[key] for key in _THOUGHTS if key in message), None)
    return message if thought is None else {"thinking": thought, **message, "reasoning_content": thought}


class _Generation(Extension):
    """`{% generation %}` marks what an assistant said."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 reads it so

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("say"), [], [], body).set_lineno(line)

    def say(self, caller: Callable[[], str]) -> str:
        return caller()


class _Dict:
    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(Namespace):
    """Without names that begin with an underscore."""

    # jinja2's own begins so too: `namespace(self=1)` must work.
    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *given = args
        named = dict(*given, **kwargs)
        for name in named:
            _check_name(name)
        Namespace.__init__(self, named)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace may not have a {name!r}")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    """jinja2's own escapes HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    raise TemplateError(message)
