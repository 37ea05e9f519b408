"""Two hundred models: shown at once, reached by keyboard, and nothing jumps."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from mlxhub.files.keys import current_key
from tests.browser.asking import HubFacts, Keys
from tests.stories.conftest import LiveHub, make_hub

COUNT = 200
SHIFTS = """() => new Promise((resolve) => {
  let sum = 0;
  const add = (list) => { for (const each of list.getEntries()) sum += each.value; };
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 500);
})"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """None of their processes runs."""
    hub = make_hub(tmp_path_factory.mktemp("many"))
    hub.write(
        *(f"{{name: m{number}, model_path: 'builtin:demo', default: false}}" for number in range(COUNT))
    )
    hub.ok("install")
    yield hub
    hub.remove()


@pytest.fixture
def many_page(many: LiveHub, context: BrowserContext) -> Iterator[Page]:
    directory = many.home / "state/keys"
    keys = Keys(admin=current_key(directory, "admin"), api=current_key(directory, "api"))
    page = context.new_page()
    with HubFacts(many.url, keys) as facts:
        page.goto(facts.link())
    expect(page.locator("#models tbody tr")).to_have_count(COUNT)
    yield page
    page.close()


def test_nothing_jumps_while_they_appear(many_page: Page) -> None:
    many_page.reload()
    expect(many_page.locator("#models tbody tr")).to_have_count(COUNT)
    assert many_page.evaluate(SHIFTS) < 0.001


def test_the_last_one_is_started_and_stopped_where_it_stands(many_page: Page) -> None:
    last = many_page.locator("#models tbody tr").last
    start = last.get_by_role("button", name=f"Start m{COUNT - 1}", exact=True)
    start.focus()
    many_page.keyboard.press("Enter")
    process = last.locator('[data-field="process"]')
    expect(process).to_have_text("running")
    expect(many_page.locator("#counts")).to_contain_text(f"1 of {COUNT} running")
    assert last.evaluate("(row) => row.contains(document.activeElement)"), "the focus stays where it was"
    last.get_by_role("button", name=f"Stop m{COUNT - 1}", exact=True).click()
    expect(process).to_have_text("stopped")


def test_any_of_them_opens(many_page: Page) -> None:
    many_page.get_by_role("button", name="m150", exact=True).click()
    expect(many_page.locator("#details-m150").get_by_role("region", name="Log of m150")).to_be_visible()
