"""launchctl for the stand-in: Apple's arguments, texts and exit codes, answered by the daemon.

Runs as a plain script (`python -I -S launchctl.py print gui/0/label`), a hundred times for one `mlxhub plan`:
hence no JSON, and `_socket`, since to import `socket` takes as long as to start the interpreter.
MLXHUB_LAUNCHD_STATE names the daemon's state directory.
"""

import _socket
import os
import sys

STATE_VARIABLE = "MLXHUB_LAUNCHD_STATE"


def main() -> None:
    argv = sys.argv[1:]
    state = os.environ.get(STATE_VARIABLE, "")
    code, stdout, stderr = ask(state, argv, is_tty=sys.stdout.isatty()) or answer_without_daemon(argv)
    for stream, text in ((sys.stdout, stdout), (sys.stderr, stderr)):
        stream.buffer.write(os.fsencode(text))
        stream.flush()
    sys.exit(code)


def ask(state: str, argv: list[str], *, is_tty: bool) -> tuple[int, str, str] | None:
    """The daemon's exit code, stdout and stderr; None if there is no daemon.

    A request is its words, each with a NUL behind it, and then the end of the stream; so is the answer.
    """
    request = ["tty" if is_tty else "", _working_directory(), *argv]
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        try:
            _connect(connection, state)
        except OSError:
            return None
        return _exchange(connection, os.fsencode("".join(f"{word}\0" for word in request)), state)
    finally:
        connection.close()


def answer_without_daemon(argv: list[str]) -> tuple[int, str, str]:
    """What a Mac says to a user who has no graphical session."""
    match argv:
        case ["managername"]:
            return 0, "Background\n", ""
        case ["list"]:
            return 0, "PID\tStatus\tLabel\n", ""
        case ["bootstrap", *_]:
            return 125, "", "Bootstrap failed: 125: Domain does not support specified action\n"
        case _:
            bad = "Bad request.\n" if argv[:1] == ["print"] else ""
            return 112, "", f"{bad}Could not find domain for user gui: {os.getuid()}\n"


def _exchange(connection: _socket.socket, request: bytes, state: str) -> tuple[int, str, str]:
    """A daemon that hangs up without an answer is no missing session, hence a code of its own."""
    try:
        connection.sendall(request)
        connection.shutdown(_socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    except OSError:
        answer = b""
    match os.fsdecode(answer).split("\0"):
        case [code, stdout, stderr, ""]:
            return int(code), stdout, stderr
        case _:
            text = f"mlxhub-launchd on {state} gave no answer. Look with `launchctl print` what was done.\n"
            return 5, "", text


def _connect(connection: _socket.socket, state: str) -> None:
    """Through the open directory, because a socket's address may have 107 bytes only."""
    directory = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{directory}/sock")
    finally:
        os.close(directory)


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib would double this script's start time
    except FileNotFoundError:
        return "/"


if __name__ == "__main__":
    main()
