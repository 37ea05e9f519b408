"""What an echo model's `model_path` says: how fast it is, and what goes wrong with it.

    echo: load 0.5, prefill 0.2, token 0.05, weights 20MB, segv at 3 if poison, fail_load once

`load`, `prefill` and `token` are seconds; `rate` is tokens per second instead of `token`. A fault is one of
FaultKind, then what of this applies: the size of a `leak`, `at TOKEN` (before which token of an answer, the
first if not said) or `at load`, `if WORD` (only for prompts with this word) and `once` (in this process) or
`once FILE` (until the file is there, which the fault makes: also if the process dies of it).
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

PREFIX = "echo:"
# A test may fill memory, and never the machine's.
LARGEST_BYTES = 1_000_000_000
AT_LOAD = 0
_MEGABYTE = 1_000_000


class FaultKind(StrEnum):
    """OOM: memory runs out, within bounds. LEAK: an unload does not give it back. BAD_UTF8: tokens end within
    characters."""

    HANG_LOAD = "hang_load"
    FAIL_LOAD = "fail_load"
    LEAK = "leak"
    HANG_STEP = "hang_step"
    ABORT = "abort"
    SEGV = "segv"
    OOM = "oom"
    BAD_UTF8 = "bad_utf8"


_OF_LOADS = frozenset({FaultKind.HANG_LOAD, FaultKind.FAIL_LOAD, FaultKind.LEAK})
_OF_BOTH = frozenset({FaultKind.ABORT, FaultKind.SEGV, FaultKind.OOM})


@dataclass(frozen=True, slots=True)
class Once:
    """`file`: what remembers it when the process is gone."""

    file: str | None


@dataclass(frozen=True, slots=True)
class EchoFault:
    """`token`: before which of an answer it happens, or AT_LOAD. `word`: only with it in the prompt."""

    kind: FaultKind
    token: int
    size_bytes: int = 0
    word: str | None = None
    once: Once | None = None


@dataclass(frozen=True, slots=True)
class EchoScript:
    load_seconds: float = 0.0
    prefill_seconds: float = 0.0
    token_seconds: float = 0.0
    weights_bytes: int = 0
    faults: tuple[EchoFault, ...] = ()


_SETTING = re.compile(r"(load|prefill|token|rate|weights) (\d+(?:\.\d+)?)(MB)?")
_FAULT = re.compile(
    rf"(?P<kind>{'|'.join(FaultKind)})(?: (?P<megabytes>\d+)MB)?(?: at (?P<at>load|[1-9]\d*))?"
    r"(?: if (?P<word>\S+))?(?P<once> once(?: (?P<file>.+))?)?"
)


def parse_script(model_path: str) -> EchoScript:
    """Raises ValueError with the clause that is none."""
    if not model_path.startswith(PREFIX):
        raise ValueError(f'the script of an echo model begins with "{PREFIX}"')
    script = EchoScript()
    for clause in model_path.removeprefix(PREFIX).split(","):
        # A file's name may have spaces of its own: only those around a clause go.
        match clause.strip():
            case "":
                continue
            case said if (setting := _SETTING.fullmatch(said)) is not None:
                script = _with_setting(script, setting)
            case said if (fault := _FAULT.fullmatch(said)) is not None:
                script = replace(script, faults=(*script.faults, _fault(fault)))
            case said:
                raise ValueError(f'"{said}" is no clause of an echo script')
    return script


def _with_setting(script: EchoScript, said: re.Match[str]) -> EchoScript:
    number = float(said[2])
    if (said[3] is not None) is not (said[1] == "weights"):
        raise ValueError(f'"{said[0]}": weights, and nothing else, are in MB')
    match said[1]:
        case "load":
            return replace(script, load_seconds=number)
        case "prefill":
            return replace(script, prefill_seconds=number)
        case "token":
            return replace(script, token_seconds=number)
        case "rate" if number > 0:
            return replace(script, token_seconds=1 / number)
        case "weights":
            return replace(script, weights_bytes=_bytes(said[0], number))
    raise ValueError(f'"{said[0]}": a rate of nothing never ends')


def _fault(said: re.Match[str]) -> EchoFault:
    kind = FaultKind(said["kind"])
    at_load = kind in _OF_LOADS or said["at"] == "load"
    if (said["megabytes"] is not None) is not (kind is FaultKind.LEAK):
        raise ValueError(f'"{said[0]}": a leak, and nothing else, has a size')
    if said["at"] is not None and kind not in _OF_BOTH and (kind is not FaultKind.HANG_STEP or at_load):
        raise ValueError(f'"{said[0]}": a {kind} happens in its own place')
    if at_load and said["word"] is not None:
        raise ValueError(f'"{said[0]}": a load has no prompt')
    return EchoFault(
        kind,
        token=AT_LOAD if at_load else int(said["at"] or 1),
        size_bytes=_bytes(said[0], float(said["megabytes"] or 0)),
        word=said["word"],
        once=None if said["once"] is None else Once(said["file"]),
    )


def _bytes(clause: str, megabytes: float) -> int:
    size = int(megabytes * _MEGABYTE)
    if size > LARGEST_BYTES:
        raise ValueError(f'"{clause}": at most {LARGEST_BYTES // _MEGABYTE} MB')
    return size
