"""A17, A18 and A29: nobody else reaches the hub, and nobody else is taken for a part of it."""

import os
import socket
from pathlib import Path

import psutil
import pytest

from tests.attacks.conftest import Target
from tests.attacks.line import require_nothing_told
from tests.attacks.place import CHAT, Place, Program, chat, post
from tests.attacks.raw import exchange
from tests.attacks.stranger import Stranger, stranger_on
from tests.eventually import eventually
from tests.stories.conftest import LiveHub, make_hub

PROMPT = "a prompt that no stranger may read"
# A process comes up first.
START_SECONDS = 30


def outward_address() -> str:
    """Of this machine, for others; without a network, one that it does not have."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "192.0.2.2"
        return str(probe.getsockname()[0])


OPEN_HOSTS = ("0.0.0.0", "::", outward_address())


def require_nothing_started(hub: LiveHub) -> None:
    assert hub.processes() == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", hub.port)) != 0


@pytest.mark.parametrize("host", OPEN_HOSTS, ids=["IPv4", "IPv6", "LAN"])
def test_a17_an_address_for_others_without_a_key_is_refused_before_anything_is_bound(
    tmp_path: Path, host: str
) -> None:
    hub = make_hub(tmp_path)
    hub.write("{name: demo, model_path: 'builtin:demo'}", host=f"'{host}'")
    done = hub.run("install")
    assert done.returncode == 1
    assert "host: other machines reach this address, so add `api_key: required`" in done.stderr
    assert "Traceback" not in done.stderr
    require_nothing_started(hub)


@pytest.mark.parametrize("host", OPEN_HOSTS, ids=["IPv4", "IPv6", "LAN"])
def test_a17_nor_does_the_command_line_open_what_hub_yaml_keeps_shut(tmp_path: Path, host: str) -> None:
    hub = make_hub(tmp_path)
    done = hub.run("controller", "--host", host)
    assert done.returncode == 1
    assert f"other machines reach {host}, so say `api_key: required` in hub.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    require_nothing_started(hub)


def test_a18_every_socket_of_a_hub_is_on_loopback(target: Target) -> None:
    """Of the supervisor's too."""
    listening = [
        connection.laddr.ip
        for process in target.hub.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type is socket.SOCK_DGRAM
    ]
    assert len(listening) >= 2
    assert set(listening) == {"127.0.0.1"}


def require_ignorant(stranger: Stranger, place: Place) -> None:
    heard = stranger.heard.lower()
    for never in (PROMPT, place.api, place.admin, place.own, "authorization", "messages", "post /v1"):
        assert never.lower().encode() not in heard, stranger.heard[:2000]


def request_for(target: Target, model: str) -> bytes:
    return post(target.place, CHAT, chat(model=model, messages=[{"role": "user", "content": PROMPT}]))


def test_a29_a_stranger_on_a_models_port_learns_nothing(locked_targets: dict[Program, Target]) -> None:
    target = locked_targets[Program.CONTROLLER]
    place, request = target.place, request_for(target, "quiet")
    with stranger_on(target.hub.model("quiet")["port"]) as stranger:
        for _ in range(2):
            answer = exchange(place.port, request).answer
            assert (answer.status, answer.error["code"]) == (503, "port_held")
            require_nothing_told(answer, place, str(target.hub.home), "pytest")  # nor who the stranger is
        require_ignorant(stranger, place)
        view = target.hub.model("quiet")
        assert view["process"] == "failed"
        assert f"Port {view['port']} is held by pid {os.getpid()}" in view["error"]
    assert exchange(place.port, request, START_SECONDS).answer.status == 200
    target.require_unharmed()


def test_a29_a_stranger_that_takes_a_dead_workers_port_learns_nothing(
    locked_targets: dict[Program, Target],
) -> None:
    """The hub believes that it serves still: it was looked at a second ago."""
    target = locked_targets[Program.CONTROLLER]
    request = request_for(target, "mortal")
    assert exchange(target.place.port, request, START_SECONDS).answer.status == 200
    view = target.hub.model("mortal")
    worker = psutil.Process(view["pid"])
    worker.kill()
    psutil.wait_procs([worker], START_SECONDS)
    with stranger_on(view["port"]) as stranger:
        answer = exchange(target.place.port, request, START_SECONDS).answer
        require_ignorant(stranger, target.place)
        assert b"GET /identity" in stranger.heard
        assert answer.status == 503
        require_nothing_told(answer, target.place, str(target.hub.home), "pytest")
    eventually(lambda: exchange(target.place.port, request, START_SECONDS).answer.status == 200, 15)
    target.require_unharmed()
