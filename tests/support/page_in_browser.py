"""Pages in the system's Chromium: offline, with everything that a page complains about or asks the network for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
INSTALL = "no Chromium: on Debian, apt-get install chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def launched() -> Iterator[Any]:
    """The browser; without one the test is skipped, but never in CI."""
    if BROWSER is None:
        if os.environ.get("CI"):
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        yield browser
        browser.close()


def opened(browser: Any, path: Path, fragment: str = "", **context: object) -> tuple[Any, list[str]]:
    """The page, and its console messages, errors, dialogs and network requests."""
    complaints: list[str] = []
    address = f"{path.as_uri()}{fragment}"
    page = browser.new_context(offline=True, **context).new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(address)
    return page, complaints
