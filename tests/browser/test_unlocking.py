"""The dashboard shows and does nothing until it is unlocked, and then what its user asks of it."""

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.browser.asking import HubFacts, Keys
from tests.browser.watching import wait_in
from tests.stories.conftest import LiveHub


def key_input(tab: Page) -> Locator:
    return tab.get_by_label("Admin key")


def row(tab: Page, model: str) -> Locator:
    return tab.get_by_role("row").filter(has=tab.get_by_role("rowheader", name=model))


def expect_unlocked(tab: Page) -> None:
    expect(row(tab, "demo")).to_be_visible()
    expect(key_input(tab)).to_be_hidden()
    expect(tab.locator("#pill")).to_have_text("running")


def expect_locked(tab: Page) -> None:
    """Nothing of the hub is left in it."""
    expect(key_input(tab)).to_be_focused()
    expect(tab.locator("#pill")).to_have_text("locked")
    for action in ("Reload", "Start all", "Stop all"):
        expect(tab.get_by_role("button", name=action)).to_be_hidden()
    assert not re.search(r"\bdemo\b|\bpid\b", tab.inner_text("body") + tab.inner_text("#models"))
    assert kept(tab) == {}


def unlock_with(tab: Page, key: str) -> None:
    key_input(tab).fill(key)
    tab.get_by_role("button", name="Unlock").click()


def kept(tab: Page) -> Any:
    """All that the page could find again."""
    return tab.evaluate("({ ...localStorage, ...sessionStorage })")


def test_the_link_of_mlxhub_open_unlocks_one_tab_once(
    hub: LiveHub, tab: Page, context: BrowserContext
) -> None:
    link = hub.ok("open", "--print").strip()
    tab.goto(link)
    expect_unlocked(tab)
    token = link.partition("#t=")[2]
    assert tab.url == f"{hub.url}/hub"
    assert token not in str(kept(tab))
    tab.reload()
    expect_unlocked(tab)

    second = context.new_page()
    second.goto(f"{hub.url}/hub")
    expect_locked(second)
    second.goto(link)
    expect(second.get_by_role("alert")).to_have_text(re.compile("This link was used already, or is too old"))
    assert second.url == f"{hub.url}/hub"
    expect_locked(second)
    expect_unlocked(tab)


def test_a_link_unlocks_a_tab_that_is_open_and_locked(hub: LiveHub, facts: HubFacts, tab: Page) -> None:
    tab.goto(f"{hub.url}/hub")
    expect_locked(tab)
    tab.goto(facts.link())
    expect_unlocked(tab)
    assert tab.url == f"{hub.url}/hub"


def test_the_admin_key_unlocks_and_is_not_kept(hub: LiveHub, keys: Keys, tab: Page) -> None:
    tab.goto(f"{hub.url}/hub")
    expect_locked(tab)
    unlock_with(tab, f" {keys.admin}\n")
    expect_unlocked(tab)
    assert keys.admin not in str(kept(tab))
    expect(key_input(tab)).to_have_value("")
    tab.reload()
    expect_unlocked(tab)


@pytest.mark.parametrize("wrong", ["wrong", "mlxh_\u2013", "the API key"])
def test_another_key_is_said_to_be_wrong(hub: LiveHub, keys: Keys, tab: Page, wrong: str) -> None:
    tab.goto(f"{hub.url}/hub")
    expect_locked(tab)
    unlock_with(tab, keys.api if wrong == "the API key" else wrong)
    expect(tab.get_by_role("alert")).to_have_text("That is not the admin key of this hub.")
    expect(key_input(tab)).to_have_attribute("aria-invalid", "true")
    expect_locked(tab)
    unlock_with(tab, keys.admin)
    expect_unlocked(tab)


def test_a_late_refusal_does_not_lock_a_page_that_was_unlocked_meanwhile(
    hub: LiveHub, keys: Keys, tab: Page
) -> None:
    tab.goto(f"{hub.url}/hub")
    expect_locked(tab)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.route("**/hub/status", hold, times=1)
    wait_in(tab, lambda: held != [])
    unlock_with(tab, keys.admin)
    expect_unlocked(tab)
    with tab.expect_response(lambda answer: answer.status == 401):
        held[0].continue_()
    # The page asks again only when it has dealt with that answer.
    with tab.expect_response("**/hub/status") as next_look:
        pass
    assert next_look.value.status == 200
    expect_unlocked(tab)


def test_a_model_is_stopped_started_loaded_and_unloaded_from_the_page(facts: HubFacts, tab: Page) -> None:
    facts.act("demo", "unload")
    tab.goto(facts.link())
    demo = row(tab, "demo")
    for action, field, state in (
        ("Stop", "process", "stopped"),
        ("Start", "process", "running"),
        ("Load", "memory", "ready"),
        ("Unload", "memory", "unloaded"),
    ):
        demo.get_by_role("button", name=f"{action} demo", exact=True).click()
        expect(demo.locator(f'[data-field="{field}"]')).to_have_text(state)
        assert facts.model("demo")[field] == state


def test_a_page_says_that_the_controller_is_away_and_is_locked_when_another_one_is_there(
    hub: LiveHub, facts: HubFacts, tab: Page
) -> None:
    tab.goto(facts.link())
    expect_unlocked(tab)
    facts.shut_down()
    gone = tab.get_by_role("alert").filter(has_text="The controller does not answer")
    expect(gone).to_contain_text("What you see is")
    expect(tab.locator("#pill")).to_have_text("no answer")
    expect(row(tab, "demo")).to_be_visible()

    hub.ok("start")
    expect(gone).to_be_hidden()
    expect_locked(tab)
    expect(tab.get_by_role("alert")).to_have_text(re.compile("The session is over"))
    tab.goto(facts.link())
    expect_unlocked(tab)


def test_nothing_is_wider_than_a_telephone(hub: LiveHub, facts: HubFacts, tab: Page) -> None:
    tab.set_viewport_size({"width": 360, "height": 640})
    tab.goto(f"{hub.url}/hub")
    expect_locked(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    tab.goto(facts.link())
    expect_unlocked(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
