"""The page at /hub: a shell that holds no data and lets nothing foreign in."""

import re
from pathlib import Path

import pytest

from mlxhub.core.config import HubConfig
from tests.controller.hub import ALPHA, RunningHub, running_hub

pytestmark = pytest.mark.anyio

PATHS = ("/hub", "/hub/hub.css", "/hub/hub.js")


async def test_the_page_and_what_it_needs_are_served_with_strict_headers(hub: RunningHub) -> None:
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


async def test_the_script_writes_text_only(hub: RunningHub) -> None:
    script = (await hub.client.get("/hub/hub.js")).text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|https?://", script)


async def test_every_element_the_script_names_is_on_the_page(hub: RunningHub) -> None:
    page = (await hub.client.get("/hub")).text
    script = (await hub.client.get("/hub/hub.js")).text
    ids = set(re.findall(r'element\("([\w-]+)"\)', script))
    fields = set(re.findall(r'(?:field|pill)\("([\w-]+)"', script)) - {"memory"} | {"memory"}
    assert {name for name in ids if f'id="{name}"' not in page} == set()
    assert {name for name in fields if f'data-field="{name}"' not in page} == set()


async def test_the_page_can_be_turned_off(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, config=HubConfig(enable_status_page=False)) as hub:
        assert [(await hub.client.get(path)).status_code for path in PATHS] == [404, 404, 404]
        assert (await hub.client.get("/hub/status")).status_code == 200
