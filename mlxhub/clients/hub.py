"""The controller as the command line talks to it.

Not by httpx: most commands ask no more than one thing, and its import took a fifth of their time.
"""

import contextlib
import http.client
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ValidationError

from mlxhub.clients.remote_error import remote_error
from mlxhub.core.lifecycle import LOAD_SECONDS
from mlxhub.errors import ControllerDown, StillUnderWay
from mlxhub.files.owner_socket import check_private
from mlxhub.protocol.hub import (
    ActionResult,
    BulkAction,
    BulkResult,
    HubEvent,
    HubStatus,
    ModelAction,
    ReloadResult,
    UnlockToken,
)

CONNECT_SECONDS = 2.0
STATUS_SECONDS = 5.0
# An action is answered when it is done; the controller's own deadlines are below this.
ACTION_SECONDS = LOAD_SECONDS + 100.0
# A reload is answered when its last model is ready: some 100 s for each that restarts, at worst.
RELOAD_SECONDS = 7200.0

# Three of its keepalives.
SILENT_SECONDS = 30.0
_DATA = b"data: "

_Answer = TypeVar("_Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class HubAddress:
    """`socket` is the controller's own, by which no key is needed; `url` is where others reach it."""

    socket: Path
    url: str


class HubClient:
    """Raises ControllerDown where nothing (or something that is no controller) answers, else RemoteError.

    Raises StillUnderWay where the controller took a change and has not answered in time: it goes on.
    """

    def __init__(self, address: HubAddress, *, reload_seconds: float = RELOAD_SECONDS) -> None:
        """`reload_seconds` is how long a reload is waited for. Raises StateUnwritable as `check_private`."""
        check_private(address.socket.parent)
        self._address = address
        self._reload_seconds = reload_seconds

    def answers(self) -> bool:
        """Whether anything does."""
        try:
            self._exchange("GET", "/livez", CONNECT_SECONDS)
        except ControllerDown:
            return False
        return True

    def status(self, *, fresh: bool = True) -> HubStatus:
        """`fresh`: the controller looks at every model before it answers; else it was a second or two ago."""
        return self._call("GET", f"/hub/status?fresh={int(fresh)}", HubStatus, STATUS_SECONDS)

    def unlock_token(self) -> str:
        """For a browser: good once, and for a minute."""
        return self._call("POST", "/hub/unlock", UnlockToken, STATUS_SECONDS).token

    def reload(self) -> ReloadResult:
        return self._call("POST", "/hub/reload", ReloadResult, self._reload_seconds)

    def model_action(self, name: str, action: ModelAction) -> ActionResult:
        return self._call(
            "POST", f"/hub/models/{quote(name, safe='')}/{action}?wait=1", ActionResult, ACTION_SECONDS
        )

    def bulk(self, action: BulkAction) -> BulkResult:
        return self._call("POST", f"/hub/{action}?wait=1", BulkResult, ACTION_SECONDS)

    def events(self, after: str | None, *, follow: bool) -> Iterator[HubEvent]:
        """Those after the one with this id, else all that are known; with `follow` as long as it says any."""
        wanted = {"follow": str(follow).lower()} | ({} if after is None else {"after": after})
        # A quiet hub says that it is there every ten seconds.
        with self._asked("GET", f"/hub/events?{urlencode(wanted)}", SILENT_SECONDS) as response:
            if response.status != 200:
                raise remote_error(response.status, response.read(), source="The controller")
            for line in _lines(response):
                if line.startswith(_DATA):
                    yield self._read(HubEvent, line.removeprefix(_DATA))

    def _call(self, method: str, path: str, answer: type[_Answer], seconds: float) -> _Answer:
        if method != "GET":
            # A controller that hangs is told from one that takes its time.
            self._exchange("GET", "/livez", STATUS_SECONDS)
        status, content = self._exchange(method, path, seconds)
        if status != 200:
            raise remote_error(status, content, source="The controller")
        return self._read(answer, content)

    def _read(self, answer: type[_Answer], content: bytes) -> _Answer:
        try:
            return answer.model_validate_json(content)
        except ValidationError as error:
            raise ControllerDown(self._address.url) from error

    def _exchange(self, method: str, path: str, seconds: float) -> tuple[int, bytes]:
        with self._asked(method, path, seconds) as response:
            return response.status, response.read()

    @contextlib.contextmanager
    def _asked(self, method: str, path: str, seconds: float) -> Iterator[http.client.HTTPResponse]:
        """What is answered on a connection of its own, `seconds` being the longest silence."""
        connection = _SocketConnection(self._address.socket, seconds)
        body, headers = (None, {}) if method == "GET" else ("{}", {"Content-Type": "application/json"})
        try:
            connection.request(method, path, body, headers)
            yield connection.getresponse()
        except TimeoutError as error:
            if method != "GET" and connection.is_connected:
                raise StillUnderWay(path.rpartition("/")[2].partition("?")[0], seconds) from error
            raise ControllerDown(self._address.url) from error
        except (OSError, http.client.HTTPException) as error:
            raise ControllerDown(self._address.url) from error
        finally:
            connection.close()


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Not as the response itself gives them: it takes one that breaks off for one that ends."""
    rest = b""
    while some := response.read1():
        *lines, rest = (rest + some).split(b"\n")
        yield from lines


class _SocketConnection(http.client.HTTPConnection):
    """To the controller's own socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("hub.sock")
        self._path = path
        self._seconds = seconds
        self.is_connected = False

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(str(self._path))
        self.sock.settimeout(self._seconds)
        self.is_connected = True
