"""Whoever uses a screen reader, a keyboard or large letters finds nothing serious in the way."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.asking import HubFacts
from tests.browser.test_dashboard import opened
from tests.browser.test_unlocking import expect_locked, expect_unlocked
from tests.stories.conftest import LiveHub


def violations(page: Page) -> list[str]:
    """Each with where it is."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {[node['target'] for node in each['nodes']]}" for each in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_has_a_violation(browser: Browser, hub: LiveHub, facts: HubFacts, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    try:
        page = context.new_page()
        page.goto(f"{hub.url}/hub")
        expect_locked(page)
        assert violations(page) == []
        page.goto(facts.link())
        expect_unlocked(page)
        expect(opened(page, "demo").locator(".log")).to_contain_text("is served at")
        assert violations(page) == []
        for view in ("Discover", "Events"):
            page.get_by_role("link", name=view, exact=True).first.click()
            expect(page.locator(f"#{view.lower()} :is(tbody tr, li)").first).to_be_visible()
            assert violations(page) == []
    finally:
        context.close()
