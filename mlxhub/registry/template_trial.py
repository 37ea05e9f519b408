"""A program of its own, standard library and jinja2 only: renders chat templates to see what they do.

Standard input is JSON: [[template, …], the most characters one may render to, bytes of memory, seconds].
Once it is ready it says so, then one line of JSON for each template: null, or what is wrong with it.
"""

import json
import resource
import sys
from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mlxhub.registry.template_environment import make_environment, said, template_variables
from mlxhub.registry.template_limits import TooLong, forbid_files, joined, limit_memory, used_memory

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


class _Environment(ImmutableSandboxedEnvironment):
    """As transformers makes it; but what is forbidden is an error at once, not when its value is used."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        raise SecurityError(f"{attribute!r} of a {type(obj).__name__} is out of its reach")


def _fault(source: str, most_characters: int) -> str | None:
    try:
        template = make_environment(_Environment).from_string(source)
        for number, (messages, tools) in enumerate(_CASES):
            try:
                joined(template.generate(_given(messages, tools)), most_characters)
            except SecurityError:
                raise
            except _OWN_ERRORS as error:
                if number == 0:
                    return f"it cannot render a user's message: {said(error)}"
    except SecurityError as error:
        return f"it reaches for what it may not: {said(error)}"
    except _OWN_ERRORS as error:
        return f"it is no jinja template: {said(error)}"
    except MemoryError:
        return "it takes too much memory"
    except RecursionError:
        return "it is nested, or calls itself, too deeply"
    except TooLong:
        return f"it renders to over {most_characters} characters"
    return None


def _given(messages: Any, tools: Any) -> dict[str, Any]:
    return template_variables(messages, tools, add_generation_prompt=True, options=_TOKENS)


def _main() -> None:
    templates, most_characters, memory_bytes, seconds = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    forbid_files()
    limit_memory(used_memory() + memory_bytes)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for source in templates:
        sys.stdout.write(json.dumps(_fault(source, most_characters)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
