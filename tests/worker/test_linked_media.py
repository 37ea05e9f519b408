"""Pictures and videos by address: none is opened on this machine, nor fetched but where hub.yaml lets it."""

from pathlib import Path

import pytest

from mlxhub.core.config import WorkerSettings
from mlxhub.core.medium import Medium, MediumKind
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.linked_media import check_media

ABOUT = ("https://example.com/cat.png", "HTTP://example.com/cat.png")


def settings(tmp_path: Path, *, fetches: bool) -> WorkerSettings:
    return WorkerSettings(name="m", port=1, model_path=str(tmp_path), fetch_images=fetches)


def media(*urls: str, kind: MediumKind = "image") -> tuple[Medium, ...]:
    return tuple(Medium(kind, url) for url in urls)


@pytest.mark.parametrize("url", ["/etc/passwd", "file:///etc/passwd", "ftp://example.com/a", "", "cat.png"])
@pytest.mark.parametrize("kind", ["image", "video"])
def test_where_a_picture_may_come_from(tmp_path: Path, url: str, kind: MediumKind) -> None:
    for fetches in (False, True):
        with pytest.raises(InvalidRequest, match=f"{kind} 2 must be a data: URI"):
            check_media(media("data:image/png;base64,", url, kind=kind), settings(tmp_path, fetches=fetches))
    for address in ABOUT:
        with pytest.raises(InvalidRequest, match=f"{kind} 1 is an address, and this model fetches none"):
            check_media(media(address, kind=kind), settings(tmp_path, fetches=False))


def test_each_is_counted_among_its_kind(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="video 1 must be a data: URI"):
        check_media((*media("data:,"), *media("cat.mp4", kind="video")), settings(tmp_path, fetches=True))


def test_an_address_passes_where_pictures_are_fetched(tmp_path: Path) -> None:
    assert check_media(media(*ABOUT), settings(tmp_path, fetches=True)) == media(*ABOUT)
    data = media("data:image/png;base64,AA==", "DATA:,")
    assert check_media(data, settings(tmp_path, fetches=False)) == data
