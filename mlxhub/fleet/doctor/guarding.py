"""The guard, tried on this very hub: are other sites' pages and people without a key refused?"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from mlxhub.clients.trial import status_of
from mlxhub.core.access import base_url
from mlxhub.core.agents import controller_address
from mlxhub.core.checks import Finding, fail, faults_or, skip
from mlxhub.core.restarts import title
from mlxhub.files.keys import ALL, key_file
from mlxhub.fleet.doctor.found import Found, unknown_without_hub
from mlxhub.fleet.hub import Hub

_REPLACED = "mlxhub stop, then mlxhub start; if it stays so, report it"
_FOREIGN = "https://page.example"


@dataclass(frozen=True, slots=True)
class _Trial:
    """`who` sends this, and it must be answered `expected`. Nothing happens if it is not refused."""

    who: str
    expected: int
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""


_FROM_BROWSERS = (
    _Trial("a page whose name was turned to this machine", 421, "GET", "/livez", {"host": "page.example"}),
    _Trial("a page of another site", 403, "GET", "/v1/models", {"origin": _FOREIGN}),
    _Trial(
        "a page of this machine's other servers", 403, "GET", "/v1/models", {"sec-fetch-site": "same-site"}
    ),
    _Trial("a page that asks whether it may", 403, "OPTIONS", "/v1/models", {"origin": _FOREIGN}),
    _Trial(
        "a form of another site", 415, "POST", "/v1/chat/completions", {"content-type": "text/plain"}, b"{}"
    ),
)


def browsers(found: Found) -> list[Finding]:
    servers = dict(_running(found))
    if not servers:
        return _nothing_runs(found)
    faults = [_tried(who, url, trial) for who, url in servers.items() for trial in _FROM_BROWSERS]
    return faults_or(faults, f"{len(servers)} server(s) refuse what pages of other sites send.")


def keys(found: Found) -> list[Finding]:
    servers = dict(_running(found))
    if not servers or found.config is None:
        return _nothing_runs(found)
    paths = {who: ["/status", "/metrics"] for who in servers} | {"The controller": ["/hub/status"]}
    if found.config.api_key == "required":
        paths = {who: [*own, "/v1/models"] for who, own in paths.items()}
    faults = [
        _tried(who, url, _Trial("somebody without a key", 401, "GET", path))
        for who, url in servers.items()
        for path in paths[who]
    ]
    return faults_or(faults, f"{len(servers)} server(s) ask for a key where one is needed.")


def key_files(found: Found) -> list[Finding]:
    directory = found.paths.keys
    if not directory.is_dir():
        return [fail(f"This hub has no keys: there is no {directory}.", "mlxhub install")]
    places = [directory, *(key_file(directory, which) for which in ALL)]
    faults = []
    for place in places:
        if not place.exists():
            faults.append(fail(f"{place} is not there.", "mlxhub install"))
        elif place.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            faults.append(fail(f"Others may read {place}.", f"chmod go= '{place}', then: mlxhub keys rotate"))
    return faults_or(faults, "The keys are there, and nobody else can read them.")


def _running(found: Found) -> Iterator[tuple[str, str]]:
    """Who answers, and where."""
    if found.hub is None:
        return
    if found.answers.controller_pid is not None:
        yield "The controller", _controller_url(found, found.hub)
    for name, facts in found.answers.facts.items():
        if not facts.silent:
            yield title(name), f"http://127.0.0.1:{found.hub.models[name].port}"


def _controller_url(found: Found, hub: Hub) -> str:
    """Of the one that is installed."""
    plists = (
        agent.file.content for agent in found.agents if agent.label == hub.controller_label and agent.file
    )
    installed = next((controller_address(plist) for plist in plists if plist), None)
    return base_url(*(installed or (hub.config.host, hub.config.port)))


def _nothing_runs(found: Found) -> list[Finding]:
    if found.hub is None:
        return unknown_without_hub("servers there should be")
    return [skip("Nothing answers that could be tried.")]


def _tried(who: str, url: str, trial: _Trial) -> Finding | None:
    status = status_of(url, trial.method, trial.path, headers=trial.headers, content=trial.content)
    if status in (trial.expected, None):  # one that is silent meanwhile is agents.answer's to tell
        return None
    said = f"{who} answers {status} instead of {trial.expected} to {trial.who} ({trial.method} {trial.path})."
    return fail(said, _REPLACED)
