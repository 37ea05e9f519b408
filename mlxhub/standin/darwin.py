"""Darwin's numbers and words for errors, signals and exit codes; Linux differs in many of them."""

import signal

USAGE = 64
SPAWN_FAILED = 78

EPERM, ENOENT, ESRCH, EIO, EEXIST, EINVAL, EINPROGRESS, EALREADY = 1, 2, 3, 5, 17, 22, 36, 37
INVALID_PATH, INVALID_PLIST, NO_LABEL, NO_PROGRAM, NO_DOMAIN, NO_SERVICE = 108, 109, 110, 111, 112, 113
DISABLED, BAD_PERMISSIONS, TEARING_DOWN, UNSUPPORTED_DOMAIN = 119, 122, 124, 125
SEE_STDERR, SWITCHED_OFF = 133, 161

_ERRORS = {
    EPERM: "Operation not permitted", ENOENT: "No such file or directory",
    ESRCH: "No such process", EIO: "Input/output error",
    EEXIST: "File exists", EINVAL: "Invalid argument",
    EINPROGRESS: "Operation now in progress", EALREADY: "Operation already in progress",
    INVALID_PATH: "Invalid path", INVALID_PLIST: "Invalid property list",
    NO_LABEL: "Invalid or missing service identifier",
    NO_PROGRAM: "Invalid or missing Program/ProgramArguments",
    NO_DOMAIN: "Could not find specified domain", NO_SERVICE: "Could not find specified service",
    DISABLED: "Service is disabled", BAD_PERMISSIONS: "Path had bad ownership/permissions",
    TEARING_DOWN: "Domain is tearing down", UNSUPPORTED_DOMAIN: "Domain does not support specified action",
    SEE_STDERR: "Multiple errors were returned, see stderr",
    SWITCHED_OFF: "Service is switched off in Login Items",
}  # fmt: skip

# Name without SIG: (Darwin's number, Darwin's words).
_SIGNALS = {
    "HUP": (1, "Hangup"), "INT": (2, "Interrupt"), "QUIT": (3, "Quit"), "ILL": (4, "Illegal instruction"),
    "TRAP": (5, "Trace/BPT trap"), "ABRT": (6, "Abort trap"), "FPE": (8, "Floating point exception"),
    "KILL": (9, "Killed"), "BUS": (10, "Bus error"), "SEGV": (11, "Segmentation fault"),
    "SYS": (12, "Bad system call"), "PIPE": (13, "Broken pipe"), "ALRM": (14, "Alarm clock"),
    "TERM": (15, "Terminated"), "STOP": (17, "Suspended (signal)"), "TSTP": (18, "Suspended"),
    "CONT": (19, "Continued"), "XCPU": (24, "Cputime limit exceeded"),
    "XFSZ": (25, "Filesize limit exceeded"), "VTALRM": (26, "Virtual timer expired"),
    "PROF": (27, "Profiling timer expired"), "USR1": (30, "User defined signal 1"),
    "USR2": (31, "User defined signal 2"),
}  # fmt: skip

_SYSEXITS = (
    "USAGE", "DATAERR", "NOINPUT", "NOUSER", "NOHOST", "UNAVAILABLE", "SOFTWARE", "OSERR", "OSFILE",
    "CANTCREAT", "IOERR", "TEMPFAIL", "PROTOCOL", "NOPERM", "CONFIG",
)  # fmt: skip


def error_text(code: int) -> str:
    """`5: Input/output error`."""
    return f"{code}: {_ERRORS.get(code, 'Unknown error')}"


def exit_text(code: int) -> str:
    """`75: EX_TEMPFAIL`; only 64 to 78 have names."""
    named = 64 <= code < 64 + len(_SYSEXITS)
    return f"{code}: EX_{_SYSEXITS[code - 64]}" if named else str(code)


def signal_number(linux_number: int) -> int:
    return _described(linux_number)[0]


def signal_text(linux_number: int) -> str:
    """`Killed: 9`."""
    number, words = _described(linux_number)
    return f"{words}: {number}"


def parse_signal(text: str) -> signal.Signals | None:
    """The Linux signal for `SIGTERM`, `TERM`, `-TERM` or Darwin's number."""
    name = text.removeprefix("-").upper().removeprefix("SIG")
    if name.isdecimal():
        name = next((known for known, (number, _) in _SIGNALS.items() if str(number) == name), "")
    return signal.Signals["SIG" + name] if name in _SIGNALS else None


def _described(linux_number: int) -> tuple[int, str]:
    try:
        name = signal.Signals(linux_number).name.removeprefix("SIG")
    except ValueError:
        name = ""
    return _SIGNALS.get(name, (linux_number, "Unknown signal"))
