"""Where an attack goes, and what the two programs promise there, in words of its own."""

import json
from dataclasses import dataclass
from enum import StrEnum

JSON = "Content-Type: application/json"
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
EMBEDDINGS = "/v1/embeddings"
RERANK = "/v1/rerank"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
SPEECH = "/v1/audio/speech"
GENERATIONS = "/v1/images/generations"
EDITS = "/v1/images/edits"
# Their bodies are forms.
FORMS = (TRANSCRIPTIONS, TRANSLATIONS, EDITS)


class Program(StrEnum):
    CONTROLLER = "controller"
    WORKER = "worker"


class Shown(StrEnum):
    """What has to be shown. V1: the API key where hub.yaml says `api_key: required`."""

    NOTHING = "nothing"
    V1 = "API key where required"
    API = "API key"
    ADMIN = "admin key"


# Method and path as the programs declare them; a row for every route there is, and no other.
ROUTES: dict[Program, dict[tuple[str, str], Shown]] = {
    Program.CONTROLLER: {
        ("GET", "/health"): Shown.NOTHING,
        ("GET", "/livez"): Shown.NOTHING,
        ("GET", "/readyz"): Shown.NOTHING,
        ("GET", "/hub"): Shown.NOTHING,
        ("GET", "/hub/assets/{asset}"): Shown.NOTHING,
        ("POST", "/hub/session"): Shown.NOTHING,
        ("POST", "/hub/unlock"): Shown.ADMIN,
        ("GET", "/hub/status"): Shown.ADMIN,
        ("GET", "/hub/events"): Shown.ADMIN,
        ("GET", "/hub/models/{name}/logs"): Shown.ADMIN,
        ("GET", "/hub/models/{name}/history"): Shown.ADMIN,
        ("GET", "/hub/discovered"): Shown.ADMIN,
        ("POST", "/hub/discovered/rescan"): Shown.ADMIN,
        ("POST", "/hub/discovered/enable"): Shown.ADMIN,
        ("POST", "/hub/discovered/disable"): Shown.ADMIN,
        ("GET", "/hub/pulls"): Shown.ADMIN,
        ("POST", "/hub/pulls"): Shown.ADMIN,
        ("DELETE", "/hub/pulls/{id}"): Shown.ADMIN,
        ("GET", "/hub/operations"): Shown.ADMIN,
        ("GET", "/hub/operations/{id}"): Shown.ADMIN,
        ("POST", "/hub/reload"): Shown.ADMIN,
        ("POST", "/hub/shutdown"): Shown.ADMIN,
        ("POST", "/hub/start-all"): Shown.ADMIN,
        ("POST", "/hub/stop-all"): Shown.ADMIN,
        ("POST", "/hub/models/{name}/{action}"): Shown.ADMIN,
        ("GET", "/v1/models"): Shown.V1,
        ("GET", "/v1/models/{model_id:path}"): Shown.V1,
        ("POST", CHAT): Shown.V1,
        ("POST", COMPLETIONS): Shown.V1,
        ("POST", RESPONSES): Shown.V1,
        ("POST", MESSAGES): Shown.V1,
        ("POST", COUNT_TOKENS): Shown.V1,
        ("POST", EMBEDDINGS): Shown.V1,
        ("POST", RERANK): Shown.V1,
        ("POST", TRANSCRIPTIONS): Shown.V1,
        ("POST", TRANSLATIONS): Shown.V1,
        ("POST", SPEECH): Shown.V1,
        ("POST", GENERATIONS): Shown.V1,
        ("POST", EDITS): Shown.V1,
    },
    Program.WORKER: {
        ("GET", "/health"): Shown.NOTHING,
        ("GET", "/livez"): Shown.NOTHING,
        ("GET", "/readyz"): Shown.NOTHING,
        ("GET", "/identity/{nonce}"): Shown.NOTHING,
        ("GET", "/status"): Shown.API,
        ("GET", "/metrics"): Shown.API,
        ("POST", "/load"): Shown.API,
        ("POST", "/unload"): Shown.API,
        ("GET", "/v1/models"): Shown.V1,
        ("GET", "/v1/models/{model_id:path}"): Shown.V1,
        ("POST", CHAT): Shown.V1,
        ("POST", COMPLETIONS): Shown.V1,
        ("POST", RESPONSES): Shown.V1,
        ("GET", "/v1/responses/{response_id}"): Shown.V1,
        ("DELETE", "/v1/responses/{response_id}"): Shown.V1,
        ("POST", MESSAGES): Shown.V1,
        ("POST", COUNT_TOKENS): Shown.V1,
        ("POST", EMBEDDINGS): Shown.V1,
        ("POST", RERANK): Shown.V1,
        ("POST", TRANSCRIPTIONS): Shown.V1,
        ("POST", TRANSLATIONS): Shown.V1,
        ("POST", SPEECH): Shown.V1,
        ("POST", GENERATIONS): Shown.V1,
        ("POST", EDITS): Shown.V1,
        ("GET", "/v1/images/files/{image_id}"): Shown.NOTHING,
    },
}
_EXAMPLES = {
    "{name}": "demo",
    "{asset}": "main.js",
    "{id}": "op-0123456789abcdef",
    "{nonce}": "0123456789abcdef" * 2,
    "{action}": "stop",
    "{response_id}": "resp_0123456789abcdef",
    "{image_id}": "0123456789abcdef0123456789abcdef.png",
    "{model_id:path}": "demo",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A port of ours. `own`: the key with which the hub signs tickets; clients never have it."""

    program: Program
    port: int
    api: str
    admin: str
    own: str
    keys_required: bool = False

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def auth(self) -> str:
        """The header that opens everything here."""
        key = self.admin if self.program is Program.CONTROLLER else self.api
        return f"Authorization: Bearer {key}"

    @property
    def secret(self) -> str:
        """A path that tells something, to those with a key."""
        return "/hub/status" if self.program is Program.CONTROLLER else "/status"

    @property
    def change(self) -> str:
        """A path that changes something, for those with a key."""
        return "/hub/models/demo/stop" if self.program is Program.CONTROLLER else "/unload"

    def routes(self, *shown: Shown) -> list[tuple[str, str]]:
        """Method and a real path of those that ask for one of these; without any, of all."""
        wanted = shown or tuple(Shown)
        return [
            (method, example_of(path))
            for (method, path), need in ROUTES[self.program].items()
            if need in wanted
        ]

    @property
    def locked(self) -> list[tuple[str, str]]:
        """Those that nobody enters without a key."""
        needs = (Shown.API, Shown.ADMIN, Shown.V1) if self.keys_required else (Shown.API, Shown.ADMIN)
        return self.routes(*needs)


def ask(
    place: Place, method: str, path: str, *headers: str, body: bytes = b"", host: str | None = None
) -> bytes:
    """A request as a client sends it, with these headers besides, and nothing after it."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or place.host}", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def ask_anything(place: Place, route: tuple[str, str], *headers: str, host: str | None = None) -> bytes:
    """As good a request for a route as there is without a key."""
    method, path = route
    if method != "POST":
        return ask(place, method, path, *headers, host=host)
    return ask(place, method, path, JSON, *headers, body=_body_for(path), host=host)


def post(place: Place, path: str, sent: object, *headers: str) -> bytes:
    """`sent` becomes JSON, bytes stay as they are. With the key."""
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    return ask(place, "POST", path, place.auth, JSON, *headers, body=body)


def chat(**more: object) -> dict[str, object]:
    return {"model": "demo", "messages": [{"role": "user", "content": "ping"}], "max_tokens": 8, **more}


def completion(**more: object) -> dict[str, object]:
    return {"model": "demo", "prompt": "ping", "max_tokens": 8, **more}


def _body_for(path: str) -> bytes:
    sent: dict[str, object] = {}
    if path in (CHAT, MESSAGES, COUNT_TOKENS):
        sent = chat()
    elif path == RESPONSES:
        sent = {"model": "demo", "input": "ping", "max_output_tokens": 8}
    elif path == COMPLETIONS:
        sent = completion()
    elif path == "/hub/session":
        sent = {"token": "never given out"}
    return json.dumps(sent).encode()


def example_of(path: str) -> str:
    """A real path, of one as the programs declare it."""
    for parameter, value in _EXAMPLES.items():
        path = path.replace(parameter, value)
    return path
