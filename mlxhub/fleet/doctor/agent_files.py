"""What lies on disk of each agent: its plist, and the note that keeps it down. Every look has a limit."""

import os
import plistlib
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from mlxhub.core.agents import model_of
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Ownership
from mlxhub.core.restarts import CONTROLLER
from mlxhub.errors import StateUnreadable
from mlxhub.files.generations import read_history
from mlxhub.files.limits import read_limits
from mlxhub.files.manifest import WrittenFile, installed_agents, plist_ownership, written_files
from mlxhub.files.runs import parked_reason, read_runs
from mlxhub.fleet.doctor.asking import LeavingThreads, answer_within, answers_within, begin
from mlxhub.fleet.doctor.found import PlistFile

FILES_SECONDS = 5.0
_CONCURRENT_LOOKS = 16


@dataclass(frozen=True, slots=True)
class Records:
    """What mlxhub wrote down of what it installed, plists by label; `fault`: why that cannot be read."""

    installed: Mapping[str, Path]
    written: tuple[WrittenFile, ...]
    fault: str | None


@dataclass(frozen=True, slots=True)
class AgentFiles:
    """`file` is None where there is no plist, `parked` where no note says why the agent stays down.

    `unread`: why nobody knows.
    """

    file: PlistFile | None
    parked: str | None
    ownership: Ownership
    unread: str | None = None


def read_records(paths: Paths) -> Records:
    late = f"Reading {paths.state} and {paths.agents} did not end within {FILES_SECONDS:g} s."
    return answer_within(FILES_SECONDS, begin(lambda: _read_records(paths)), Records({}, (), late))


def _read_records(paths: Paths) -> Records:
    try:
        installed, written = installed_agents(paths), written_files(paths)
    except StateUnreadable as error:
        return Records({}, (), str(error))
    return Records(installed, written, _damaged_record(paths, installed))


def _damaged_record(paths: Paths, labels: Iterable[str]) -> str | None:
    try:
        read_history(paths)
        read_limits(paths.limits)
        for label in labels:
            read_runs(paths.run_files(model_of(label) or CONTROLLER))
    except StateUnreadable as error:
        return str(error)
    return None


def read_agent_files(labels: Iterable[str], paths: Paths, records: Records) -> dict[str, AgentFiles]:
    """By label. One that hangs whoever reads it hides no other."""
    threads = LeavingThreads(_CONCURRENT_LOOKS)
    asked = {label: threads.submit(_read_agent_files, label, paths, records) for label in labels}
    came = answers_within(FILES_SECONDS, asked)
    late = f"reading its plist and its note did not end within {FILES_SECONDS:g} s"
    return {label: came.get(label) or AgentFiles(None, None, Ownership.OURS, unread=late) for label in asked}


def _read_agent_files(label: str, paths: Paths, records: Records) -> AgentFiles:
    path = records.installed.get(label) or paths.plist(label)
    return AgentFiles(
        file=_plist(path),
        parked=parked_reason(paths.run_files(model_of(label) or CONTROLLER)),
        ownership=plist_ownership(paths, path, records.written),
    )


def _plist(path: Path) -> PlistFile | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    content = _content(path)
    return PlistFile(
        path=path,
        content=content,
        properties=properties_of(content),
        mode=status.st_mode,
        owner=status.st_uid,
        is_regular=stat.S_ISREG(status.st_mode),
    )


def _content(path: Path) -> bytes | None:
    try:
        # A pipe in its place must not hold us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()
    except OSError:
        return None


def properties_of(content: bytes | None) -> dict[str, object]:
    """Empty where it is no property list."""
    try:
        properties = plistlib.loads(content or b"")
    except (ValueError, ExpatError):
        return {}
    return properties if isinstance(properties, dict) else {}
