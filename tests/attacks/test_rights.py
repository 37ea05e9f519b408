"""A16: a hub.yaml that others may change is not read, for it says what runs as its user."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlxhub.files.keys import current_key
from tests.attacks.conftest import own_pid
from tests.attacks.place import Place, Program
from tests.stories.conftest import LiveHub, make_hub

# Of nobody in particular.
OTHER_USER = 65_534
MODEL = "{name: demo, model_path: 'builtin:demo', default: false}"


def open_file(hub: LiveHub) -> str:
    (hub.home / "hub.yaml").chmod(0o646)
    return f"Others may change {hub.home / 'hub.yaml'} (mode 0646)"


def open_file_to_group(hub: LiveHub) -> str:
    (hub.home / "hub.yaml").chmod(0o664)
    return f"Others may change {hub.home / 'hub.yaml'} (mode 0664)"


def open_directory(hub: LiveHub) -> str:
    hub.home.chmod(0o757)
    return f"Others may change {hub.home} (mode 0757)"


def link_into_open_directory(hub: LiveHub) -> str:
    elsewhere = hub.home.parent / "elsewhere"
    elsewhere.mkdir()
    (hub.home / "hub.yaml").rename(elsewhere / "hub.yaml")
    (hub.home / "hub.yaml").symlink_to(elsewhere / "hub.yaml")
    elsewhere.chmod(0o777)
    return f"Others may change {elsewhere} (mode 0777)"


def link_to_file_of_another(hub: LiveHub) -> str:
    """Only root can give a file away; for others it is a file of root's own that everybody may write."""
    theirs = hub.home.parent / "theirs.yaml"
    (hub.home / "hub.yaml").rename(theirs)
    (hub.home / "hub.yaml").symlink_to(theirs)
    if os.getuid() == 0:
        os.chown(theirs, OTHER_USER, OTHER_USER)
        return f"{theirs} belongs to user {OTHER_USER}, not to you"
    theirs.chmod(0o666)
    return f"Others may change {theirs} (mode 0666)"


Open = Callable[[LiveHub], str]
WAYS: tuple[Open, ...] = (
    open_file,
    open_file_to_group,
    open_directory,
    link_into_open_directory,
    link_to_file_of_another,
)


def put_back(hub: LiveHub) -> None:
    """Its modes as they were, and again a file of its own."""
    file = hub.home / "hub.yaml"
    content = file.read_text()
    file.unlink()
    file.write_text(content)
    file.chmod(0o644)
    hub.home.chmod(0o755)


@pytest.mark.parametrize("way", WAYS)
def test_a16_nothing_is_installed_from_it(tmp_path: Path, way: Open) -> None:
    hub = make_hub(tmp_path)
    said = way(hub)
    done = hub.run("install")
    assert done.returncode == 1
    assert "is not read." in done.stderr
    assert said in done.stderr
    assert hub.processes() == []


def test_a16_a_running_hub_stays_as_it_is_until_nobody_else_may_change_it(hub: LiveHub) -> None:
    hub.ok("install")
    keys = (current_key(hub.home / "state" / "keys", which) for which in ("api", "admin", "worker"))
    place = Place(Program.CONTROLLER, hub.port, *keys)
    before = own_pid(place)
    hub.write(MODEL)
    for way in WAYS:
        said = way(hub)
        done = hub.run("reload")
        assert done.returncode == 1
        assert said in done.stderr, way
        put_back(hub)
        assert own_pid(place) == before
    assert hub.json("status")["models"] == []
    hub.ok("reload")
    assert [model["name"] for model in hub.json("status")["models"]] == ["demo"]
