"""What others could write, the dashboard shows as text: names, errors, messages, warnings."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.asking import HubFacts
from tests.browser.conftest import ALERT
from tests.stories.conftest import LiveHub

NOTE = '<script>alert(3)</script><a href="javascript:alert(4)">See the log</a>'
# But for links between the page's own views.
ELEMENTS = (
    "document.querySelectorAll('img, a:not([href^=\"#\"]), svg, iframe, style, script:not([src])').length"
)


@pytest.fixture
def parked(hub: LiveHub) -> Iterator[None]:
    """`broken` is kept down by a note that says NOTE."""
    note = hub.home / "state/parked/broken.txt"
    note.parent.mkdir(exist_ok=True)
    note.write_text(f"{NOTE}\n")
    yield
    note.unlink()


@pytest.mark.usefixtures("parked")
def test_names_and_errors_of_models_are_text(facts: HubFacts, tab: Page) -> None:
    tab.goto(facts.link())
    expect(tab.get_by_text(ALERT.format(1), exact=True)).to_be_visible()
    expect(tab.get_by_text(NOTE, exact=True)).to_be_visible()
    assert tab.evaluate(ELEMENTS) == 0


def test_messages_and_warnings_of_a_reload_are_text(hub: LiveHub, facts: HubFacts, tab: Page) -> None:
    tab.goto(facts.link())
    hub_yaml = hub.home / "hub.yaml"
    before = hub_yaml.read_text()
    hub_yaml.write_text(f'{before}"{ALERT.format(5)}": 1\n')
    tab.get_by_role("button", name="Reload").click()
    expect(tab.locator("#flash")).to_contain_text(ALERT.format(5))
    hub_yaml.write_text(before)
    tab.get_by_role("button", name="Reload").click()
    expect(tab.locator("#flash")).to_contain_text("hub.yaml reloaded")
    assert tab.evaluate(ELEMENTS) == 0


def test_every_text_of_a_status_is_text(facts: HubFacts, tab: Page) -> None:
    """Also those that no hub says today."""

    def answer(route: Route) -> None:
        status = route.fetch().json()
        status["warnings"] = ["a warning"]
        for model in status["models"]:
            model |= {"error": "an error", "last_exit": "an end"}
        route.fulfill(json=spoiled(status))

    tab.route("**/hub/status", answer)
    tab.goto(facts.link())
    expect(tab.locator("#warnings li")).to_have_text(ALERT.format("warnings"))
    for field in ("name", "process", "error", "last-exit"):
        shown = tab.locator(f'#models [data-field="{field}"]').first
        expect(shown).to_have_text(ALERT.format(field.replace("-", "_")))
    assert tab.evaluate(ELEMENTS) == 0
    tab.unroute_all(behavior="wait")


def spoiled(value: Any, name: str = "") -> Any:
    """The same with markup for every text, which names the field where it stood."""
    match value:
        case str():
            return ALERT.format(name)
        case list():
            return [spoiled(each, name) for each in value]
        case dict():
            return {key: spoiled(each, key) for key, each in value.items()}
    return value
