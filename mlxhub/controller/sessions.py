"""Browsers that were unlocked: a token that works once is exchanged for a session of some hours."""

import hashlib
import secrets
from collections.abc import Callable

from mlxhub.refusals import UnlockExpired

TOKEN_SECONDS = 60.0
SESSION_SECONDS = 12 * 3600.0
_MOST_TOKENS = 16
_MOST_SESSIONS = 64
_BYTES = 32


class Sessions:
    """In memory alone, and only digests: when the controller ends, every session does."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic."""
        self._clock = clock
        self._tokens: dict[bytes, float] = {}
        self._sessions: dict[bytes, float] = {}

    def make_token(self) -> str:
        """Opens one session within TOKEN_SECONDS."""
        return _make(self._tokens, self._clock() + TOKEN_SECONDS, _MOST_TOKENS)

    def open(self, token: str) -> str:
        """A session for a token that was not used yet. Raises UnlockExpired."""
        until = self._tokens.pop(_digest(token.encode(errors="replace")), None)
        if until is None or self._clock() >= until:
            raise UnlockExpired
        return _make(self._sessions, self._clock() + SESSION_SECONDS, _MOST_SESSIONS)

    def is_open(self, shown: bytes) -> bool:
        until = self._sessions.get(_digest(shown))
        return until is not None and self._clock() < until


def _make(kept: dict[bytes, float], until: float, most: int) -> str:
    """The oldest makes room."""
    while len(kept) >= most:
        del kept[next(iter(kept))]
    secret = secrets.token_urlsafe(_BYTES)
    kept[_digest(secret.encode())] = until
    return secret


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
