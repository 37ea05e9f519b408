"""The controller as the command line talks to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
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
_DATA = "data: "

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
        self._url = address.url
        self._reload_seconds = reload_seconds
        transport = httpx.HTTPTransport(uds=str(address.socket), trust_env=False)
        self._client = httpx.Client(
            base_url="http://hub.sock", transport=transport, trust_env=False, follow_redirects=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def answers(self) -> bool:
        """Whether anything does."""
        try:
            self._client.get("/livez", timeout=CONNECT_SECONDS)
        except httpx.TransportError:
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
        timeout = httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
        try:
            with self._client.stream("GET", "/hub/events", params=wanted, timeout=timeout) as response:
                if response.status_code != 200:
                    raise remote_error(response.status_code, response.read(), source="The controller")
                for line in response.iter_lines():
                    if line.startswith(_DATA):
                        yield HubEvent.model_validate_json(line.removeprefix(_DATA))
        except (httpx.TransportError, ValidationError) as error:
            raise ControllerDown(self._url) from error

    def _call(self, method: str, path: str, answer: type[_Answer], seconds: float) -> _Answer:
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            if method == "GET":
                response = self._client.get(path, timeout=timeout)
            else:
                # A controller that hangs is told from one that takes its time.
                self._client.get("/livez", timeout=STATUS_SECONDS)
                response = self._client.post(path, json={}, timeout=timeout)
        except httpx.TransportError as error:
            if isinstance(error, httpx.ReadTimeout) and error.request.method != "GET":
                raise StillUnderWay(path.rpartition("/")[2].partition("?")[0], seconds) from error
            raise ControllerDown(self._url) from error
        if response.status_code != 200:
            raise remote_error(response.status_code, response.content, source="The controller")
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise ControllerDown(self._url) from error
