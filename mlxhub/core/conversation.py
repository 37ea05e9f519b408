"""A conversation in a terminal: what a line means, and what the model is told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

_QUOTES = '"""'
HELP = f"""\
/reset         begin anew; what /system said stays
/system TEXT   tell the model this before everything else; without TEXT, nothing any more
/help          this
/exit          end, as ctrl-d does
{_QUOTES}            begins and ends a text of several lines; alt-enter breaks a line too
ctrl-c         stops the answer; what it said until then stays"""


@dataclass(frozen=True, slots=True)
class Ask:
    text: str


@dataclass(frozen=True, slots=True)
class Reset:
    pass


@dataclass(frozen=True, slots=True)
class System:
    """`text` None: nothing any more."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Help:
    pass


@dataclass(frozen=True, slots=True)
class Exit:
    pass


@dataclass(frozen=True, slots=True)
class Unknown:
    command: str


Line = Ask | Reset | System | Help | Exit | Unknown


def is_open(typed: str) -> bool:
    """Whether a text of several lines has begun and not ended."""
    text = typed.strip()
    return text.startswith(_QUOTES) and not (len(text) >= 2 * len(_QUOTES) and text.endswith(_QUOTES))


def meant(typed: str) -> Line | None:
    """None: there is nothing."""
    text = typed.strip()
    if text.startswith(_QUOTES):
        text = text.removeprefix(_QUOTES).removesuffix(_QUOTES).strip("\n")
        return Ask(text) if text.strip() else None
    if not text.startswith("/"):
        return Ask(text) if text else None
    command, _, rest = text.partition(" ")
    match command:
        case "/reset" | "/clear":
            return Reset()
        case "/system":
            return System(rest.strip() or None)
        case "/help" | "/?":
            return Help()
        case "/exit" | "/bye" | "/quit":
            return Exit()
        case _:
            return Unknown(command)


@dataclass(frozen=True, slots=True)
class Conversation:
    """`turns`: question and answer after each other."""

    system: str | None = None
    turns: tuple[tuple[str, str], ...] = ()

    def reset(self) -> "Conversation":
        return replace(self, turns=())

    def with_turn(self, question: str, answer: str) -> "Conversation":
        return replace(self, turns=(*self.turns, (question, answer)))

    def messages(self, question: str) -> Sequence[tuple[str, str]]:
        """Role and content of each message that asks this."""
        told = [] if self.system is None else [("system", self.system)]
        for asked, answered in self.turns:
            told += [("user", asked), ("assistant", answered)]
        return [*told, ("user", question)]
