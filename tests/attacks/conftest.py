"""Two live hubs of real processes, and what must hold of them after every attack."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from mlxhub.demo import model_directory
from mlxhub.files.keys import current_key
from tests.attacks.line import ANSWER_SECONDS, Line, require_harmless
from tests.attacks.place import CHAT, COMPLETIONS, Place, Program, ask, chat, completion, post
from tests.attacks.raw import Answer, exchange
from tests.attacks.shared import place_of, shared_hub
from tests.eventually import eventually
from tests.stories.conftest import LiveHub, make_hub

DEMO = "{name: demo, model_path: 'builtin:demo', aliases: [gpt-4o-mini]}"
# Their processes start when they are asked for, each by one test.
LAZY = [f"{{name: {name}, model_path: 'builtin:demo', default: false}}" for name in ("quiet", "mortal")]
# What a process may keep of everything that is thrown at it. A worker reads large bodies on several threads,
# and glibc keeps some memory for each: 20 MB were measured one request at a time, 124 MB six at a time.
GROWTH_BYTES = {Program.CONTROLLER: 50_000_000, Program.WORKER: 200_000_000}


@dataclass(frozen=True, slots=True)
class Target:
    """A port of a live hub. `memory_before`: in bytes, before the first attack."""

    hub: LiveHub
    place: Place
    pid: int
    memory_before: int

    def play(self, line: Line) -> None:
        line.play(self.place, str(self.hub.home))
        self.require_unharmed()

    def send(self, request: bytes, seconds: float = ANSWER_SECONDS) -> Answer:
        done = exchange(self.place.port, request, seconds)
        assert done.closed, f"no end within {seconds} s of {request[:300]!r}: {done.received[:1000]!r}"
        require_harmless(done.answer, self.place, str(self.hub.home))
        return done.answer

    def require_unharmed(self) -> None:
        """The same process, as large as before, and at the service of the next."""
        assert own_pid(self.place) == self.pid
        assert self.send(ask(self.place, "GET", "/v1/models", self.place.auth)).status == 200
        most = self.memory_before + GROWTH_BYTES[self.place.program]
        eventually(lambda: memory_of(self.pid) < most)


def own_pid(place: Place) -> int:
    said = exchange(place.port, ask(place, "GET", place.secret, place.auth), ANSWER_SECONDS).answer.json
    pid = said["controller"]["pid"] if place.program is Program.CONTROLLER else said["pid"]
    assert isinstance(pid, int)
    return pid


def memory_of(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def places_of(hub: LiveHub, *, keys_required: bool) -> list[Place]:
    state = hub.home / "state"
    api, admin, own = (current_key(state / "keys", which) for which in ("api", "admin", "worker"))
    ports = {
        Program.CONTROLLER: hub.port,
        Program.WORKER: json.loads((state / "ports.json").read_bytes())["demo"],
    }
    return [Place(program, port, api, admin, own, keys_required) for program, port in ports.items()]


def _start(directory: Path, api_key: str, *models: str) -> LiveHub:
    """Loaded and warm, so that what an attack leaves behind is told from what any use does."""
    hub = make_hub(directory)
    hub.write(DEMO, *models, api_key=api_key)
    hub.ok("install")
    places = places_of(hub, keys_required=api_key == "required")
    for place in places:
        for stream in (False, True):
            for path, sent in ((CHAT, chat(stream=stream)), (COMPLETIONS, completion(stream=stream))):
                assert exchange(place.port, post(place, path, sent), 60).answer.status == 200
        # Any large request leaves some of what it needed with the process, and the next one uses that again.
        assert exchange(place.port, post(place, CHAT, chat(user="x" * 10_000_000)), 60).answer.status == 200
        many = chat(messages=[{"role": "user", "content": "ping"}] * 10**5)
        assert exchange(place.port, post(place, CHAT, many), 60).answer.status == 400
    before = {place.program: memory_of(own_pid(place)) for place in places}
    (directory / "memory.json").write_text(json.dumps(before))
    return hub


def _targets(directory: Path, hub: LiveHub, *, keys_required: bool) -> dict[Program, Target]:
    before = json.loads((directory / "memory.json").read_bytes())
    return {
        place.program: Target(hub, place, own_pid(place), before[place.program])
        for place in places_of(hub, keys_required=keys_required)
    }


@pytest.fixture(scope="session")
def open_targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Program, Target]]:
    """/v1 needs no key."""
    directory = place_of(tmp_path_factory, "optional")
    with shared_hub(directory, lambda root: _start(root, "optional")) as hub:
        yield _targets(directory, hub, keys_required=False)


@pytest.fixture(scope="session")
def locked_targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Program, Target]]:
    """hub.yaml says `api_key: required`."""
    directory = place_of(tmp_path_factory, "required")
    coded = f"{{name: coded, model_path: {json.dumps(str(directory / 'coded'))}, default: false}}"

    def start(root: Path) -> LiveHub:
        make_coded_model(root)
        return _start(root, "required", *LAZY, coded)

    with shared_hub(directory, start) as hub:
        yield _targets(directory, hub, keys_required=True)


def make_coded_model(directory: Path) -> None:
    """The demo model with a tokenizer of its own, whose code would leave a trace beside it."""
    coded = directory / "coded"
    shutil.copytree(model_directory(), coded, dirs_exist_ok=True)
    (coded / "own.py").write_text(f"open({str(directory / 'trace')!r}, 'w')\n")
    settings = coded / "tokenizer_config.json"
    said = {"auto_map": {"AutoTokenizer": [None, "own.Tokenizer"]}}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | said))


@pytest.fixture(params=Program)
def target(request: pytest.FixtureRequest, open_targets: dict[Program, Target]) -> Target:
    return open_targets[request.param]


@pytest.fixture(params=Program)
def locked_target(request: pytest.FixtureRequest, locked_targets: dict[Program, Target]) -> Target:
    return locked_targets[request.param]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    """One more, of which nothing is installed yet."""
    hub = make_hub(tmp_path)
    yield hub
    hub.remove()
