"""A link opens one browser, once, and not for ever."""

import pytest

from mlxhub.controller.sessions import SESSION_SECONDS, TOKEN_SECONDS, Sessions
from mlxhub.refusals import UnlockExpired


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_token_opens_one_session_that_ends() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    token = sessions.make_token()
    session = sessions.open(token)
    assert sessions.is_open(session.encode())
    assert not sessions.is_open(token.encode())
    with pytest.raises(UnlockExpired):
        sessions.open(token)
    clock.now += SESSION_SECONDS
    assert not sessions.is_open(session.encode())


def test_a_token_that_is_too_old_or_was_never_made_opens_nothing() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    token = sessions.make_token()
    clock.now += TOKEN_SECONDS
    for wrong in (token, "", "x", "\ud800"):
        with pytest.raises(UnlockExpired):
            sessions.open(wrong)


def test_tokens_and_sessions_are_bounded_and_the_newest_works() -> None:
    sessions = Sessions(Clock())
    opened = [sessions.open(sessions.make_token()) for _ in range(200)]
    assert sessions.is_open(opened[-1].encode())
    assert not sessions.is_open(opened[0].encode())
    tokens = [sessions.make_token() for _ in range(100)]
    sessions.open(tokens[-1])
    with pytest.raises(UnlockExpired):
        sessions.open(tokens[0])
