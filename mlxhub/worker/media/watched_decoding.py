"""Decoding files where hostile ones do no harm: a few KB may ask for gigabytes or hours, or break FFmpeg."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from mlxhub.files.bare_environment import bare_environment
from mlxhub.files.watched_run import Limit, Limits, run_watched
from mlxhub.refusals import GenerationFailed, InvalidRequest
from mlxhub.worker.media.wanted import is_wanted

# The longest video that is taken needs half a minute and more.
SECONDS = 120.0
_START_SECONDS = 15.0
_PROGRAM = (sys.executable, "-I", "-m", "mlxhub.worker.media.decoding_program")
READY = b"ready\n"


def decode_watched(
    order: Mapping[str, Any],
    data: bytes,
    memory_bytes: int,
    output_bytes: int,
    refusal: Callable[[str], InvalidRequest],
) -> bytes | None:
    """What the program says of it, one line of JSON and what follows. None: it cannot be decoded.

    Raises `refusal` of what speaks against it.
    """
    limits = Limits(_START_SECONDS, SECONDS, memory_bytes, output_bytes)
    given = json.dumps(order).encode() + b"\n" + data
    try:
        done = run_watched(_PROGRAM, given, limits, environment=bare_environment(), is_wanted=is_wanted)
    except OSError as error:
        raise GenerationFailed("the program that decodes media could not be started.") from error
    match done.beyond:
        case Limit.START:
            raise GenerationFailed("the program that decodes media did not start in time.")
        case Limit.TIME:
            raise refusal(f"it takes more than {SECONDS:g} s to decode. Send a part of it, or a smaller one.")
        case Limit.MEMORY:
            raise refusal("it takes too much memory to decode. Send a smaller one.")
        case Limit.UNWANTED:
            raise refusal("nobody waits for it any more.")
    if done.code != 0:
        return None
    output = done.output[len(READY) :]
    if (why := json.loads(output[: output.index(b"\n")]).get("refused")) is not None:
        raise refusal(why)
    return output
