"""Who may ask a worker for what."""

import time
from collections.abc import Callable
from pathlib import Path

from mlxhub.core.access import Body, Need, Policy, Role, Route, RouteTable, own_names
from mlxhub.core.config import WorkerSettings
from mlxhub.core.keys import bearer, is_known, is_ticket_for
from mlxhub.files.keys import KeyFile
from mlxhub.protocol.model_routes import ACCESS
from mlxhub.web.guard import Authenticate

# docs/security.md publishes this table. The hub itself shows a ticket instead of the key.
TABLE = RouteTable(
    Route("GET", "/health", Need.NOTHING),
    Route("GET", "/livez", Need.NOTHING),
    Route("GET", "/readyz", Need.NOTHING),
    Route("GET", "/identity/{nonce}", Need.NOTHING),
    Route("GET", "/status", Need.API),
    Route("GET", "/metrics", Need.API),
    Route("POST", "/load", Need.API, Body.OBJECT),
    Route("POST", "/unload", Need.API, Body.OBJECT),
    Route("GET", "/v1/models", Need.API_WHERE_REQUIRED),
    Route("GET", "/v1/models/{model_id:path}", Need.API_WHERE_REQUIRED),
    *ACCESS,
    Route("GET", "/v1/responses/{response_id}", Need.API_WHERE_REQUIRED),
    Route("DELETE", "/v1/responses/{response_id}", Need.API_WHERE_REQUIRED),
    # The address itself is what nobody can guess; browsers that show a picture send no key.
    Route("GET", "/v1/images/files/{image_id}", Need.NOTHING),
)


def access_policy(settings: WorkerSettings, host: str) -> Policy:
    return Policy(own_names(host, settings.port), settings.api_key == "required")


def authenticator(settings: WorkerSettings, wall_clock: Callable[[], float] = time.time) -> Authenticate:
    """`wall_clock` in Unix seconds. One that is run by hand belongs to no hub and asks for no proof."""
    if settings.keys is None:
        return lambda _authorizations, _method, _target: Role.HUB
    directory = Path(settings.keys)
    api, own = KeyFile(directory, "api"), KeyFile(directory, "worker")

    def authenticate(authorizations: list[bytes], method: str, target: str) -> Role:
        if not authorizations:
            return Role.NOBODY
        now = wall_clock()
        for key in own.current():
            if is_ticket_for(authorizations, key.secret, method, settings.port, target, now):
                return Role.HUB
        shown = bearer(authorizations)
        return Role.API if shown is not None and is_known(shown, api.current(), now) else Role.NOBODY

    return authenticate
