"""A12, A16, A17 and A31 where they are decided: addresses, rights, passing headers, texts of errors."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from mlxhub import errors, refusals
from mlxhub.clients.headers import headers_for_client, headers_for_worker
from mlxhub.controller.main import refuse_open_address
from mlxhub.controller.settings import ControllerSettings
from mlxhub.core.config import parse_config
from mlxhub.files.hub_yaml import read_hub_text
from mlxhub.files.rights import open_places
from mlxhub.protocol.errors import client_envelope
from mlxhub.web.responses import invalid_request
from tests.attacks.lines_bodies import MODELS

OTHER_USER = 65_534
OPEN_HOSTS = ("0.0.0.0", "::", "192.0.2.7", "fd00::7", "169.254.1.1")


@pytest.mark.parametrize("host", OPEN_HOSTS)
def test_a17_hub_yaml_opens_no_address_to_others_without_a_key(host: str) -> None:
    with pytest.raises(errors.ConfigError, match="add `api_key: required`"):
        parse_config(f"host: '{host}'\n")
    assert parse_config(f"api_key: required\nhost: '{host}'\n").host == host


@pytest.mark.parametrize("host", OPEN_HOSTS)
def test_a17_nor_does_the_command_line(host: str, tmp_path: Path) -> None:
    settings = ControllerSettings(host=host, keys=tmp_path, socket=tmp_path / "hub.sock")
    with pytest.raises(errors.OpenAddress):
        refuse_open_address(settings, "optional")
    refuse_open_address(settings, "required")


def of_others(path: Path) -> None:
    path.chmod(0o602)


def of_a_group(path: Path) -> None:
    path.chmod(0o620)


def in_a_directory_of_others(path: Path) -> None:
    path.parent.chmod(0o703)


def a_link_to_what_others_may_change(path: Path) -> None:
    target = path.rename(path.with_name("target"))
    target.chmod(0o602)
    path.symlink_to(target)


def a_link_into_a_directory_of_others(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    elsewhere.chmod(0o703)
    path.symlink_to(path.rename(elsewhere / "target"))


def a_link_in_a_directory_of_others(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    path.symlink_to(path.rename(elsewhere / "target"))
    path.parent.chmod(0o703)


def given_away(path: Path) -> None:
    """Which only root can do; what everybody may write is as good as given away."""
    if os.getuid() == 0:
        os.chown(path, OTHER_USER, OTHER_USER)
    else:
        path.chmod(0o606)


WAYS = (
    of_others,
    of_a_group,
    in_a_directory_of_others,
    a_link_to_what_others_may_change,
    a_link_into_a_directory_of_others,
    a_link_in_a_directory_of_others,
    given_away,
)


@pytest.mark.parametrize("way", WAYS)
def test_a16_what_others_may_change_is_not_read(way: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "hub.yaml"
    path.write_text("port: 8000\n")
    assert list(open_places(path)) == []
    way(path)
    assert list(open_places(path))
    with pytest.raises(errors.ConfigError, match="is not read"):
        read_hub_text(path)


def test_a31_what_is_no_name_is_not_said_back() -> None:
    for model in MODELS.values():
        said = str(errors.UnknownModel(model, ("demo",)))
        assert said.endswith("Models: demo.")
        if "/" in model or len(model) > 100 or not model.isprintable():
            assert said == "There is no model of this name here. Models: demo."


class _Asked(BaseModel):
    count: int
    mode: bool = False


@pytest.mark.parametrize("value", ['"a secret"', '{"a secret": 1}', '["a secret"]', "1.5"])
def test_a19_a_fault_is_told_without_what_was_sent(value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _Asked.model_validate_json(f'{{"count": {value}, "a secret": 1}}')
    refusal = invalid_request(caught.value)
    assert refusal.param == "count"
    assert "secret" not in str(refusal)
    assert "1.5" not in str(refusal)


@pytest.mark.parametrize(
    "error",
    [
        errors.PortHeld(47850, 123, "/Users/me/secret --password x"),
        errors.ModelFailed("demo", "It crashed. Its log: /Users/me/Library/Logs/demo.log"),
        errors.StateUnreadable("/Users/me/state", "it is damaged"),
        errors.LockTimeout("/Users/me/hub.lock", 60),
        errors.LaunchctlFailed("bootstrap", 5, "See /Users/me/LaunchAgents"),
    ],
)
def test_a15_clients_are_told_nothing_of_this_machine(error: errors.MlxhubError) -> None:
    said = client_envelope(error).model_dump_json()
    assert "/Users/" not in said
    assert "password" not in said
    assert "mlxhub status" in said


def test_a15_clients_are_told_what_is_theirs_to_mend() -> None:
    refusal = refusals.InvalidRequest("n: too large", "n")
    assert client_envelope(refusal).error.message == "n: too large"


def test_a12_no_key_of_a_clients_and_no_page_of_its_browsers_reaches_a_worker() -> None:
    sent = {
        b"authorization": b"Bearer mlxh_x",
        b"proxy-authorization": b"Bearer mlxh_x",
        b"cookie": b"key=mlxh_x",
        b"origin": b"http://127.0.0.1:8000",
        b"referer": b"http://127.0.0.1:8000/hub",
        b"host": b"127.0.0.1:8000",
        b"content-length": b"2",
        b"transfer-encoding": b"chunked",
        b"connection": b"x-hop",
        b"x-hop": b"1",
        b"upgrade": b"h2c",
        b"te": b"trailers",
        b"expect": b"100-continue",
        b"sec-fetch-site": b"same-origin",
        b"x-forwarded-host": b"evil.example",
        b"x-request-id": b"theirs",
    }
    assert headers_for_worker([*sent.items(), (b"accept", b"*/*")], b"ours") == [
        (b"accept", b"*/*"),
        (b"x-request-id", b"ours"),
    ]


def test_a6_a_worker_cannot_open_the_hub_to_other_pages() -> None:
    said = [
        (b"access-control-allow-origin", b"*"),
        (b"set-cookie", b"a=b"),
        (b"location", b"http://evil.example"),
        (b"server", b"x"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"content-security-policy", b"*"),
        (b"clear-site-data", b"*"),
        (b"content-type", b"text/event-stream"),
    ]
    assert headers_for_client(said) == [(b"content-type", b"text/event-stream")]
