"""Why a request is not served, as one tree.

RequestError
├── MalformedHttp      its bytes are not HTTP/1.1 as it is spoken here
├── HeadTooLarge       its headers are too many or too long
├── TargetTooLong      its path and query are too long
├── RequestTooSlow     it did not arrive in time
├── WrongHost          it means another server than this one
├── ForeignPage        a page of another site had a browser send it
├── NoSuchRoute        there is nothing at its path
├── WrongMethod        its path takes other methods
├── KeyMissing         it needs a key and brings none that is known
├── KeyTooWeak         it needs the admin key and brings the API key
├── UnlockExpired      its one-time token was used, is too old, or never was
├── InvalidRequest     the request breaks a rule; names the parameter
├── WrongModelType     the model is of a type that its path is not for
├── NotJson            its Content-Type is not application/json
├── NotForm            its Content-Type is not multipart/form-data
├── RequestTooLarge    its body is over the limit
├── ResponseGone       it goes on from a response that is not, or no longer, kept
├── UnknownResponse    it asks for one
├── ImageGone          it asks for a picture that is no longer kept
├── ContextOverflow    prompt and answer do not fit the context
├── Quarantined        the process died of it twice
├── QueueFull          too many wait already
├── QueueTimeout       waited too long for a place
├── Draining           the worker is on its way out
├── OutboundRefused    it names an address that is not fetched from
├── OutboundFailed     what it names could not be fetched
└── GenerationFailed   the engine broke while it generated
"""

import math
from collections.abc import Sequence

from mlxhub.errors import RequestError


class MalformedHttp(RequestError):
    def __init__(self, reason: str = "This is not a valid HTTP/1.1 request.") -> None:
        super().__init__(reason)


class HeadTooLarge(RequestError):
    def __init__(self, limit_bytes: int, limit_headers: int) -> None:
        super().__init__(f"Send at most {limit_headers} headers with {limit_bytes} bytes together.")
        self.limit_bytes = limit_bytes
        self.limit_headers = limit_headers


class TargetTooLong(RequestError):
    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"Path and query may have {limit_bytes} bytes together.")
        self.limit_bytes = limit_bytes


class RequestTooSlow(RequestError):
    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"The {what} of the request did not arrive within {seconds:g} s.")
        self.what = what
        self.seconds = seconds


class WrongHost(RequestError):
    """Its text is for the log: who sent it may be a page that must not learn what answers here."""

    def __init__(self, host: str | None, own: str) -> None:
        named = "no host" if host is None else f"the host {host!r:.100}"
        super().__init__(
            f"Refused a request for {named}: this server is {own}. If a proxy of yours sends it, name that "
            "host under allowed_hosts in hub.yaml."
        )
        self.host = host


class ForeignPage(RequestError):
    def __init__(self) -> None:
        super().__init__("Web pages of other sites may not use this server.")


class NoSuchRoute(RequestError):
    def __init__(self) -> None:
        super().__init__("There is nothing at this path.")


class WrongMethod(RequestError):
    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"Send this as {' or '.join(allowed)}.")
        self.allowed = allowed


class KeyMissing(RequestError):
    """`which`: the name of the key as `mlxhub keys show` knows it."""

    def __init__(self, which: str) -> None:
        super().__init__(
            f"This needs the {which} key, as `Authorization: Bearer …`. Whoever runs this hub sees it with: "
            f"mlxhub keys show {which}"
        )
        self.which = which


class KeyTooWeak(RequestError):
    def __init__(self) -> None:
        super().__init__("The API key does not reach this: it needs the admin key (mlxhub keys show admin).")


class UnlockExpired(RequestError):
    def __init__(self) -> None:
        super().__init__("This link was used already, or is too old. Get another one with: mlxhub open")


