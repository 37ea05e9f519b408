"""Faults in a chat request that was made from another API's, told by the names that API has."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError

from mlxhub.refusals import InvalidRequest
from mlxhub.web.responses import invalid_request


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """`names`: the client's by ours, of parameters or parts of them; the first that is there counts."""
    try:
        yield
    except ValidationError as error:
        raise _renamed(invalid_request(error), names) from None
    except InvalidRequest as error:
        raise _renamed(error, names) from None


def _renamed(error: InvalidRequest, names: Mapping[str, str]) -> InvalidRequest:
    param = error.param or ""
    for ours, theirs in names.items():
        if ours in param:
            named = param.replace(ours, theirs, 1)
            message = str(error)
            if message.startswith(param):
                message = named + message.removeprefix(param)
            return InvalidRequest(message, named)
    return error
