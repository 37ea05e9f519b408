"""The attack lines that are requests: one list, for a live hub and for a guard in this process.

The ids A1… are those of the published list of attacks (docs/security.md).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.attacks.place import Place, Program
from tests.attacks.raw import Answer, exchange

BOTH = (Program.CONTROLLER, Program.WORKER)
# An answer to a refused request never takes this long, nor does a good request that follows.
ANSWER_SECONDS = 5.0
_LEAKS = re.compile(rb"0x[0-9a-f]{6,}|/Users/|Traceback", re.IGNORECASE)
# What every answer says of itself.
_ALWAYS = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

Requests = Callable[[Place], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Line:
    """`requests` each go out on a connection of their own and get one of these answers.

    `code` is the error's, "" where there must be no body at all. `never`: what no answer says, besides what
    none may. `app`: it passes the guard, and is for a program that answers it.
    """

    id: str
    requests: Requests
    status: int | tuple[int, ...]
    code: str | None = None
    programs: tuple[Program, ...] = BOTH
    never: tuple[str, ...] = ()
    app: bool = False
    param: str | None = None

    @property
    def attack(self) -> str:
        return self.id.partition(" ")[0]

    def play(self, place: Place, *secrets: str) -> None:
        """`secrets`: what this place must never tell, its own keys apart."""
        for request in self.requests(place):
            done = exchange(place.port, request, ANSWER_SECONDS)
            said = f"{self.id}: {request[:300]!r} -> {done.received[:1000]!r} in {done.seconds:.2f} s"
            assert done.closed, said
            answer = done.answer
            wanted = (self.status,) if isinstance(self.status, int) else self.status
            assert answer.status in wanted, said
            require_harmless(answer, place, *self.never, *secrets)
            if self.code == "":
                assert answer.body == b"", said
            elif self.code is not None:
                assert answer.error["code"] == self.code, said
            if self.param is not None:
                assert answer.error["param"] == self.param, said


def require_harmless(answer: Answer, place: Place, *never: str) -> None:
    """What holds of every answer, whatever was asked."""
    assert answer.status < 500, answer
    for name, value in _ALWAYS.items():
        assert answer.header(name) == value, answer
    names = [name for name, _ in answer.headers]
    assert not [name for name in names if name.startswith("access-control-") or name == "set-cookie"], answer
    assert "server" not in names
    require_nothing_told(answer, place, *never)


def require_nothing_told(answer: Answer, place: Place, *never: str) -> None:
    """Neither keys, nor addresses in memory, nor paths, nor tracebacks."""
    whole = b"\n".join(
        [*(f"{name}: {value}".encode("latin-1") for name, value in answer.headers), answer.body]
    )
    for secret in (place.api, place.admin, place.own, *never):
        assert secret.encode() not in whole, answer
    if answer.status >= 400:
        assert not _LEAKS.search(whole), answer
