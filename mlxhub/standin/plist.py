"""A property list file, checked and turned into the definition of a job."""

import os
import plistlib
import re
import resource
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.parsers.expat import ExpatError

from mlxhub.standin import darwin
from mlxhub.standin.variation import Variation

LARGEST_BYTES = 1 << 20
DEFAULT_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
DEFAULT_OPEN_FILES = 256
SPAWN_TYPES = {
    "Background": "background (5)",
    "Standard": "daemon (3)",
    "Adaptive": "adaptive (6)",
    "Interactive": "interactive (4)",
}
LIMITS = {
    "Core": resource.RLIMIT_CORE,
    "CPU": resource.RLIMIT_CPU,
    "Data": resource.RLIMIT_DATA,
    "FileSize": resource.RLIMIT_FSIZE,
    "MemoryLock": resource.RLIMIT_MEMLOCK,
    "NumberOfFiles": resource.RLIMIT_NOFILE,
    "NumberOfProcesses": resource.RLIMIT_NPROC,
    "ResidentSetSize": resource.RLIMIT_RSS,
    "Stack": resource.RLIMIT_STACK,
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """A KeepAlive dictionary."""

    successful_exit: bool | None = None
    crashed: bool | None = None


KeepAlive = bool | Conditions


@dataclass(frozen=True, slots=True)
class Address:
    """One TCP socket that launchd opens for a job."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Definition:
    label: str
    path: str
    program: str | None
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: str | None
    run_at_load: bool
    keep_alive: KeepAlive
    throttle_seconds: int
    exit_timeout_seconds: int
    stdout_path: str | None
    stderr_path: str | None
    spawn_type: str
    soft_limits: Mapping[str, int]
    hard_limits: Mapping[str, int]
    umask: int
    addresses: tuple[Address, ...]


class RefusedError(Exception):
    """A plist that launchd does not load; `code` is what launchctl exits with."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def load_definition(path: str, variation: Variation, *, strict: bool, at_login: bool) -> Definition:
    """Read the file once; whatever happens to it later changes nothing. Raises RefusedError."""
    follow = variation.login_follows_symlinks or not at_login
    content = _read(path, variation, follow=follow)
    try:
        document = plistlib.loads(content)
    except (ExpatError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
            struct.error, MemoryError) as error:  # fmt: skip
        raise RefusedError(darwin.INVALID_PLIST, f"{path}: not a property list: {error}") from error
    if not isinstance(document, dict):
        raise RefusedError(darwin.INVALID_PLIST, f"{path}: not a dictionary")
    definition = _definition(path, _Reader(document, strict=strict))
    program = definition.program or definition.arguments[0]
    if variation.refuses_missing_program and "/" in program and not Path(program).exists():
        raise RefusedError(darwin.EIO, f"{path}: {program} does not exist")
    return definition


def _read(path: str, variation: Variation, *, follow: bool) -> bytes:
    try:
        # O_NONBLOCK: opening a FIFO must not stop the daemon.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise RefusedError(variation.missing_file, f"{path}: not a regular file")
            unreadable_to_all = stat.S_IMODE(status.st_mode) == 0o600 and not variation.accepts_mode_0600
            if status.st_uid not in {0, os.getuid()} or status.st_mode & 0o022 or unreadable_to_all:
                raise RefusedError(variation.bad_permissions, f"{path}: bad ownership or permissions")
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise RefusedError(variation.missing_file, f"{path}: {error}") from error
    if len(content) > LARGEST_BYTES:
        raise RefusedError(darwin.INVALID_PLIST, f"{path}: larger than {LARGEST_BYTES} bytes")
    return content


_Value = TypeVar("_Value")
_Document = Mapping[object, object]


class _Reader:
    """Takes keys out of a dictionary: a wrong value is ignored as launchd does, or refused when strict."""

    def __init__(self, document: _Document, *, strict: bool, inside: str = "") -> None:
        self._left = dict(document)
        self._inside = inside
        self._strict = strict

    def take(
        self, key: str, kind: type[_Value], *, fits: Callable[[_Value], bool] = lambda _: True
    ) -> _Value | None:
        value = self._left.pop(key, None)
        if value is None:
            return None
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)) and fits(value):
            return value
        self._refuse(key, "has a value that launchd ignores")
        return None

    def natural(self, key: str) -> int | None:
        return self.take(key, int, fits=lambda value: 0 <= value < 1 << 62)

    def inner(self, key: str, document: _Document | None = None) -> "_Reader":
        """The dictionary at `key`, or the given one that lies there."""
        found = document if document is not None else self.take(key, dict) or {}
        return _Reader(found, strict=self._strict, inside=f"{self._inside}{key}.")

    def remaining_keys(self) -> list[str]:
        return [str(key) for key in self._left]

    def finish(self) -> None:
        for key in self._left:
            self._refuse(str(key), "is a key outside the supported list")

    def _refuse(self, key: str, complaint: str) -> None:
        if self._strict:
            detail = f"{self._inside}{key} {complaint}; see docs/stand-in.md, or use --no-strict"
            raise RefusedError(darwin.USAGE, detail)


