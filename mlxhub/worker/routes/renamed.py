"""Faults in a chat request that was made from another API's, told by the names that API has."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError

from mlxhub.refusals import InvalidRequest
from mlxhub.web.responses import invalid_request


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """`names`: the client's by ours, of parameters. What is in none of them keeps its name."""
    try:
        yield
    except ValidationError as error:
        raise _renamed(invalid_request(error), names) from None
    except InvalidRequest as error:
        raise _renamed(error, names) from None


def _renamed(error: InvalidRequest, names: Mapping[str, str]) -> InvalidRequest:
    param = error.param or ""
    for ours, theirs in names.items():
        if param == ours or param.startswith((f"{ours}.", f"{ours}[")):
            message = str(error)
            if message.startswith(ours):
                message = theirs + message.removeprefix(ours)
            return InvalidRequest(message, theirs + param.removeprefix(ours))
    return error
