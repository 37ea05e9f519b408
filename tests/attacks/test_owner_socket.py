"""A15: hub.sock, by which no key is needed, is for processes of the same user."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxhub.errors import StateUnwritable
from mlxhub.files.owner_socket import bind_owner_socket, check_private
from mlxhub.web.server import bind_socket, run, serve
from tests.attacks.in_process import say_yes

OTHER_USER = 65_534
# Asks by the socket, as another user where one is given, and prints what came.
CLIENT = r"""
import os, socket, sys
path, *users = sys.argv[1:]
for user in map(int, users):
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(10)
try:
    sock.connect(path)
    sock.sendall(b"GET /hub/status HTTP/1.1\r\nHost: hub.sock\r\nConnection: close\r\n\r\n")
    print(sock.recv(65536))
except OSError as error:
    print(type(error).__name__)
"""
# The server hung up, before or after the question.
HUNG_UP = ("b''", "ConnectionResetError", "BrokenPipeError")


@pytest.fixture
def directory() -> Iterator[Path]:
    """pytest's own are for their user alone, so that nobody else gets as far as the socket."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def answer_to(path: Path, *, as_user: int | None = None, mode: int | None = None) -> str:
    """`mode`: of the socket and its directory, opened up after they were bound."""
    ends = [] if as_user is None else [str(as_user)]

    owner_socket = bind_owner_socket(path)
    if mode is not None:
        path.chmod(mode)
        path.parent.chmod(mode)

    async def tell() -> str:
        assert owner_socket is not None
        stop = asyncio.Event()
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            tasks.create_task(
                serve(
                    say_yes,
                    bind_socket("127.0.0.1", 0),
                    begin_drain=lambda: None,
                    is_idle=lambda: True,
                    owner_socket=owner_socket,
                    stop=stop,
                )
            )
            client = [sys.executable, "-c", CLIENT, str(path), *ends]
            done = await asyncio.to_thread(subprocess.run, client, capture_output=True, text=True, timeout=20)
            stop.set()
        return done.stdout.strip()

    return run(tell())


def test_a15_its_own_user_needs_no_key(directory: Path) -> None:
    assert answer_to(directory / "run" / "hub.sock").startswith("b'HTTP/1.1 200 OK")


def test_a15_another_user_does_not_get_in(directory: Path) -> None:
    """Only root can ask as somebody else; for others to see there is that the way is shut."""
    path = directory / "run" / "hub.sock"
    if os.getuid() == 0:
        assert answer_to(path, as_user=OTHER_USER) == "PermissionError"
        assert answer_to(path, as_user=OTHER_USER, mode=0o777) in HUNG_UP
    else:
        assert answer_to(path).startswith("b'HTTP/1.1 200 OK")
        assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o722, 0o777])
def test_a15_it_is_not_made_where_others_may_enter(directory: Path, mode: int) -> None:
    (directory / "run").mkdir()
    (directory / "run").chmod(mode)
    with pytest.raises(StateUnwritable):
        bind_owner_socket(directory / "run" / "hub.sock")


def test_a15_nor_where_a_link_leads_or_a_file_lies(directory: Path) -> None:
    (directory / "elsewhere").mkdir(mode=0o700)
    (directory / "run").symlink_to(directory / "elsewhere")
    (directory / "file").write_text("")
    for place in (directory / "run", directory / "file"):
        with pytest.raises(StateUnwritable):
            check_private(place)


def test_a15_directory_and_socket_are_for_their_user_alone(directory: Path) -> None:
    path = directory / "run" / "hub.sock"
    bound = bind_owner_socket(path)
    assert bound is not None
    bound.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a15_a_directory_of_another_user_is_not_used(directory: Path) -> None:
    """In /tmp anybody may have made it first. Only root can make one as if it were another's."""
    place = directory / "run"
    place.mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(place, OTHER_USER, OTHER_USER)
        with pytest.raises(StateUnwritable):
            check_private(place)
    else:
        check_private(place)
