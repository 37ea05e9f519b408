"""Settings of clients on this machine, and what they were before mlxhub wrote into them."""

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from mlxhub.core.client_settings import Client, Offer, connected, disconnected
from mlxhub.core.hub_edit import NotEditable
from mlxhub.core.paths import Paths
from mlxhub.errors import SettingsLeftAlone
from mlxhub.files.locks import hold_lock
from mlxhub.files.state import read_state, remove_file, write_atomically, write_state


class Connection(BaseModel):
    """`before` None: there was no file."""

    file: str
    before: str | None
    after: str


T = TypeVar("T")
_KNOWN: TypeAdapter[dict[Client, Connection]] = TypeAdapter(dict[Client, Connection])


def connect_client(paths: Paths, client: Client, file: Path, offer: Offer) -> bool:
    """Whether anything changed. A second time takes the place of the first.

    Raises SettingsLeftAlone, StateUnreadable, StateUnwritable, LockTimeout.
    """
    with _connections(paths) as known:
        text = _read(file)
        earlier = known.get(client)
        is_again = earlier is not None and earlier.file == str(file)
        before = _without(client, earlier, text) if is_again and earlier is not None else text
        after = _edited(file, lambda: connected(client, before, offer))
        # Remembered first: what nobody remembers cannot be undone.
        known[client] = Connection(file=str(file), before=before, after=after)
        write_state(paths.connections, _KNOWN, known)
        if after == text:
            return False
        _replace(file, text, after)
    return True


def disconnect_client(paths: Paths, client: Client) -> Path | None:
    """The file that is as it was; None: nothing was written. What somebody changed since stays changed.

    Raises SettingsLeftAlone, StateUnreadable, StateUnwritable, LockTimeout.
    """
    with _connections(paths) as known:
        if (connection := known.pop(client, None)) is None:
            return None
        file = Path(connection.file)
        if (text := _read(file)) is not None:
            _replace(file, text, _without(client, connection, text))
        write_state(paths.connections, _KNOWN, known)
    return file


def connected_clients(paths: Paths) -> list[Client]:
    """Raises StateUnreadable."""
    known = read_state(paths.connections, _KNOWN, {})
    return list(known)


@contextmanager
def _connections(paths: Paths) -> Iterator[dict[Client, Connection]]:
    with hold_lock(paths.connections.with_suffix(".lock")):
        yield read_state(paths.connections, _KNOWN, {})


def _without(client: Client, connection: Connection, text: str | None) -> str | None:
    if text is None:
        return None
    return _edited(
        Path(connection.file), lambda: disconnected(client, text, connection.before, connection.after)
    )


def _edited(file: Path, edit: Callable[[], T]) -> T:
    try:
        return edit()
    except NotEditable as error:
        raise SettingsLeftAlone(f"{file} is left as it is: {error}. Edit it by hand.") from error


def _read(file: Path) -> str | None:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise SettingsLeftAlone(f"{file} is left as it is: it is not UTF-8. Edit it by hand.") from error


def _replace(file: Path, text: str | None, after: str | None) -> None:
    """Behind a link its target. Raises SettingsLeftAlone where somebody wrote it meanwhile."""
    place = file.resolve()
    if _read(place) != text:
        raise SettingsLeftAlone(f"{file} was edited by somebody else meanwhile and stays so. Try again.")
    if after is None:
        remove_file(place)
        return
    mode = 0o600 if text is None else stat.S_IMODE(place.stat().st_mode)
    write_atomically(place, after.encode(), mode=mode)
