"""A hub of real processes in its main states, as a browser shows it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mlxhub.demo import model_directory

PORT = 8900
HUB = f"""\
port: {PORT}
model_starting_port: 47950
label_prefix: io.mlxhub.pictures
memory_limit: 2GB
groups:
  - {{name: small, max_loaded: 2}}
models:
  - {{name: demo, model_path: 'builtin:demo', group: small, aliases: [gpt-4o-mini]}}
  - {{name: thinker, model_path: 'builtin:demo-thinking', group: small}}
  - {{name: writer, model_path: 'builtin:demo', group: small}}
  - {{name: spare, model_path: 'builtin:demo', default: false}}
"""
WIDTH, HEIGHT = 1280, 860
SHOWN_MS = 15_000


def main() -> None:
    images = Path(sys.argv[1])
    images.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("[error] There is no chromium in PATH. Debian: apt-get install chromium")
    expect.set_options(timeout=SHOWN_MS)
    with running_hub() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            take(browser, home, images)
        finally:
            browser.close()


def take(browser: Browser, home: Path, images: Path) -> None:
    with busy(home):
        for scheme in ("light", "dark"):
            page = opened(browser, home, scheme)
            expect(page.get_by_role("rowheader", name="demo")).to_be_visible()
            page.screenshot(path=images / f"hub-{scheme}.png")
            page.context.close()
        page = opened(browser, home, "light")
        page.get_by_role("button", name="demo", exact=True).click()
        page.get_by_label("Message to demo").fill("count to 7")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("1 2 3 4 5 6 7")).to_be_visible()
        page.locator(".details").scroll_into_view_if_needed()
        page.screenshot(path=images / "model.png")
        page.context.close()
    page = opened(browser, home, "light")
    page.get_by_role("link", name="Discover").click()
    expect(page.get_by_role("rowheader", name="Tiny-4bit")).to_be_visible()
    page.screenshot(path=images / "discover.png")
    page.context.close()
    page = opened(browser, home, "light", width=390)
    page.screenshot(path=images / "phone.png")
    page.context.close()
    page = opened(browser, home, "light")
    pid = json.loads(mlxhub(home, "status", "--json"))["controller"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        expect(page.locator("#gone")).to_be_visible()
        page.screenshot(path=images / "gone.png")
    finally:
        os.kill(pid, signal.SIGCONT)
    page.context.close()


def opened(browser: Browser, home: Path, scheme: str, width: int = WIDTH) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(mlxhub(home, "open", "--print").strip())
    expect(page.locator("#models")).to_be_visible()
    return page


@contextmanager
def running_hub() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="mlxhub-pictures-"))
    try:
        for name in ("Tiny-4bit", "Small-8bit"):
            lay_out(home / "hf" / "hub" / f"models--mlx-community--{name}")
        (home / "hub.yaml").write_text(HUB)
        mlxhub(home, "install")
        mlxhub(home, "load-model", "demo", "thinker")
        yield home
    finally:
        mlxhub(home, "uninstall", "--purge")
        shutil.rmtree(home, ignore_errors=True)


def lay_out(repository: Path) -> None:
    """A model as it lies in the Hugging Face cache."""
    shutil.copytree(model_directory(), repository / "snapshots" / "0")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0")


@contextmanager
def busy(home: Path) -> Iterator[None]:
    """Charts show something: two models answer for a while."""
    over = threading.Event()

    def ask(model: str) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "tell me a long story"}]}
        while not over.is_set():
            httpx.post(f"http://127.0.0.1:{PORT}/v1/chat/completions", json=body, timeout=60)
            over.wait(0.7)

    threads = [threading.Thread(target=ask, args=(model,)) for model in ("demo", "thinker")]
    for thread in threads:
        thread.start()
    over.wait(20)
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def mlxhub(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mlxhub", *arguments],
        env={**os.environ, "MLXHUB_HOME": str(home), "HF_HOME": str(home / "hf"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
