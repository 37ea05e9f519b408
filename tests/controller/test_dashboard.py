"""The page at /hub: a shell that holds no data and lets nothing foreign in."""

import re
from pathlib import Path

import pytest

from mlxhub.controller import dashboard
from mlxhub.core.config import HubConfig
from tests.controller.hub import ALPHA, RunningHub, running_hub

pytestmark = pytest.mark.anyio

ASSETS = Path(dashboard.__file__).parent / "assets"
PATHS = ("/hub", *(f"/hub/assets/{file.name}" for file in sorted(ASSETS.iterdir())))
# What SVG is called, which nobody asks for.
SVG = "http://www.w3.org/2000/svg"


async def scripts(hub: RunningHub) -> str:
    """All of them."""
    return "\n".join([(await hub.client.get(path)).text for path in PATHS if path.endswith(".js")])


async def test_the_page_and_what_it_needs_are_served_with_strict_headers(hub: RunningHub) -> None:
    assert len(PATHS) > 10
    for path in PATHS:
        response = await hub.client.get(path)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_page_has_neither_data_nor_inline_code_nor_foreign_sources(hub: RunningHub) -> None:
    page = (await hub.client.get("/hub")).text
    assert "alpha" not in page
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|https?://", page)


async def test_scripts_write_text_only(hub: RunningHub) -> None:
    script = (await scripts(hub)).replace(SVG, "")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|https?://", script)


async def test_every_element_that_scripts_name_is_on_the_page(hub: RunningHub) -> None:
    page = (await hub.client.get("/hub")).text
    script = await scripts(hub)
    ids = set(re.findall(r'(?:element|fromTemplate)\("([\w-]+)"\)', script))
    fields = set(re.findall(r'(?:field|pill)\("([\w-]+)"', script))
    assert len(ids) > 20
    assert {name for name in ids if f'id="{name}"' not in page} == set()
    assert {name for name in fields if f'data-field="{name}"' not in page} == set()


async def test_nothing_else_lies_beside_it(hub: RunningHub) -> None:
    for name in ("views.py", "..%2Fviews.py", "nothing.js", "hub.html.jinja"):
        assert (await hub.client.get(f"/hub/assets/{name}")).status_code == 404


async def test_the_page_can_be_turned_off(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, config=HubConfig(enable_status_page=False)) as hub:
        assert {(await hub.client.get(path)).status_code for path in PATHS} == {404}
        assert (await hub.client.get("/hub/status")).status_code == 200
