"""A property list file, checked and turned into the definition of a job."""

import os
import plistlib
import re
import resource
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from mlxhub.standin import darwin
from mlxhub.standin.variation import Variation

LARGEST_BYTES = 1 << 20
DEFAULT_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
DEFAULT_OPEN_FILES = 256
LONGEST_EXIT_TIMEOUT_SECONDS = 60
SPAWN_TYPES = {
    "Background": "background (5)", "Standard": "daemon (3)",
    "Adaptive": "adaptive (6)", "Interactive": "interactive (4)",
}  # fmt: skip
LIMITS = {
    "Core": resource.RLIMIT_CORE, "CPU": resource.RLIMIT_CPU, "Data": resource.RLIMIT_DATA,
    "FileSize": resource.RLIMIT_FSIZE, "MemoryLock": resource.RLIMIT_MEMLOCK,
    "NumberOfFiles": resource.RLIMIT_NOFILE, "NumberOfProcesses": resource.RLIMIT_NPROC,
    "ResidentSetSize": resource.RLIMIT_RSS, "Stack": resource.RLIMIT_STACK,
}  # fmt: skip


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


def load_definition(path: str, variation: Variation, *, strict: bool, at_login: bool) -> Definition:
    """Read the file once; whatever happens to it later changes nothing. Raises RefusedError."""
    follow = variation.login_follows_symlinks if at_login else variation.bootstrap_follows_symlinks
    content = _read(path, variation, follow=follow)
    try:
        document = plistlib.loads(content)
    except (ExpatError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
            struct.error, MemoryError) as error:  # fmt: skip
        raise RefusedError(variation.broken_plist, f"{path}: not a property list: {error}") from error
    if not isinstance(document, dict):
        raise RefusedError(variation.broken_plist, f"{path}: not a dictionary")
    definition = _definition(path, _known(document, _shape(document), "", strict=strict), variation)
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
        raise RefusedError(variation.broken_plist, f"{path}: larger than {LARGEST_BYTES} bytes")
    return content


def _is_natural(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_umask(value: object) -> bool:
    return _is_natural(value) or (isinstance(value, str) and re.fullmatch("[0-7]{1,3}", value) is not None)


def _is_port(value: object) -> bool:
    return re.fullmatch(r"\d{1,5}", str(value)) is not None and int(str(value)) < 1 << 16


_ANY_NAME = "*"
_LIMITS = dict.fromkeys(LIMITS, _is_natural)
_ADDRESS = {"SockServiceName": _is_port, "SockNodeName": str, "SockType": str, "SockFamily": str}
_CONDITIONS = {"SuccessfulExit": bool, "Crashed": bool}
_KEYS = {
    "Label": str,
    "Program": str,
    "ProgramArguments": _is_texts,
    "EnvironmentVariables": {_ANY_NAME: str},
    "WorkingDirectory": str,
    "RunAtLoad": bool,
    "KeepAlive": bool,
    "ThrottleInterval": _is_natural,
    "ExitTimeOut": _is_natural,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "ProcessType": list(SPAWN_TYPES).__contains__,
    "SoftResourceLimits": _LIMITS,
    "HardResourceLimits": _LIMITS,
    "Umask": _is_umask,
    "Sockets": {_ANY_NAME: [_ADDRESS]},  # one or several for each name
    "LimitLoadToSessionType": object,  # this and the next have no effect here
    "AssociatedBundleIdentifiers": object,
}


def _shape(document: dict[str, Any]) -> dict[str, Any]:
    return _KEYS | ({"KeepAlive": _CONDITIONS} if isinstance(document.get("KeepAlive"), dict) else {})


def _known(value: Any, shape: Any, name: str, *, strict: bool) -> Any:
    """What of the value launchd uses, None if nothing. The rest is ignored or, when strict, refused."""
    if isinstance(shape, list):
        items = value if isinstance(value, list) else [value]
        return [_known(item, shape[0], name, strict=strict) or {} for item in items]
    if isinstance(shape, dict) and isinstance(value, dict):
        shapes = {key: shape.get(key, shape.get(_ANY_NAME)) for key in value}
        known = {key: _known(value[key], shapes[key], f"{name}.{key}", strict=strict) for key in value}
        return {key: inner for key, inner in known.items() if inner is not None}
    fits = isinstance(value, shape) if isinstance(shape, type) else callable(shape) and shape(value)
    if strict and not fits:
        complaint = "is outside the supported keys" if shape is None else "has a value that launchd ignores"
        detail = f"{name.lstrip('.')} {complaint}; see docs/stand-in.md, or use --no-strict"
        raise RefusedError(darwin.USAGE, detail)
    return value if fits else None


def _definition(path: str, keys: dict[str, Any], variation: Variation) -> Definition:
    label, program = keys.get("Label", ""), keys.get("Program") or None
    if not label or "/" in label:
        raise RefusedError(variation.no_label, f"{path}: no usable Label")
    arguments = keys.get("ProgramArguments") or ([program] if program else [])
    if not arguments or not (program or arguments[0]):
        raise RefusedError(variation.no_program, f"{path}: no Program and no ProgramArguments")
    environment = keys.get("EnvironmentVariables", {})
    exit_timeout = keys.get("ExitTimeOut", variation.exit_timeout_default_seconds)
    if variation.exit_timeout_is_clamped:
        exit_timeout = min(exit_timeout, LONGEST_EXIT_TIMEOUT_SECONDS)
    umask = keys.get("Umask", 0o022)
    keep_alive = keys.get("KeepAlive", False)
    if isinstance(keep_alive, dict):
        keep_alive = Conditions(keep_alive.get("SuccessfulExit"), keep_alive.get("Crashed"))
    return Definition(
        label=label,
        path=path,
        program=program,
        arguments=tuple(arguments),
        environment={name: value for name, value in environment.items() if name and "=" not in name},
        working_directory=keys.get("WorkingDirectory"),
        run_at_load=keys.get("RunAtLoad", False),
        keep_alive=keep_alive,
        throttle_seconds=keys.get("ThrottleInterval") or 10,
        exit_timeout_seconds=exit_timeout,
        stdout_path=keys.get("StandardOutPath"),
        stderr_path=keys.get("StandardErrorPath"),
        spawn_type=SPAWN_TYPES[keys.get("ProcessType", "Standard")],
        soft_limits={"NumberOfFiles": DEFAULT_OPEN_FILES} | keys.get("SoftResourceLimits", {}),
        hard_limits=keys.get("HardResourceLimits", {}),
        umask=int(umask, 8) if isinstance(umask, str) else umask & 0o777,
        addresses=tuple(
            _address(name, address)
            for name, several in keys.get("Sockets", {}).items()
            for address in several
        ),
    )


def _address(name: str, keys: dict[str, Any]) -> Address:
    host = keys.get("SockNodeName") or "0.0.0.0"  # noqa: S104 - launchd's own default
    return Address(name, host, int(keys.get("SockServiceName", 0)))
