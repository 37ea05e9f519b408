"""Settings of clients are written, and are put back as they were."""

from pathlib import Path

import pytest

from mlxhub.core.client_settings import Client, Offer
from mlxhub.core.paths import Paths
from mlxhub.errors import SettingsLeftAlone
from mlxhub.files.connections import connect_client, connected_clients, disconnect_client

OFFER = Offer("http://127.0.0.1:8000", None, "m", ("m",))
OTHER = Offer("http://127.0.0.1:9000", None, "m", ("m",))
BEFORE = '{"theme": "dark"}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".claude" / "settings.json"


def test_what_was_not_there_is_gone_again(paths: Paths, file: Path) -> None:
    assert connect_client(paths, Client.CLAUDE, file, OFFER)
    assert file.stat().st_mode & 0o777 == 0o600
    assert connected_clients(paths) == [Client.CLAUDE]
    assert disconnect_client(paths, Client.CLAUDE) == file
    assert not file.exists()
    assert connected_clients(paths) == []
    assert disconnect_client(paths, Client.CLAUDE) is None


def test_a_second_time_takes_the_place_of_the_first_and_still_knows_what_was_before(
    paths: Paths, file: Path
) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(BEFORE)
    file.chmod(0o644)
    assert connect_client(paths, Client.CLAUDE, file, OFFER)
    assert not connect_client(paths, Client.CLAUDE, file, OFFER), "it says so already"
    assert connect_client(paths, Client.CLAUDE, file, OTHER)
    assert "9000" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o644
    disconnect_client(paths, Client.CLAUDE)
    assert file.read_text() == BEFORE


def test_behind_a_link_its_target_is_written(paths: Paths, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "settings.json"
    target.parent.mkdir()
    target.write_text(BEFORE)
    file.parent.mkdir(parents=True)
    file.symlink_to(target)
    connect_client(paths, Client.CLAUDE, file, OFFER)
    assert file.is_symlink()
    assert "8000" in target.read_text()


def test_what_cannot_be_edited_stays_and_is_not_remembered(paths: Paths, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("{")
    with pytest.raises(SettingsLeftAlone, match=r"settings\.json is left as it is: it is not valid JSON"):
        connect_client(paths, Client.CLAUDE, file, OFFER)
    assert file.read_text() == "{"
    assert connected_clients(paths) == []
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsLeftAlone, match="not UTF-8"):
        connect_client(paths, Client.CLAUDE, file, OFFER)


def test_one_that_somebody_removed_is_no_error(paths: Paths, file: Path) -> None:
    connect_client(paths, Client.CLAUDE, file, OFFER)
    file.unlink()
    assert disconnect_client(paths, Client.CLAUDE) == file
    assert not file.exists()
