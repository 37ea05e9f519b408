"""A page that is not the hub's own learns nothing from it, and nothing comes of what it sends."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from mlxhub.controller.access import TABLE as CONTROLLER
from mlxhub.core.access import RouteTable
from mlxhub.worker.access import TABLE as WORKER
from tests.attacks.place import example_of
from tests.browser.asking import HubFacts
from tests.browser.attacker import PAGE, Attacker
from tests.browser.conftest import MODELS
from tests.browser.watching import Answers
from tests.stories.conftest import LiveHub

Routes = Callable[[LiveHub, HubFacts, str], list[dict[str, str]]]
# What a page is told of how long its requests took, and of what came.
TIMINGS = "performance.getEntriesByType('resource').filter(each => each.responseStatus || each.transferSize)"
PENDING = "{name: pending, model_path: 'builtin:demo', default: false}"


@pytest.fixture
def unharmed(hub: LiveHub, facts: HubFacts) -> Iterator[None]:
    """Each action would show: one model is loaded, another is stopped, and hub.yaml was changed."""
    facts.act("demo", "load")
    hub.write(*MODELS, PENDING)
    before = facts.now()
    yield
    hub.write(*MODELS)
    assert facts.now() == before


def targets(host: str, port: int, table: RouteTable) -> list[dict[str, str]]:
    """Every route."""
    return [
        {"method": route.method, "url": f"http://{host}:{port}{example_of(route.path)}"}
        for route in table.routes
    ]


def of_controller(hub: LiveHub, _facts: HubFacts, host: str) -> list[dict[str, str]]:
    return targets(host, hub.port, CONTROLLER)


def of_worker(_hub: LiveHub, facts: HubFacts, host: str) -> list[dict[str, str]]:
    return targets(host, facts.model("demo")["port"], WORKER)


def of_both(hub: LiveHub, facts: HubFacts, host: str) -> list[dict[str, str]]:
    return of_controller(hub, facts, host) + of_worker(hub, facts, host)


@pytest.mark.parametrize(
    ("page_host", "hub_host", "sandboxed", "routes"),
    [
        pytest.param("evil.test", "127.0.0.1", False, of_both, id="another site"),
        pytest.param("127.0.0.1", "127.0.0.1", False, of_both, id="another port"),
        pytest.param("localhost", "localhost", False, of_controller, id="another port of localhost"),
        pytest.param("127.0.0.1", "127.0.0.1", True, of_worker, id="no origin"),
    ],
)
@pytest.mark.usefixtures("unharmed")
def test_a_page_of_another_origin_learns_nothing_and_changes_nothing(
    hub: LiveHub,
    facts: HubFacts,
    attacker: Attacker,
    context: BrowserContext,
    page_host: str,
    hub_host: str,
    sandboxed: bool,
    routes: Routes,
) -> None:
    page = context.new_page()
    page.goto(attacker.page(page_host, sandboxed=sandboxed))
    answers = Answers(context, page)
    trials = page.evaluate("targets => attack(targets)", routes(hub, facts, hub_host))
    made = {(trial["attack"], trial["url"]) for trial in trials}
    answers.wait_for(made)
    assert {trial["learned"] for trial in trials} == {None}
    assert answers.all_statuses() == {403}
    assert set(answers.statuses) == made
    assert page.evaluate(TIMINGS) == []
    assert context.cookies() == []


@pytest.mark.usefixtures("unharmed")
def test_a_link_on_another_page_leads_to_the_locked_shell_and_nowhere_else(
    hub: LiveHub, facts: HubFacts, attacker: Attacker, context: BrowserContext
) -> None:
    aims = of_both(hub, facts, "127.0.0.1")
    page = context.new_page()
    page.goto(attacker.page("evil.test"))
    answers = Answers(context, page)
    page.evaluate("targets => openTabs(targets)", aims)
    made = {("tab", aim["url"]) for aim in aims}
    answers.wait_for(made)
    assert set(answers.statuses) == made
    shell = ("tab", f"{hub.url}/hub")
    assert answers.statuses.pop(shell) == {200}
    assert answers.all_statuses() == {403}
    (dashboard,) = [tab for tab in context.pages if tab.url == f"{hub.url}/hub?attack=tab"]
    expect(dashboard.get_by_label("Admin key")).to_be_visible()
    expect(dashboard.locator("#models")).to_be_hidden()
    assert dashboard.evaluate("window.opener") is None


@pytest.mark.parametrize("routes", [of_controller, of_worker])
@pytest.mark.usefixtures("unharmed")
def test_a_name_that_was_pointed_at_this_machine_is_told_nothing(
    hub: LiveHub, facts: HubFacts, context: BrowserContext, routes: Routes
) -> None:
    aims = routes(hub, facts, "evil.test")
    origin = aims[0]["url"].removesuffix("/health")
    page = context.new_page()
    serve_before_the_name_moves(page, f"{origin}/")
    answers = Answers(context, page)
    trials = page.evaluate("targets => attack(targets)", aims)
    made = {(trial["attack"], trial["url"]) for trial in trials}
    answers.wait_for(made)
    # The page is of the same origin, so it may read all: a status, and that there is nothing more.
    assert {trial["learned"] for trial in trials} == {None, "421 ", "frame "}
    assert answers.all_statuses() == {421}
    assert set(answers.statuses) == made
    with page.expect_response(f"{origin}/hub") as opened:
        page.evaluate("location.assign('/hub')")
    assert opened.value.status == 421


def serve_before_the_name_moves(page: Page, url: str) -> None:
    page.route(url, lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(url)
    page.unroute(url)
