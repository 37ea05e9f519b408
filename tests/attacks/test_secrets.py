"""A15, A33 and A34: what stays behind of keys, and of what clients say, where others read it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.conftest import Target
from tests.attacks.place import CHAT, Place, Program, ask, chat, post
from tests.attacks.raw import exchange
from tests.stories.conftest import LiveHub

FORGED = "{0.__class__} {m.secret} %s {{7*7}} ${jndi:x} \n2026-01-01 | INFO | forged \x1b]8;; </script>"


def secrets_of(place: Place) -> list[bytes]:
    return [secret.encode() for secret in (place.api, place.admin, place.own)]


def files_of(hub: LiveHub) -> Iterator[Path]:
    for directory, _, names in os.walk(hub.home):
        yield from (Path(directory) / name for name in names)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def log_of(target: Target) -> Path:
    name = "controller" if target.place.program is Program.CONTROLLER else "demo"
    return target.hub.home / "logs" / f"{name}.log"


def test_a15_keys_stand_in_their_own_files_alone(target: Target) -> None:
    """Also after they were shown in every place where none belongs."""
    place = target.place
    for secret in (place.api, place.admin, place.own):
        for header in (
            f"Authorization: Basic {secret}",
            f"Cookie: key={secret}",
            f"X-Request-Id: {secret} x",
        ):
            target.send(ask(place, "GET", place.secret, header))
        target.send(ask(place, "GET", f"/nowhere/x?api_key={secret}", place.auth))
        exchange(place.port, f"GET {secret} HTTP/1.1\r\n\r\n".encode())
    for file in files_of(target.hub):
        if file.parent.name == "keys" or not file.is_file():
            continue
        content = file.read_bytes()
        for secret in secrets_of(place):
            assert secret not in content, file


def test_a15_no_process_shows_a_key_in_its_arguments_or_environment(target: Target) -> None:
    """Arguments are for all to see, and an environment is inherited."""
    processes = target.hub.processes()
    assert len(processes) >= 3
    for process in processes:
        shown = "\0".join([*process.cmdline(), *process.environ().values()]).encode()
        for secret in secrets_of(target.place):
            assert secret not in shown, process


@pytest.mark.parametrize("command", ["status --json", "doctor --json", "logs controller"])
def test_a15_what_people_paste_into_reports_has_no_key_in_it(
    open_targets: dict[Program, Target], command: str
) -> None:
    target = open_targets[Program.CONTROLLER]
    done = target.hub.run(*command.split())
    assert done.stdout
    for secret in secrets_of(target.place):
        assert secret not in (done.stdout + done.stderr).encode()


def test_a15_metrics_have_no_key_in_them(open_targets: dict[Program, Target]) -> None:
    target = open_targets[Program.WORKER]
    answer = target.send(ask(target.place, "GET", "/metrics", target.place.auth))
    assert answer.status == 200
    assert b"mlxhub_model_loaded" in answer.body


def test_a15_files_are_for_their_user_alone(target: Target) -> None:
    """But plists, which launchd wants readable, and launchers: there is nothing in them but paths."""
    home = target.hub.home
    for path in (*files_of(target.hub), *(Path(each) for each, _, _ in os.walk(home))):
        wanted = 0o700 if path.is_dir() else 0o600
        if path.parent.name == "LaunchAgents":
            wanted = 0o644
        elif path.parent.name == "bin":
            wanted = 0o755
        if path not in (home, home / "hub.yaml"):  # these the test has made
            assert mode_of(path) & ~wanted == 0, f"{path} has mode {mode_of(path):o}"
    assert {mode_of(path) for path in (home / "LaunchAgents").iterdir()} == {0o644}


def series_of(target: Target) -> set[str]:
    answer = target.send(ask(target.place, "GET", "/metrics", target.place.auth))
    return {line.rpartition(" ")[0] for line in answer.body.decode().splitlines() if not line.startswith("#")}


def test_a33_series_are_as_many_whatever_clients_name(open_targets: dict[Program, Target]) -> None:
    target = open_targets[Program.WORKER]
    before = series_of(target)
    assert before
    asked: list[bytes] = []
    for number in range(200):
        asked.append(post(target.place, CHAT, chat(model=f"m{number}", user=f"u{number}")))
        asked.append(ask(target.place, "GET", f"/p{number}?q={number}", f"X-H{number}: x"))
        asked.append(ask(target.place, "GET", f"/v1/models/m{number}"))
    for request in asked:
        assert exchange(target.place.port, request).answer.status == 404
    assert series_of(target) == before
    target.require_unharmed()


def test_a34_what_clients_write_is_not_logged_nor_expanded(target: Target) -> None:
    log = log_of(target)
    before = log.read_bytes()
    message = {"role": "user", "content": FORGED}
    answered = target.send(post(target.place, CHAT, chat(messages=[message])), 30)
    assert answered.status == 200
    refused = target.send(post(target.place, CHAT, chat(messages=[message], model=FORGED)))
    assert refused.status == 404
    refused = target.send(post(target.place, CHAT, chat(messages=[{**message, "role": FORGED}])))
    assert refused.status == 400
    new = log.read_bytes()[len(before) :]
    for part in (b"__class__", b"secret", b"forged", b"jndi", b"\x1b"):
        assert part not in new
    target.require_unharmed()


def test_a34_what_is_logged_of_a_request_is_one_line_as_it_was_sent(target: Target) -> None:
    """The host that a request means is told, for whoever has to allow it."""
    log = log_of(target)
    before = log.read_bytes()
    host = "{0.__class__}{extra[request_id]}%s\\n2026-01-01.INFO.forged\u0085\u00a0"
    exchange(target.place.port, ask(target.place, "GET", "/health", host=host))
    lines = [line for line in log.read_bytes()[len(before) :].splitlines() if b"__class__" in line]
    assert len(lines) == 1
    assert b"{0.__class__}{extra[request_id]}%s" in lines[0]
    assert lines[0].isascii()
