"""What a person does at the dashboard, with a hub of real processes behind it."""

import os
import signal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.asking import HubFacts
from tests.browser.test_unlocking import expect_locked, expect_unlocked, row
from tests.fakes.model_hub import ModelHub
from tests.stories.conftest import LiveHub


@pytest.fixture
def page(facts: HubFacts, tab: Page) -> Page:
    tab.goto(facts.link())
    expect_unlocked(tab)
    return tab


def opened(page: Page, model: str) -> Locator:
    """What is shown below its row."""
    opener = page.get_by_role("button", name=model, exact=True)
    if opener.get_attribute("aria-expanded") != "true":
        opener.click()
    return page.locator(f"#details-{model}")


def memory_of(page: Page, model: str) -> Locator:
    return row(page, model).locator('[data-field="memory"]')


def flash(page: Page) -> Locator:
    return page.locator("#flash")


def unload(page: Page, model: str) -> None:
    page.get_by_role("button", name=f"Unload {model}").click()
    expect(memory_of(page, model)).to_have_text("unloaded")


def test_a_model_is_loaded_and_unloaded_and_the_bar_shows_who_holds_memory(page: Page) -> None:
    page.get_by_role("button", name="Load demo", exact=True).click()
    expect(flash(page)).to_have_text('Model "demo" is in memory.')
    expect(memory_of(page, "demo")).to_have_text("ready")
    holders = page.get_by_role("list", name="Who holds memory").get_by_role("listitem")
    expect(holders).to_have_text("demo 301 MB")
    unload(page, "demo")
    expect(holders).to_have_count(0)


def test_a_conversation_is_streamed_and_told_how_fast(page: Page) -> None:
    details = opened(page, "demo")
    details.get_by_label("Message to demo").fill("ping")
    details.get_by_role("button", name="Send").click()
    expect(details.locator(".reply")).to_have_text("pong")
    details.get_by_label("Message to demo").fill("count to 5")
    page.keyboard.press("Enter")
    expect(details.locator(".reply").last).to_have_text("1 2 3 4 5")
    expect(details.locator('[data-field="state"]')).to_contain_text("tokens")
    details.get_by_role("button", name="New conversation").click()
    expect(details.locator(".reply")).to_have_count(0)
    unload(page, "demo")


def test_what_goes_wrong_with_a_conversation_is_said(page: Page) -> None:
    details = opened(page, "broken")
    details.get_by_label("Message to broken").fill("ping")
    details.get_by_role("button", name="Send").click()
    expect(details.locator('[data-field="state"]')).to_contain_text("could not be loaded")
    expect(details.locator(".reply")).to_have_text("")
    page.get_by_role("button", name="Stop broken", exact=True).click()
    expect(row(page, "broken").locator('[data-field="process"]')).to_have_text("stopped")


def test_the_log_grows_while_it_is_looked_at_and_charts_are_drawn(page: Page) -> None:
    details = opened(page, "demo")
    log = details.locator(".log")
    expect(log).to_contain_text('Model "demo" is served at')
    page.get_by_role("button", name="Load demo", exact=True).click()
    expect(log).to_contain_text('Loaded model "demo"')
    expect(details.get_by_role("group", name="The last hour of demo").locator("figure")).to_have_count(4)
    unload(page, "demo")


def test_a_process_that_is_killed_is_seen_to_die_and_to_come_back(page: Page, facts: HubFacts) -> None:
    pid = facts.model("demo")["pid"]
    os.kill(pid, signal.SIGKILL)
    expect(page.locator(".toast").first).to_contain_text("signal Killed")
    shown = row(page, "demo").locator('[data-field="process-detail"]')
    expect(shown).not_to_contain_text(str(pid))
    expect(row(page, "demo").locator('[data-field="process"]')).to_have_text("running")
    expect(shown).to_contain_text("pid")
    page.get_by_role("link", name="Events").click()
    expect(page.get_by_role("list", name="What happened").get_by_role("listitem").first).to_be_visible()
    expect(page.locator("#event-list")).to_contain_text("signal Killed")


