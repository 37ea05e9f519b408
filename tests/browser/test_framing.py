"""Nobody can lay the dashboard under a page of their own."""

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.attacker import PAGE, Attacker
from tests.stories.conftest import LiveHub

FRAME_HUB = """url => new Promise((resolve) => {
  const frame = document.createElement("iframe");
  frame.src = url;
  frame.onload = resolve;
  document.body.append(frame);
})"""


def framed(page: Page, url: str) -> str:
    """What is to be seen in a frame that was sent there."""
    page.evaluate(FRAME_HUB, url)
    return page.frames[1].locator("body").inner_text()


def test_the_page_says_that_nothing_may_frame_load_or_reach_it(hub: LiveHub) -> None:
    headers = httpx.get(f"{hub.url}/hub", trust_env=False).headers
    assert headers["content-security-policy"].split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "set-cookie" not in headers


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.test"])
def test_a_page_of_another_origin_gets_a_refusal_into_its_frame(
    hub: LiveHub, attacker: Attacker, context: BrowserContext, host: str
) -> None:
    page = context.new_page()
    page.goto(attacker.page(host))
    seen = framed(page, f"{hub.url}/hub")
    assert "mlxhub" not in seen
    assert "Web pages of other sites may not use this server." in seen


def test_not_even_a_page_of_the_same_origin_can_frame_it(hub: LiveHub, context: BrowserContext) -> None:
    """The guard lets that one in: what holds is the browser, by the page's headers."""
    page = context.new_page()
    page.route(f"{hub.url}/own", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(f"{hub.url}/own")
    with page.expect_response(f"{hub.url}/hub") as answer:
        seen = framed(page, f"{hub.url}/hub")
    assert answer.value.status == 200
    assert "mlxhub" not in seen
    assert page.frames[1].url.startswith("chrome-error://")