def _definition(path: str, reader: _Reader) -> Definition:
    label = reader.take("Label", str)
    if not label or "/" in label:
        raise RefusedError(darwin.NO_LABEL, f"{path}: no usable Label")
    program = reader.take("Program", str) or None
    arguments = reader.take("ProgramArguments", list, fits=_is_texts) or ([program] if program else [])
    if not arguments or not (program or arguments[0]):
        raise RefusedError(darwin.NO_PROGRAM, f"{path}: no Program and no ProgramArguments")
    timeout = reader.natural("ExitTimeOut")
    for without_effect_here in ("LimitLoadToSessionType", "AssociatedBundleIdentifiers"):
        reader.take(without_effect_here, object)
    process_type = reader.take("ProcessType", str, fits=SPAWN_TYPES.__contains__) or "Standard"
    definition = Definition(
        label=label,
        path=path,
        program=program,
        arguments=tuple(arguments),
        environment=_environment(reader.inner("EnvironmentVariables")),
        working_directory=reader.take("WorkingDirectory", str),
        run_at_load=reader.take("RunAtLoad", bool) or False,
        keep_alive=_keep_alive(reader),
        throttle_seconds=reader.natural("ThrottleInterval") or 10,
        exit_timeout_seconds=5 if timeout is None else min(timeout, 60),
        stdout_path=reader.take("StandardOutPath", str),
        stderr_path=reader.take("StandardErrorPath", str),
        spawn_type=SPAWN_TYPES[process_type],
        soft_limits={"NumberOfFiles": DEFAULT_OPEN_FILES, **_limits(reader.inner("SoftResourceLimits"))},
        hard_limits=_limits(reader.inner("HardResourceLimits")),
        umask=_umask(reader),
        addresses=_addresses(reader),
    )
    reader.finish()
    return definition


def _environment(reader: _Reader) -> dict[str, str]:
    taken = {name: reader.take(name, str) for name in reader.remaining_keys()}
    return {name: value for name, value in taken.items() if value is not None and name and "=" not in name}


def _keep_alive(reader: _Reader) -> KeepAlive:
    value = reader.take("KeepAlive", object, fits=lambda value: isinstance(value, bool | dict))
    if not isinstance(value, dict):
        return bool(value)
    inner = reader.inner("KeepAlive", value)
    conditions = Conditions(inner.take("SuccessfulExit", bool), inner.take("Crashed", bool))
    inner.finish()
    return conditions


def _limits(reader: _Reader) -> dict[str, int]:
    found = {name: value for name in LIMITS if (value := reader.natural(name)) is not None}
    reader.finish()
    return found


def _umask(reader: _Reader) -> int:
    """A number, or the digits of an octal one."""
    value = reader.take("Umask", object, fits=lambda value: type(value) is int or _is_octal(value))
    match value:
        case int():
            return value & 0o777
        case str():
            return int(value, 8)
        case _:
            return 0o022


def _addresses(reader: _Reader) -> tuple[Address, ...]:
    groups = reader.take("Sockets", dict) or {}
    return tuple(
        _address(str(name), reader.inner(f"Sockets.{name}", entry))
        for name, group in groups.items()
        for entry in (group if isinstance(group, list) else [group])
        if isinstance(entry, dict)
    )


def _address(name: str, reader: _Reader) -> Address:
    for told_by_the_address in ("SockType", "SockFamily"):
        reader.take(told_by_the_address, str)
    port = reader.take("SockServiceName", object, fits=_is_port)
    host = reader.take("SockNodeName", str) or "0.0.0.0"  # noqa: S104 - launchd's own default
    reader.finish()
    return Address(name, host, int(str(port or 0)))


def _is_port(value: object) -> bool:
    return re.fullmatch(r"\d{1,5}", str(value)) is not None and int(str(value)) < 1 << 16


def _is_octal(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-7]{1,3}", value) is not None


def _is_texts(value: list[object]) -> bool:
    return all(isinstance(item, str) for item in value)
