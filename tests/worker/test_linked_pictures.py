"""Pictures by address: none is opened on this machine, and none fetched but where hub.yaml allows it."""

from pathlib import Path

import pytest

from mlxhub.core.config import WorkerSettings
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.linked_pictures import check_pictures

ABOUT = ("https://example.com/cat.png", "HTTP://example.com/cat.png")


def settings(tmp_path: Path, *, fetches: bool) -> WorkerSettings:
    return WorkerSettings(name="m", port=1, model_path=str(tmp_path), fetch_images=fetches)


@pytest.mark.parametrize("url", ["/etc/passwd", "file:///etc/passwd", "ftp://example.com/a", "", "cat.png"])
def test_where_a_picture_may_come_from(tmp_path: Path, url: str) -> None:
    for fetches in (False, True):
        with pytest.raises(InvalidRequest, match="image 2 must be a data: URI"):
            check_pictures(["data:image/png;base64,", url], settings(tmp_path, fetches=fetches))
    for address in ABOUT:
        with pytest.raises(InvalidRequest, match="image 1 is an address, and this model fetches none"):
            check_pictures([address], settings(tmp_path, fetches=False))


def test_an_address_passes_where_pictures_are_fetched(tmp_path: Path) -> None:
    assert check_pictures(ABOUT, settings(tmp_path, fetches=True)) == ABOUT
    data = ("data:image/png;base64,AA==", "DATA:,")
    assert check_pictures(data, settings(tmp_path, fetches=False)) == data