def test_after_a_kill_of_the_controller_the_page_is_locked_and_can_be_unlocked_again(
    page: Page, facts: HubFacts
) -> None:
    """Another controller is there, which never unlocked it."""
    opened(page, "demo")
    os.kill(facts.controller_pid, signal.SIGKILL)
    expect_locked(page)
    page.goto(facts.link())
    expect_unlocked(page)
    expect(opened(page, "demo").locator(".log")).to_contain_text('Model "demo" is served at')


def test_a_model_on_disk_is_found_enabled_and_disabled(page: Page, hub: LiveHub) -> None:
    before = (hub.home / "hub.yaml").read_text()
    page.get_by_role("link", name="Discover").click()
    found = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="models/found"))
    expect(found).to_contain_text("qwen3, text")
    found.get_by_role("button", name="Enable").click()
    expect(flash(page)).to_contain_text('Model "found" is in hub.yaml now')
    expect(page.get_by_role("button", name="Reload the hub")).to_be_visible()
    found.get_by_role("button", name="Disable found").click()
    expect(found.get_by_role("button", name="Enable")).to_be_visible()
    assert "# - name: found" in (hub.home / "hub.yaml").read_text()
    (hub.home / "hub.yaml").write_text(before)


def test_a_model_is_pulled_cancelled_and_gone_on_with(page: Page, model_hub: ModelHub) -> None:
    page.get_by_role("link", name="Discover").click()
    field = page.get_by_label("Pull a model from Hugging Face")
    field.fill("no repo id")
    field.press("Enter")
    expect(flash(page)).to_contain_text("is no repo id")
    model_hub.stall_after = 100_000
    field.fill("org/tiny")
    field.press("Enter")
    pulls = page.get_by_role("list", name="Pulls").get_by_role("listitem")
    expect(pulls.first).to_contain_text("% of 0 MB")
    expect(page.get_by_role("progressbar", name="Pull of org/tiny")).to_be_visible()
    page.get_by_role("button", name="Cancel org/tiny").click()
    expect(pulls.first).to_contain_text("cancelled")
    model_hub.stall_after = None
    model_hub.may_go_on.set()
    field.fill("org/tiny")
    field.press("Enter")
    expect(pulls.first).to_contain_text("done")
    found = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="org/tiny"))
    expect(found.get_by_role("button", name="Enable")).to_be_visible()
    model_hub.listing_status = 403
    field.fill("org/tiny")
    field.press("Enter")
    expect(pulls.first).to_contain_text("asks for consent")
    model_hub.listing_status = 200


def test_what_somebody_else_pulls_is_shown_as_it_begins(page: Page, facts: HubFacts) -> None:
    page.get_by_role("link", name="Discover").click()
    pulls = page.get_by_role("list", name="Pulls").get_by_role("listitem")
    expect(page.locator("#discover-state")).to_contain_text("models.")
    facts.pull("org/elsewhere")
    expect(pulls.filter(has_text="org/elsewhere")).to_contain_text("There is no org/elsewhere")


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    opener = page.get_by_role("button", name="demo", exact=True)
    for _ in range(40):
        page.keyboard.press("Tab")
        if opener.evaluate("node => node === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(opener).to_have_attribute("aria-expanded", "true")
    box = page.get_by_label("Message to demo")
    for _ in range(40):
        page.keyboard.press("Tab")
        if box.evaluate("node => node === document.activeElement"):
            break
    page.keyboard.type("ping")
    page.keyboard.press("Enter")
    expect(page.locator("#details-demo .reply")).to_have_text("pong")
    expect(box).to_be_focused()
    unload(page, "demo")


@pytest.mark.parametrize("width", [360, 800, 3840])
def test_nothing_is_wider_than_its_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    opened(page, "demo")
    for view in ("Hub", "Discover", "Events"):
        page.get_by_role("link", name=view, exact=True).first.click()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_page_is_small(page: Page) -> None:
    """Without compression."""
    page.reload()
    expect_unlocked(page)
    sizes = page.evaluate(
        "['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type))"
        ".filter((entry) => !/status|events/.test(entry.name)).map((entry) => entry.decodedBodySize)"
    )
    assert len(sizes) > 5
    assert sum(sizes) < 150_000
