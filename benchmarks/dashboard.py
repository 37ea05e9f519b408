"""How soon the dashboard shows what happens, and how large it is, with many models. None of them is loaded.

    .venv/bin/python benchmarks/dashboard.py                 # 50 models, 7 runs; needs chromium in PATH
    .venv/bin/python benchmarks/dashboard.py --models 200 --json > today.json

The hub is a fresh directory with its own supervisor. An event is a model that is stopped or started by HTTP;
its time is from the event's own until the page shows the state.
"""

import argparse
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

EVENT_BUDGET_SECONDS = 0.3
PAINT_BUDGET_SECONDS = 1.0
SIZE_BUDGET_BYTES = 150_000
COMMAND_SECONDS = 300
# When the row first shows another process state than before, by the page's own clock.
_SEEN = """([name, before]) => new Promise((resolve) => {
  const row = [...document.querySelectorAll("#models tbody tr")].find(
    (each) => each.querySelector('[data-field="name"]')?.textContent === name);
  const shown = row.querySelector('[data-field="process"]');
  const tell = () => {
    if (shown.textContent === before) return;
    resolve(Date.now() / 1000);
    observer.disconnect();
  };
  const observer = new MutationObserver(tell);
  observer.observe(shown, { childList: true, characterData: true, subtree: true });
  tell();
})"""
_SIZES = """['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type))
  .filter((entry) => !/status|events/.test(entry.name))
  .reduce((sum, entry) => sum + entry.decodedBodySize, 0)"""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
_SHIFT = """new Promise((resolve) => {
  let sum = 0;
  const add = (list) => { for (const entry of list.getEntries()) sum += entry.value; };
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 500);
})"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with _hub(options.models) as (url, key), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        measured = _measure(browser.new_page(), url, key, options.runs)
        browser.close()
    if options.json:
        sys.stdout.write(json.dumps({"models": options.models, **measured}) + "\n")
        return
    sys.stdout.write(
        f"{options.models} models\n"
        f"event shown: {measured['event_seconds']:.3f} s (budget {EVENT_BUDGET_SECONDS} s)\n"
        f"first paint: {measured['paint_seconds']:.3f} s (budget {PAINT_BUDGET_SECONDS} s)\n"
        f"page: {measured['bytes'] / 1000:.0f} KB (budget {SIZE_BUDGET_BYTES / 1000:.0f} KB)\n"
        f"layout shift: {measured['layout_shift']:.3f}\n"
    )


def _measure(page: Page, url: str, key: str, runs: int) -> dict[str, Any]:
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60) as hub:
        token = hub.post("/hub/unlock", json={}).json()["token"]
        page.goto(f"{url}/hub#t={token}")
        page.get_by_role("button", name="m0", exact=True).wait_for()
        page.reload()
        page.get_by_role("button", name="m0", exact=True).wait_for()
        shift, paint, size = page.evaluate(_SHIFT), page.evaluate(_PAINT), page.evaluate(_SIZES)
        seconds = []
        for run in range(runs):
            action, before, after = (
                ("start", "stopped", "running") if run % 2 == 0 else ("stop", "running", "stopped")
            )
            seconds.append(_event_seconds(page, hub, action, before, after))
    return {
        "event_seconds": statistics.median(seconds),
        "paint_seconds": paint,
        "bytes": size,
        "layout_shift": shift,
    }


def _event_seconds(page: Page, hub: httpx.Client, action: str, before: str, after: str) -> float:
    known = _last_event(hub)
    page.evaluate(f"void (window.seen = ({_SEEN})(['m0', '{before}']))")
    hub.post(f"/hub/models/m0/{action}", json={})
    seen: float = page.evaluate("window.seen")
    happened = _happened(hub, known, before)
    first = page.locator("#models tbody tr").first
    first.locator('[data-field="process"]').filter(has_text=after).wait_for()
    return seen - happened


def _happened(hub: httpx.Client, known: int, before: str) -> float:
    """The page may have asked before the event was told."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for event in _events(hub):
            if event["sequence"] > known and event.get("process") not in (None, before):
                return float(event["at"])
    raise TimeoutError("nothing happened")


def _events(hub: httpx.Client) -> list[dict[str, Any]]:
    lines = hub.get("/hub/events").text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def _last_event(hub: httpx.Client) -> int:
    return max(event["sequence"] for event in _events(hub))


@contextmanager
def _hub(models: int) -> Iterator[tuple[str, str]]:
    """Its address and its admin key."""
    home = Path(tempfile.mkdtemp(prefix="mlxhub-bench-"))
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    lines = [f"label_prefix: io.mlxhub.bench.{secrets.token_hex(3)}", f"port: {port}", "models:"]
    lines += [
        f"  - {{name: m{index}, model_path: 'builtin:demo', default: false}}" for index in range(models)
    ]
    (home / "hub.yaml").write_text("\n".join(lines) + "\n")
    environment = os.environ | {"MLXHUB_HOME": str(home), "MLXHUB_LAUNCHD_CLOCK_SCALE": "100"}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mlxhub", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=COMMAND_SECONDS,
        )
        return done.stdout.strip()

    try:
        run("install")
        time.sleep(1)
        yield f"http://127.0.0.1:{port}", run("keys", "show", "admin")
    finally:
        run("uninstall", "--purge")
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
