"""A model's chat template, run for each request where it can be ended: in a program of its own."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from signal import SIGPROF
from threading import Lock
from typing import Any

from mlxhub.errors import MlxhubError
from mlxhub.files.bare_environment import bare_environment
from mlxhub.files.kept_program import Beyond, Ended, KeptProgram
from mlxhub.files.watched_run import Limit, Limits

START_SECONDS = 15.0
# Of computing, which the program holds itself to; a machine with other work takes longer for it.
SECONDS = 2.0
WAIT_SECONDS = 15.0
# What a rendering takes grows with what it is given: texts and messages are copied some times.
MEMORY_BYTES = 64_000_000
MEMORY_FACTOR = 16
MAX_CHARACTERS = 32_000_000
# One that has read more holds on to memory.
_KEPT_BYTES = 4_000_000
_PROGRAM = (sys.executable, "-I", "-m", "mlxhub.registry.template_rendering")


class TemplateBeyond(MlxhubError):
    """`why`: what the template did for these chats. `is_long`: it wrote more than it may."""

    def __init__(self, why: str, *, is_long: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.is_long = is_long


class RendererBroken(MlxhubError):
    """The template is not to blame."""


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """`sources`: one, or several by name. `tokens`: the model's special ones, as templates call them."""

    sources: str | Mapping[str, str]
    tokens: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Chat:
    messages: Sequence[Mapping[str, Any]]
    add_generation_prompt: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """By the template; `said` is for whoever sent the chat."""

    said: str


class TemplateRenderer:
    """Its program starts with it, so that it is ready once a template is known, and anew after it was killed.

    One chat after the other is rendered; `close` may come at any time, from any thread.
    """

    def __init__(self, name: str) -> None:
        """`name`: of the model, for those who look at a machine's processes. Raises OSError."""
        self._command = (*_PROGRAM, name)
        self._template: bytes | None = None
        self._closed = False
        self._lock = Lock()
        self._program: KeptProgram | None = self._start()

    def learn(self, template: ChatTemplate) -> None:
        with self._lock:
            self._template = _line(
                templates=template.sources,
                tokens=template.tokens,
                seconds=SECONDS,
                memory_bytes=MEMORY_BYTES,
                memory_factor=MEMORY_FACTOR,
            )
            if self._program is not None:
                self._program.tell(self._template)

    def render(
        self,
        chats: Sequence[Chat],
        tools: Sequence[Mapping[str, Any]] | None,
        options: Mapping[str, Any],
        most_characters: int,
    ) -> list[str | Refused]:
        """Each of them, within the limits together. Raises TemplateBeyond, and RendererBroken."""
        most_characters = min(most_characters, MAX_CHARACTERS)
        asked = [
            {"messages": chat.messages, "add_generation_prompt": chat.add_generation_prompt} for chat in chats
        ]
        line = _line(chats=asked, tools=tools, options=options, most_characters=most_characters)
        memory = MEMORY_BYTES + MEMORY_FACTOR * len(line)
        # As JSON, a character takes six bytes at most.
        limits = Limits(START_SECONDS, WAIT_SECONDS, memory, 100_000 + 6 * most_characters * len(chats))
        with self._lock:
            answer = self._ask(line, limits)
            if "beyond" in answer or len(line) > _KEPT_BYTES:
                self._end()
        if "beyond" in answer:
            raise _beyond(answer["beyond"], most_characters)
        return [each if isinstance(each, str) else Refused(each["refused"]) for each in answer["texts"]]

    def close(self) -> None:
        """Whoever waits for a text gets an error."""
        self._closed = True
        if (program := self._program) is not None:
            program.kill()
        with self._lock:
            self._end()

    def _ask(self, line: bytes, limits: Limits) -> Any:
        try:
            return json.loads(self._ready().ask(line, limits).decode(errors="surrogatepass"))
        except Beyond as beyond:
            self._end()
            if beyond.limit is Limit.START:
                raise RendererBroken("The program that renders chat templates did not start.") from None
            return {"beyond": beyond.limit}
        except Ended as ended:
            self._end()
            return {"beyond": "computing" if ended.code == -SIGPROF else "end"}

    def _ready(self) -> KeptProgram:
        """The one there is, or, where it was killed, another one."""
        assert self._template is not None, "it has learned no template"
        if self._program is not None and not self._program.is_alive:
            self._end()
        if self._program is None:
            try:
                self._program = self._start()
            except OSError as error:
                raise RendererBroken("The program that renders chat templates cannot be started.") from error
            self._program.tell(self._template)
        if self._closed:
            # Nobody else may have seen the one that was just started.
            self._end()
            raise RendererBroken("The model is gone.")
        return self._program

    def _start(self) -> KeptProgram:
        return KeptProgram(self._command, environment=bare_environment())

    def _end(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.close()


def _line(**fields: Any) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode(errors="surrogatepass")


def _beyond(what: str, most_characters: int) -> TemplateBeyond:
    match what:
        case "computing":
            return TemplateBeyond(f"did not end within {SECONDS:g} s of computing")
        case Limit.TIME:
            return TemplateBeyond(f"did not end within {WAIT_SECONDS:g} s")
        case Limit.MEMORY:
            return TemplateBeyond("took too much memory")
        case Limit.OUTPUT:
            return TemplateBeyond(f"wrote more than {most_characters} characters", is_long=True)
        case "depth":
            return TemplateBeyond("is nested, or calls itself, too deeply")
        case _:
            return TemplateBeyond("broke the program that renders it")
