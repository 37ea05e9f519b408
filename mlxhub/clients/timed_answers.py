"""Answers that are timed: several at once, each with a prompt that nothing was kept of."""

import random
import threading
import time
from collections.abc import Callable

from mlxhub.clients.chat import ChatMessage, ChatTarget, Said, Thought, Used, chat_stream
from mlxhub.core.speed import Answer
from mlxhub.errors import MlxhubError
from mlxhub.protocol.errors import ErrorBody, RemoteError

_WORDS = [
    "river",
    "copper",
    "window",
    "seven",
    "lantern",
    "orchard",
    "winter",
    "paper",
    "signal",
    "harbour",
    "meadow",
    "engine",
    "violet",
    "stone",
]
_TASK = "Tell a long story in which all of these words occur, in this order:"


def timed_answers(
    target: ChatTarget,
    model: str,
    streams: int,
    *,
    words: int,
    max_tokens: int,
    clock: Callable[[], float] = time.monotonic,
) -> list[Answer]:
    """So many at once. Blocks. Raises what the first of them raises that fails: WorkerSilent, RemoteError."""
    answers: list[Answer] = []
    errors: list[MlxhubError] = []

    def ask(prompt: str) -> None:
        try:
            answers.append(_timed(target, model, prompt, max_tokens, clock))
        except MlxhubError as error:
            errors.append(error)

    # Daemons: ctrl-c ends the answers with the program.
    threads = [
        threading.Thread(target=ask, args=(_prompt(words),), name=f"stream-{number}", daemon=True)
        for number in range(streams)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    assert len(answers) == streams, "a stream ended without an answer and without an error that is known"
    return answers


def _timed(
    target: ChatTarget, model: str, prompt: str, max_tokens: int, clock: Callable[[], float]
) -> Answer:
    messages: list[ChatMessage] = [{"role": "user", "content": prompt}]
    asked_at = clock()
    first_at = last_at = None
    used = Used(0, 0)
    for piece in chat_stream(target, model, messages, max_tokens=max_tokens):
        match piece:
            case Said() | Thought():
                last_at = clock()
                first_at = first_at or last_at
            case Used():
                used = piece
    if first_at is None or last_at is None:
        said = "the answer was empty, so there is nothing to time."
        raise RemoteError(502, ErrorBody(message=said, type="server_error", code="empty_answer"))
    return Answer(asked_at, first_at, last_at, used.prompt_tokens, used.completion_tokens)


def _prompt(words: int) -> str:
    """Begins with a number of its own, so that no cache knows the beginning."""
    chosen = " ".join(random.choices(_WORDS, k=words))  # noqa: S311 - nothing secret
    return f"{random.getrandbits(64):x}. {_TASK} {chosen}."
