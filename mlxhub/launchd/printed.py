"""Reading what `launchctl print` prints, which Apple calls no API: whatever is not understood is UNKNOWN."""

import re

from mlxhub.core.agents import GENERATION_OPTION, find_option
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState

# Exactly one tab: nested blocks repeat `state` and `pid`, and an argument may look like a field.
_FIELD = re.compile(r"^\t([^\t={}][^={}]*?) = (.*)$")
_ARGUMENTS_BEGIN = "\targuments = {"
_BLOCK_END = "\t}"
_OVERRIDE = re.compile(r'^\s*"([^"]+)" => (disabled|enabled|true|false)\s*$')
_NEVER_EXITED = "(never exited)"
# What launchd's own trampoline reports when it could not set a job up; our programs never use it.
_SETUP_FAILED = "78"


def parse_print(text: str, label: str) -> AgentState:
    """The state of a loaded job. Its first line is sought loosely: older systems leave the domain out."""
    lines = [line for line in text.splitlines() if line.strip()]
    header = next((index for index, line in enumerate(lines) if line.endswith(f"{label} = {{")), None)
    if header is None or lines[-1] != "}":
        return AgentState(label=label, process=ProcessState.UNKNOWN)
    lines = lines[header:]
    arguments = _arguments(lines)
    fields: dict[str, str] = {}
    for line in lines[1:-1]:
        match = _FIELD.match(line)
        if match and match[2] != "{":
            fields.setdefault(match[1], match[2])
    return AgentState(
        label=label,
        process=_process(fields),
        pid=_number(fields.get("pid")),
        generation=None if arguments is None else find_option(arguments, GENERATION_OPTION),
        plist_path=fields.get("path"),
        runs=_number(fields.get("runs")),
        last_exit=_last_exit(fields),
        exit_reason=fields.get("last exit reason"),
        pended="pended nondemand spawn" in fields,
    )


def parse_disabled(text: str) -> dict[str, bool]:
    """What `print-disabled` lists: whether a label is disabled. One that is not listed is not."""
    matches = (_OVERRIDE.match(line) for line in text.splitlines())
    return {match[1]: match[2] in ("disabled", "true") for match in matches if match}


def _process(fields: dict[str, str]) -> ProcessState:
    state = fields.get("state", "")
    if _number(fields.get("pid")) is not None:
        return ProcessState.STOPPING if state.startswith("SIG") else ProcessState.RUNNING
    if state == "spawn scheduled":
        return ProcessState.THROTTLED
    if _exit_code(fields) == _SETUP_FAILED or fields.get("job state") == "spawn failed":
        return ProcessState.FAILED
    if state == "not running":
        return ProcessState.STOPPED
    return ProcessState.UNKNOWN


def _last_exit(fields: dict[str, str]) -> str | None:
    """`signal Killed`, `exit 75`, launchd's own reason, or None where it never ended."""
    if signal := fields.get("last terminating signal"):
        return f"signal {signal.rsplit(': ', 1)[0]}"
    if reason := fields.get("last exit reason"):
        return reason
    code = _exit_code(fields)
    return None if code is None else f"exit {code}"


def _exit_code(fields: dict[str, str]) -> str | None:
    code = fields.get("last exit code")
    return None if code is None or code == _NEVER_EXITED else code.split(":")[0]


def _arguments(lines: list[str]) -> list[str] | None:
    if _ARGUMENTS_BEGIN not in lines:
        return None
    begin = lines.index(_ARGUMENTS_BEGIN) + 1
    end = next((index for index in range(begin, len(lines)) if lines[index] == _BLOCK_END), None)
    return None if end is None else [line[2:] for line in lines[begin:end]]


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