class InvalidRequest(RequestError):
    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class WrongModelType(InvalidRequest):
    def __init__(self, name: str, model_type: str, path: str, right_paths: Sequence[str]) -> None:
        super().__init__(
            f'Model "{name}" is of type {model_type}, and {path} is for others. '
            f"Use {' or '.join(right_paths)}.",
            "model",
        )


class ThreadUnsupported(InvalidRequest):
    """A client that may, then sends whole conversations."""

    def __init__(self) -> None:
        super().__init__(
            "thread: conversations are not kept here. Send the whole conversation as `messages`.", "thread"
        )


class NotJson(RequestError):
    def __init__(self) -> None:
        super().__init__("Send this with the header Content-Type: application/json.")


class NotForm(RequestError):
    def __init__(self) -> None:
        super().__init__("Send this as a form, with the header Content-Type: multipart/form-data.")


class RequestTooLarge(RequestError):
    def __init__(self, limit_bytes: int) -> None:
        limit = f"{limit_bytes // 1_000_000} MB" if limit_bytes >= 1_000_000 else f"{limit_bytes // 1000} KB"
        super().__init__(f"The body is larger than {limit}.")
        self.limit_bytes = limit_bytes


class ResponseGone(RequestError):
    def __init__(self) -> None:
        super().__init__(
            "previous_response_id: this response is not kept here, or no longer. Send the whole conversation "
            "as `input`."
        )


class UnknownResponse(RequestError):
    def __init__(self, *, is_on: bool) -> None:
        """`is_on`: whether any is kept."""
        super().__init__(
            "This response is not kept here, or no longer."
            if is_on
            else "No responses are kept here: `response_store` of this model in hub.yaml says 0 entries."
        )


class ImageGone(RequestError):
    def __init__(self) -> None:
        super().__init__("This picture is not kept here, or no longer: they are for an hour.")


class ContextOverflow(RequestError):
    """`at_least`: the prompt was too long even to be counted.

    Clients that then shorten the conversation know it by its words: OpenAI's "This model's maximum context
    length is", Anthropic's "prompt is too long".
    """

    def __init__(self, prompt_tokens: int, context_length: int, *, at_least: bool = False) -> None:
        count = f"at least {prompt_tokens}" if at_least else f"{prompt_tokens}"
        super().__init__(
            f"This model's maximum context length is {context_length} tokens, answer included, and the "
            f"prompt is too long: it has {count}. Shorten the conversation."
        )
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length
        self.at_least = at_least


class Quarantined(RequestError):
    def __init__(self, seconds: float) -> None:
        super().__init__(
            "The model's process died twice while it answered this very request, which is not taken again "
            f"for {math.ceil(seconds / 60)} min. Change it. Who runs this hub sees more with: mlxhub crashes"
        )
        self.seconds = seconds


class QueueFull(RequestError):
    def __init__(self, queued: int) -> None:
        super().__init__(f"This model is busy, and {queued} request(s) wait already. Try again shortly.")
        self.queued = queued


class QueueTimeout(RequestError):
    def __init__(self, seconds: float) -> None:
        super().__init__(f"No place became free within {seconds:g} s (queue_timeout). Try again later.")
        self.seconds = seconds


class RequestTimeout(RequestError):
    def __init__(self, seconds: float) -> None:
        super().__init__(f"The answer was not complete within {seconds:g} s (request_timeout).")
        self.seconds = seconds


class Draining(RequestError):
    def __init__(self) -> None:
        super().__init__("This server is shutting down. Try again shortly.")


class GenerationFailed(RequestError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"Generation failed: {reason}")
        self.reason = reason


class OutboundRefused(RequestError):
    """Asking again changes nothing. `host` is None where the URL itself is at fault."""

    def __init__(self, host: str | None, reason: str) -> None:
        super().__init__(f"{host or 'This URL'} is not used: {reason}")
        self.host = host
        self.reason = reason


class OutboundFailed(RequestError):
    """Another time it may go well."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"{host} gave no usable answer: {reason}")
        self.host = host
        self.reason = reason
