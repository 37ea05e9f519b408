"""What a browser did while a test ran."""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request, Response

_AWAITED_SECONDS = 20.0
_SOCKET_REFUSED = re.compile(r"WebSocket connection to '(\S+)' failed: .* Unexpected response code: (\d+)")


class Watch:
    """Over all tabs of a context in which only the dashboard is open."""

    def __init__(self, context: BrowserContext, own: str) -> None:
        """`own`: the one origin that anything may be asked of."""
        self._context = context
        self._own = own
        self._asked: list[str] = []
        self._faults: list[str] = []
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("dialog", self._on_dialog)
        context.on("weberror", lambda error: self._faults.append(f"uncaught: {error.error}"))

    def check(self) -> None:
        assert self._asked != []
        assert [url for url in self._asked if not url.startswith((f"{self._own}/", "data:"))] == []
        assert self._faults == []
        assert self._context.cookies() == []

    def _on_request(self, request: Request) -> None:
        self._asked.append(request.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium's own note on each answer from 400 on, and on a controller that is away.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource:"):
            self._faults.append(message.text)

    def _on_dialog(self, dialog: Dialog) -> None:
        self._faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()


class Answers:
    """Each answer to a request whose query says `attack=NAME`, also where the page was not given it."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        """`page` is where the attacks begin."""
        self.statuses: dict[tuple[str, str], set[int]] = {}
        self._page = page
        self._urls: dict[str, str] = {}
        self._early: dict[str, list[int]] = {}
        # Playwright tells of what reached a page; the protocol also of what was refused before that, but not
        # of all frames.
        context.on("response", self._on_response)
        page.on("console", self._on_console)
        protocol = context.new_cdp_session(page)
        protocol.on("Network.requestWillBeSent", self._on_sent)
        protocol.on("Network.responseReceivedExtraInfo", self._on_answered)
        protocol.send("Network.enable")

    def wait_for(self, attacks: set[tuple[str, str]]) -> None:
        """`attacks`: (name, address without its query), as in `statuses`."""
        wait_in(self._page, lambda: attacks <= self.statuses.keys())

    def all_statuses(self) -> set[int]:
        return set().union(*self.statuses.values())

    def _on_response(self, response: Response) -> None:
        self._add(response.url, response.status)

    def _on_console(self, message: ConsoleMessage) -> None:
        if refused := _SOCKET_REFUSED.match(message.text):
            self._add(refused[1].replace("ws:", "http:", 1), int(refused[2]))

    def _on_sent(self, event: dict[str, Any]) -> None:
        url = event["request"]["url"]
        self._urls[event["requestId"]] = url
        for status in self._early.pop(event["requestId"], []):
            self._add(url, status)

    def _on_answered(self, event: dict[str, Any]) -> None:
        # It is told of by another process than the request, so it may come first.
        if url := self._urls.get(event["requestId"]):
            self._add(url, event["statusCode"])
        else:
            self._early.setdefault(event["requestId"], []).append(event["statusCode"])

    def _add(self, url: str, status: int) -> None:
        parts = urlsplit(url)
        for attack in parse_qs(parts.query).get("attack", []):
            address = f"{parts.scheme}://{parts.netloc}{parts.path}"
            self.statuses.setdefault((attack, address), set()).add(status)


def wait_in(page: Page, fact: Callable[[], bool]) -> None:
    """Until it is one, with a limit. The browser's events come in only as long as it is asked something."""
    deadline = time.monotonic() + _AWAITED_SECONDS
    while not fact() and time.monotonic() < deadline:
        page.wait_for_timeout(20)
