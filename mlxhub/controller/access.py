"""Who may ask the controller for what."""

import time
from collections.abc import Callable
from pathlib import Path

from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.sessions import Sessions
from mlxhub.controller.settings import ControllerSettings
from mlxhub.core.access import Body, Need, Policy, Role, Route, RouteTable, own_names
from mlxhub.core.config import HubConfig
from mlxhub.core.keys import bearer, is_known
from mlxhub.files.keys import KeyFile
from mlxhub.protocol.model_routes import ACCESS
from mlxhub.web.guard import Authenticate

# docs/security.md publishes this table.
TABLE = RouteTable(
    Route("GET", "/health", Need.NOTHING),
    Route("GET", "/livez", Need.NOTHING),
    Route("GET", "/readyz", Need.NOTHING),
    Route("GET", "/hub", Need.NOTHING, is_page=True),
    Route("GET", "/hub/assets/{asset}", Need.NOTHING),
    # What is sent is itself the proof: a one-time token that only the admin key gives out.
    Route("POST", "/hub/session", Need.NOTHING, Body.OBJECT),
    Route("POST", "/hub/unlock", Need.ADMIN, Body.OBJECT),
    Route("GET", "/hub/status", Need.ADMIN),
    Route("GET", "/hub/events", Need.ADMIN),
    Route("GET", "/hub/models/{name}/logs", Need.ADMIN),
    Route("GET", "/hub/models/{name}/history", Need.ADMIN),
    Route("GET", "/hub/discovered", Need.ADMIN),
    Route("POST", "/hub/discovered/rescan", Need.ADMIN, Body.OBJECT),
    Route("POST", "/hub/discovered/enable", Need.ADMIN, Body.OBJECT),
    Route("POST", "/hub/discovered/disable", Need.ADMIN, Body.OBJECT),
    Route("GET", "/hub/pulls", Need.ADMIN),
    Route("POST", "/hub/pulls", Need.ADMIN, Body.OBJECT),
    Route("DELETE", "/hub/pulls/{id}", Need.ADMIN),
    Route("GET", "/hub/operations", Need.ADMIN),
    Route("GET", "/hub/operations/{id}", Need.ADMIN),
    Route("POST", "/hub/reload", Need.ADMIN, Body.OBJECT),
    Route("POST", "/hub/shutdown", Need.ADMIN, Body.OBJECT),
    Route("POST", "/hub/start-all", Need.ADMIN, Body.OBJECT),
    Route("POST", "/hub/stop-all", Need.ADMIN, Body.OBJECT),
    Route("POST", "/hub/models/{name}/{action}", Need.ADMIN, Body.OBJECT),
    Route("GET", "/v1/models", Need.API_WHERE_REQUIRED),
    Route("GET", "/v1/models/{model_id:path}", Need.API_WHERE_REQUIRED),
    *ACCESS,
)


def access_policy(hub: HubInUse, settings: ControllerSettings) -> Callable[[], Policy]:
    """Address and port are the process's own; what else hub.yaml says holds from the next reload on."""
    known: tuple[HubConfig, Policy] | None = None

    def policy() -> Policy:
        nonlocal known
        config = hub.value.config
        if known is None or known[0] is not config:
            names = own_names(settings.host, settings.port, config.allowed_hosts)
            known = config, Policy(names, config.api_key == "required")
        return known[1]

    return policy


def authenticator(
    directory: Path, sessions: Sessions, wall_clock: Callable[[], float] = time.time
) -> Authenticate:
    """`directory` is that of the hub's keys, `wall_clock` in Unix seconds."""
    api, admin = KeyFile(directory, "api"), KeyFile(directory, "admin")

    def authenticate(authorizations: list[bytes], _method: str, _target: str) -> Role:
        shown = bearer(authorizations)
        if shown is None:
            return Role.NOBODY
        now = wall_clock()
        # All three, so that time does not tell which it is.
        is_admin = is_known(shown, admin.current(), now)
        is_session = sessions.is_open(shown)
        is_api = is_known(shown, api.current(), now)
        if is_admin or is_session:
            return Role.HUB
        return Role.API if is_api else Role.NOBODY

    return authenticate
