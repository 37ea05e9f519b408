"""A program of its own, standard library and jinja2 only: renders chat templates to see what they do.

Standard input is JSON: [[template, …], the most characters one may render to, bytes of memory, seconds].
Once it is ready it says so, then one line of JSON for each template: null, or what is wrong with it.
"""

import json
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

_USER = {"role": "user", "content": "Hi"}
_SYSTEM = {"role": "system", "content": "Be brief."}
_ASSISTANT = {"role": "assistant", "content": "Hello."}
_TOOL = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    },
}
# The first must work. Many templates know neither system messages nor tools, and say so.
_CASES: Sequence[tuple[list[dict[str, str]], list[dict[str, Any]] | None]] = [
    (messages, tools)
    for tools in (None, [_TOOL])
    for messages in ([_USER], [_SYSTEM, _USER], [_USER, _ASSISTANT, _USER])
]
_TOKENS = {
    f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "pad", "sep", "cls", "mask")
}  # fmt: skip
# What the template's author may have got wrong, or left out.
_OWN_ERRORS = (
    TemplateError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
)


class _Beyond(Exception):
    pass


class _Environment(ImmutableSandboxedEnvironment):
    """As transformers makes it; but what is forbidden is an error at once, not when its value is used."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        raise SecurityError(f"{attribute!r} of a {type(obj).__name__} is out of its reach")


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


def _environment() -> _Environment:
    environment = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": lambda form: datetime.now().astimezone().strftime(form),
        "dict": _Dict(),
        "namespace": Namespace,
    }
    return environment


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


def _fault(source: str, most_characters: int) -> str | None:
    try:
        template = _environment().from_string(source)
        for number, (messages, tools) in enumerate(_CASES):
            try:
                _render(template.generate(_given(messages, tools)), most_characters)
            except SecurityError:
                raise
            except _OWN_ERRORS as error:
                if number == 0:
                    return f"it cannot render a user's message: {_said(error)}"
    except SecurityError as error:
        return f"it reaches for what it may not: {_said(error)}"
    except _OWN_ERRORS as error:
        return f"it is no jinja template: {_said(error)}"
    except MemoryError:
        return "it takes too much memory"
    except RecursionError:
        return "it is nested, or calls itself, too deeply"
    except _Beyond:
        return f"it renders to over {most_characters} characters"
    return None


def _given(messages: Any, tools: Any) -> dict[str, Any]:
    return {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": True, **_TOKENS}


def _render(pieces: Iterator[str], most_characters: int) -> None:
    characters = 0
    for piece in pieces:
        characters += len(piece)
        if characters > most_characters:
            raise _Beyond


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return "".join(each if each.isprintable() else "?" for each in text)[:200] or type(error).__name__


def _limit(memory_bytes: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _main() -> None:
    templates, most_characters, memory_bytes, seconds = json.load(sys.stdin)
    _limit(memory_bytes, seconds)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for source in templates:
        sys.stdout.write(json.dumps(_fault(source, most_characters)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
