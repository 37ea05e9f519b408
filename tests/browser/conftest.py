"""A browser for each module, a fresh profile for each test, and one hub of real processes for all of them."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from mlxhub.demo import model_directory
from mlxhub.files.keys import current_key
from tests.browser.asking import HubFacts, Keys
from tests.browser.attacker import Attacker, serve_attacks
from tests.browser.watching import Watch
from tests.fakes.model_hub import ModelHub, running_model_hub
from tests.stories.conftest import LiveHub, make_hub

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP evil.test 127.0.0.1",
    # It would keep foreign pages away by itself. Users click that away, and other browsers lack it: the hub
    # has to hold without.
    "--disable-features=LocalNetworkAccessChecks",
)
WAIT_MS = 20_000
expect.set_options(timeout=WAIT_MS)
ALERT = "<img src=x onerror=alert({})>"
MODELS = (
    f"{{name: demo, model_path: 'builtin:demo', aliases: ['{ALERT.format(1)}']}}",
    f"{{name: broken, model_path: '/nowhere/{ALERT.format(2)}', default: false}}",
    "{name: spare, model_path: 'builtin:demo', default: false}",
)


@pytest.fixture(scope="session")
def model_hub() -> Iterator[ModelHub]:
    """Where the controller pulls from."""
    with running_model_hub(model_directory()) as hub:
        yield hub


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory, model_hub: ModelHub) -> Iterator[LiveHub]:
    """Installed and running; tests leave it as they found it."""
    place = tmp_path_factory.mktemp("browser")
    shutil.copytree(model_directory(), place / "models" / "found")
    hub = make_hub(place)
    hub.write(*MODELS, discovery=f"{{paths: ['{place / 'models'}']}}")
    with pytest.MonkeyPatch.context() as patch:
        # An install hands them on to the controller.
        patch.setenv("HF_ENDPOINT", model_hub.url)
        patch.setenv("HF_HOME", str(place / "hf"))
        hub.ok("install")
        yield hub
    hub.remove()


@pytest.fixture(scope="session")
def keys(hub: LiveHub) -> Keys:
    directory = hub.home / "state/keys"
    return Keys(admin=current_key(directory, "admin"), api=current_key(directory, "api"))


@pytest.fixture(scope="session")
def facts(hub: LiveHub, keys: Keys) -> Iterator[HubFacts]:
    with HubFacts(hub.url, keys) as facts:
        yield facts


@pytest.fixture(scope="session")
def attacker() -> Iterator[Attacker]:
    with serve_attacks() as attacker:
        yield attacker


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """No longer than a module: while Playwright is there, no other test of this process can run a loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext, hub: LiveHub) -> Iterator[Page]:
    """Of a user's browser. Nothing in it may do what the dashboard never does."""
    watch = Watch(context, hub.url)
    yield context.new_page()
    watch.check()
