"""launchctl for the stand-in: Apple's arguments, texts and exit codes, answered by the daemon.

Runs as a plain script too (`python -I -S launchctl.py print gui/0/label`), so it imports almost nothing.
MLXHUB_LAUNCHD_STATE names the daemon's state directory.
"""

import json
import os
import socket
import sys

STATE_VARIABLE = "MLXHUB_LAUNCHD_STATE"


def main() -> None:
    argv = sys.argv[1:]
    state = os.environ.get(STATE_VARIABLE, "")
    code, stdout, stderr = ask(state, argv, is_tty=sys.stdout.isatty()) or answer_without_daemon(argv)
    sys.stdout.buffer.write(stdout.encode(errors="surrogateescape"))
    sys.stdout.flush()
    sys.stderr.buffer.write(stderr.encode(errors="surrogateescape"))
    sys.stderr.flush()
    sys.exit(code)


def ask(state: str, argv: list[str], *, is_tty: bool) -> tuple[int, str, str] | None:
    """The daemon's exit code, stdout and stderr; None if no daemon answers."""
    request = {"argv": argv, "cwd": _working_directory(), "tty": is_tty}
    try:
        with _connect(state) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline())
    except (OSError, ValueError):
        return None
    return answer["rc"], answer["stdout"], answer["stderr"]


def answer_without_daemon(argv: list[str]) -> tuple[int, str, str]:
    """What a Mac says to a user who has no graphical session."""
    uid = os.getuid()
    match argv:
        case ["bootstrap", *_]:
            return 125, "", "Bootstrap failed: 125: Domain does not support specified action\n"
        case ["bootout", *_]:
            return 125, "", "Boot-out failed: 125: Domain does not support specified action\n"
        case ["print", *_]:
            return 112, "", f"Bad request.\nCould not find domain for user gui: {uid}\n"
        case ["kickstart" | "kill" | "enable" | "disable" | "print-disabled" | "blame", *_]:
            return 112, "", f"Could not find domain for user gui: {uid}\n"
        case ["managername"]:
            return 0, "Background\n", ""
        case ["list"]:
            return 0, "PID\tStatus\tLabel\n", ""
        case ["list", label]:
            return 113, "", f'Could not find service "{label}" in domain for port\n'
        case ["help", *_] | []:
            return 0, "Usage: launchctl <subcommand> ...\n", "No launchd is running here.\n"
        case _:
            return 1, "", f"Unrecognized subcommand: {argv[0]}\n"


def _connect(state: str) -> socket.socket:
    if not state:
        raise FileNotFoundError(STATE_VARIABLE)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Through the open directory, because a socket's address may have 107 bytes only.
    directory = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{directory}/sock")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib would double this script's start time
    except FileNotFoundError:
        return "/"


if __name__ == "__main__":
    main()
