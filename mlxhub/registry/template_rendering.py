"""A program of its own, standard library and jinja2 only: renders the chats of one model.

Its standard input is a line of JSON for the model (`Model`), answered with "ready", then one for each request
(`Work`), answered with {"beyond": "memory" | "output" | "depth"}, or with {"texts": […]}: a text for each
chat, or {"refused": why}. It dies of SIGPROF where one takes too much computing, and ends with its input.
"""

import json
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypedDict

from jinja2 import Template

from mlxhub.registry.template_environment import chosen_template, make_environment, said, template_variables
from mlxhub.registry.template_limits import TooLong, forbid_files, joined, limit_memory, used_memory


class Model(TypedDict):
    """`templates`: one, or several by name. `tokens`: its special ones, as templates call them.

    A request may take `seconds` of computing, and `memory_bytes` with `memory_factor` times its own length.
    """

    templates: str | dict[str, str]
    tokens: dict[str, str]
    seconds: float
    memory_bytes: int
    memory_factor: int


class Chat(TypedDict):
    messages: list[Any]
    add_generation_prompt: bool


class Work(TypedDict):
    chats: list[Chat]
    tools: list[Any] | None
    options: dict[str, Any]
    most_characters: int


class Renderer:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._compiled: dict[str, Template] = {}

    def compile(self) -> None:
        """All, so that nobody waits for it. What is wrong with one is told to whoever needs it."""
        templates = self._model["templates"]
        for source in [templates] if isinstance(templates, str) else templates.values():
            with suppress(Exception):
                self._template(source)

    def answer(self, work: Work) -> dict[str, Any]:
        try:
            return {"texts": [self._text(chat, work) for chat in work["chats"]]}
        except MemoryError:
            return {"beyond": "memory"}
        except RecursionError:
            return {"beyond": "depth"}
        except TooLong:
            return {"beyond": "output"}

    def _text(self, chat: Chat, work: Work) -> str | Mapping[str, str]:
        try:
            source = chosen_template(self._model["templates"], with_tools=work["tools"] is not None)
            variables = template_variables(
                chat["messages"],
                work["tools"],
                add_generation_prompt=chat["add_generation_prompt"],
                options={**self._model["tokens"], **work["options"]},
            )
            return joined(self._template(source).generate(variables), work["most_characters"])
        except (MemoryError, RecursionError, TooLong):
            raise
        except Exception as error:  # noqa: BLE001 - a template is a program of the model's author and raises anything
            return {"refused": said(error)}

    def _template(self, source: str) -> Template:
        if source not in self._compiled:
            self._compiled[source] = make_environment().from_string(source)
        return self._compiled[source]


def _main() -> None:
    # Whoever stops a worker in a terminal stops it there; this one ends when the worker closes its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forbid_files()
    model: Model = json.loads(sys.stdin.buffer.readline())
    renderer = Renderer(model)
    renderer.compile()
    _say("ready")
    allowed = used_memory() + model["memory_bytes"]
    for line in sys.stdin.buffer:
        work: Work = json.loads(line)
        limit_memory(allowed + model["memory_factor"] * len(line))
        # Its signal ends the process whatever it is at, also within one call of C.
        signal.setitimer(signal.ITIMER_PROF, model["seconds"])
        answer = renderer.answer(work)
        signal.setitimer(signal.ITIMER_PROF, 0)
        limit_memory(None)
        _say(answer)


def _say(answer: Any) -> None:
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode(errors="surrogatepass") + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
