"""Running a program that may hang: its limit holds also where nothing can end it."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

# SIGKILL ends at once whatever is not stuck in the kernel.
_KILL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ran:
    """`code` is None where it was not done in time; `output` and `errors` then are what came until then."""

    code: int | None
    output: bytes
    errors: bytes


def run_bounded(
    command: Sequence[str], seconds: float, *, environment: Mapping[str, str] | None = None
) -> Ran:
    """What is stuck in the kernel, as on a network disk that is gone, is left behind. Raises OSError."""
    process = Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment)
    try:
        output, errors = process.communicate(timeout=seconds)
    except TimeoutExpired as late:
        end_process(process)
        return Ran(None, late.output or b"", late.stderr or b"")
    except BaseException:
        end_process(process)
        raise
    return Ran(process.returncode, output, errors)


def end_process(process: Popen[bytes]) -> None:
    """What it started may live on and hold the pipes: nobody reads them to their end."""
    process.kill()
    with contextlib.suppress(TimeoutExpired):
        process.wait(_KILL_SECONDS)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
