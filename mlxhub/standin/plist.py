"""A property list file, checked and turned into the definition of a job."""

import os
import plistlib
import re
import resource
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
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


def _is_natural(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_umask(value: object) -> bool:
    return _is_natural(value) or (isinstance(value, str) and re.fullmatch("[0-7]{1,3}", value) is not None)


def _is_port(value: object) -> bool:
    if isinstance(value, str):
        return re.fullmatch("[0-9]{1,5}", value) is not None and int(value) < 1 << 16
    return type(value) is int and 0 <= value < 1 << 16


def _environment(given: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name and "=" not in name}


def _keep_alive(given: bool | dict[str, bool]) -> KeepAlive:
    return given if isinstance(given, bool) else Conditions(given.get("SuccessfulExit"), given.get("Crashed"))


def _umask(given: int | str) -> int:
    return int(given, 8) if isinstance(given, str) else given & 0o777


def _addresses(given: dict[str, list[dict[str, Any]]]) -> tuple[Address, ...]:
    anywhere = "0.0.0.0"  # noqa: S104 - launchd's own default
    return tuple(
        Address(name, keys.get("SockNodeName") or anywhere, int(keys.get("SockServiceName", 0)))
        for name, several in given.items()
        for keys in several
    )


def _key(
    name: str, shape: object, default: object, keep_as: Callable[[Any], Any] = lambda value: value
) -> Any:
    """A field for a key: what its value must be, what it is when left out, and as what it is kept."""
    metadata = {"key": name, "shape": shape, "keep_as": keep_as}
    return field(default_factory=lambda: default, metadata=metadata)


_ANY_NAME = "*"
_LIMITS = dict.fromkeys(LIMITS, _is_natural)
_ADDRESS = {"SockServiceName": _is_port, "SockNodeName": str, "SockType": str, "SockFamily": str}
_CONDITIONS = {"SuccessfulExit": bool, "Crashed": bool}


@dataclass(frozen=True, slots=True)
class Definition:
    """All that launchd keeps of a file, key by key."""

    path: str
    label: str = _key("Label", str, "")
    program: str | None = _key("Program", str, None, lambda value: value or None)
    arguments: tuple[str, ...] = _key("ProgramArguments", _is_texts, (), tuple)
    environment: Mapping[str, str] = _key("EnvironmentVariables", {_ANY_NAME: str}, {}, _environment)
    working_directory: str | None = _key("WorkingDirectory", str, None)
    run_at_load: bool = _key("RunAtLoad", bool, False)
    keep_alive: KeepAlive = _key("KeepAlive", bool, False, _keep_alive)  # noqa: RUF009 - a field
    throttle_seconds: int = _key("ThrottleInterval", _is_natural, 10, lambda value: value or 10)
    exit_timeout_seconds: int = _key("ExitTimeOut", _is_natural, 5)
    stdout_path: str | None = _key("StandardOutPath", str, None)
    stderr_path: str | None = _key("StandardErrorPath", str, None)
    spawn_type: str = _key("ProcessType", list(SPAWN_TYPES).__contains__, "daemon (3)", SPAWN_TYPES.get)
    soft_limits: Mapping[str, int] = _key("SoftResourceLimits", _LIMITS, {})
    hard_limits: Mapping[str, int] = _key("HardResourceLimits", _LIMITS, {})
    umask: int = _key("Umask", _is_umask, 0o022, _umask)
    addresses: tuple[Address, ...] = _key("Sockets", {_ANY_NAME: [_ADDRESS]}, (), _addresses)


_FIELDS = {each.metadata["key"]: each for each in fields(Definition) if each.metadata}
_KEYS = {key: each.metadata["shape"] for key, each in _FIELDS.items()} | {
    "LimitLoadToSessionType": object, "AssociatedBundleIdentifiers": object,  # without effect here
}  # fmt: skip


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
    missing = "/" in program and not os.path.exists(f"/{program}")  # noqa: PTH110 - pathlib raises at long names
    if variation.refuses_missing_program and missing:
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
    kept = {each.name: each.metadata["keep_as"](keys[key]) for key, each in _FIELDS.items() if key in keys}
    exit_timeout = kept.setdefault("exit_timeout_seconds", variation.exit_timeout_default_seconds)
    if variation.exit_timeout_is_clamped:
        kept["exit_timeout_seconds"] = min(exit_timeout, LONGEST_EXIT_TIMEOUT_SECONDS)
    definition = Definition(path, **kept)
    if not definition.label or "/" in definition.label:
        raise RefusedError(variation.no_label, f"{path}: no usable Label")
    program = definition.program or next(iter(definition.arguments), "")
    if not program:
        raise RefusedError(variation.no_program, f"{path}: no Program and no ProgramArguments")
    return replace(definition, arguments=definition.arguments or (program,))
