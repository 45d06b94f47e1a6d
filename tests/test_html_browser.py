"""The HTML report in a real browser: offline, without a request or a complaint, usable with a small screen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_reports import events, gathered

from logitmus.reports import html

pytestmark = pytest.mark.browser
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
INSTALL = "no Chromium: on Debian, apt-get install chromium"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("html") / "report.html"
    html.write(gathered(events()), path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if BROWSER is None:
        if os.environ.get("CI"):
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=BROWSER, args=[*flags, "--disable-component-update", "--disable-sync"]
        )
        yield launched
        launched.close()


def opened(browser: object, path: Path, **context: object) -> tuple[object, list[str]]:
    """The page, and everything that it complained about or asked the network for."""
    complaints: list[str] = []
    page = browser.new_context(offline=True, **context).new_page()  # type: ignore[attr-defined]
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith("file:") else None)
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(path.as_uri())
    return page, complaints


def test_it_opens_offline_without_a_complaint(browser: object, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    assert "subjects" in page.inner_text("h1")  # type: ignore[attr-defined]
    assert complaints == []


def test_a_cell_of_the_matrix_shows_its_findings_only(browser: object, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    total = page.locator("article.finding:visible").count()  # type: ignore[attr-defined]
    cell = page.locator("button[data-findings]").first  # type: ignore[attr-defined]
    numbers = cell.get_attribute("data-findings").split()
    cell.click()
    assert page.locator("article.finding:visible").count() == len(numbers) < total  # type: ignore[attr-defined]
    page.click("#filter-clear")  # type: ignore[attr-defined]
    assert page.locator("article.finding:visible").count() == total  # type: ignore[attr-defined]
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: object, page_file: Path, scheme: str) -> None:
    page, _ = opened(browser, page_file, viewport={"width": 400, "height": 800}, color_scheme=scheme)
    width = page.evaluate("document.documentElement.scrollWidth")  # type: ignore[attr-defined]
    assert width <= 400
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )  # type: ignore[attr-defined]
    bright = [sum(map(int, c.removeprefix("rgb(").removesuffix(")").split(","))) for c in (ink, paper)]
    assert (bright[0] > bright[1]) == (scheme == "dark")
