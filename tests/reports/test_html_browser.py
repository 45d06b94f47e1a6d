"""The HTML report in a real browser: offline, without a request or a complaint, usable with a small screen."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import audit_values
import pytest
from probe_run import record_probes
from test_reports import events, gathered

from logitmus.conventions.claims import Claims, claims
from logitmus.reports.html import audit_page, conventions_page, report
from logitmus.storage.store import Store

pytestmark = pytest.mark.browser
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
INSTALL = "no Chromium: on Debian, apt-get install chromium"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("html") / "report.html"
    report.write(gathered(events()), path, made="made on a Monday")
    return path


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Claims]:
    with Store.open(record_probes(tmp_path_factory.mktemp("html") / "probed.logitmus")) as store:
        return list(claims(store))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
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


def opened(browser: Any, path: Path, **context: object) -> tuple[Any, list[str]]:
    """The page, and its console messages, errors, dialogs and network requests."""
    complaints: list[str] = []
    page = browser.new_context(offline=True, **context).new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(path.as_uri())
    return page, complaints


def shown(page: Any) -> int:
    return int(page.locator("details.finding:visible").count())


def test_it_opens_offline_without_a_complaint(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    assert "subjects" in page.inner_text("h1")
    assert complaints == []


def test_a_cell_of_the_matrix_shows_its_findings_only(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    total = shown(page)
    cell = page.locator("button[data-findings]").first
    numbers = cell.get_attribute("data-findings").split()
    cell.focus()
    page.keyboard.press("Enter")
    assert shown(page) == len(numbers) < total
    assert page.locator("details.finding:visible").evaluate_all("all => all.every(element => element.open)")
    assert cell.get_attribute("data-name") in page.inner_text("#chosen")
    assert page.evaluate("document.activeElement.id") == "chosen"  # a screen reader goes on reading there
    page.click("#chosen button")
    assert shown(page) == total
    assert complaints == []


def test_findings_are_narrowed_by_severity_and_framework(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    total = shown(page)
    page.click(".filters button.bug")
    bugs = page.locator("details.finding.bug").count()
    assert 0 < shown(page) == bugs < total
    page.select_option("#backend", "evil")
    assert shown(page) <= bugs
    page.keyboard.press("Escape")
    assert shown(page) == total
    assert complaints == []


def test_the_first_screen_names_the_worst_findings_and_what_ran(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    assert re.match(r"\d+ things can bite you", page.inner_text("h1"))
    first = page.locator(".bites a").first
    first.click()
    target = page.locator(first.get_attribute("href"))
    assert target.get_attribute("open") is not None
    assert "made on a Monday" in page.inner_text(".ran")
    assert "logitmus run" in page.inner_text(".ran")
    assert complaints == []


def test_findings_are_narrowed_by_family_dtype_and_words_and_the_address_says_so(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    total = shown(page)
    family = page.locator("#family option").nth(1).inner_text()
    page.select_option("#family", family)
    of_family = shown(page)
    assert 0 < of_family < total
    page.fill("#search", "no finding has this text")
    assert shown(page) == 0
    assert "No such finding" in page.inner_text("#chosen")
    page.fill("#search", "")
    page.click(".filters button.bug")
    narrowed = shown(page)
    link = page.url
    assert f"family={family}" in link
    assert "severity=bug" in link
    page.goto("about:blank")
    page.goto(link)
    assert shown(page) == narrowed
    assert page.input_value("#family") == family
    page.click("#chosen button")
    assert shown(page) == total
    assert complaints == []


def test_a_link_to_a_cell_shows_its_findings(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    page.locator("button[data-findings]").first.click()
    narrowed, link = shown(page), page.url
    page.goto("about:blank")
    page.goto(link)
    assert shown(page) == narrowed
    assert complaints == []


def test_a_script_and_a_bug_report_are_copied(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file, permissions=["clipboard-read", "clipboard-write"])
    finding = page.locator("details.finding[open]").first
    for button, start in zip(finding.locator("button.copy").all(), ("logitmus repro ", "### "), strict=True):
        button.click()
        page.wait_for_function("button => button.textContent === 'copied'", arg=button.element_handle())
        assert page.evaluate("navigator.clipboard.readText()").startswith(start)
    assert complaints == []


def test_the_header_of_the_matrix_stays_in_sight(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file, viewport={"width": 400, "height": 500})
    places = """e => { e.style.maxHeight = "180px"; e.scrollTop = 90; e.scrollLeft = 60;
        const [of, head, name] = [e, e.querySelector("th[scope=col]"), e.querySelector("th[scope=row]")]
            .map(element => element.getBoundingClientRect());
        return [head.top - of.top, name.left - of.left]; }"""
    down, right = page.locator("#matrix .scroll").evaluate(places)
    assert 0 <= down <= 2
    assert 0 <= right <= 2
    assert page.locator(".narrow").is_visible()


def test_folded_findings_are_printed(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file)
    assert page.locator("details.finding:not([open])").count() > 0
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.finding:not([open])").count() == 0


def test_without_scripts_everything_can_be_read(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file, java_script_enabled=False)
    assert shown(page) == page.locator("details.finding").count() > 0
    assert not page.locator(".filters").is_visible()


def test_every_table_has_headers_and_every_region_a_name(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file)
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("[role=region]:not([aria-label])").count() == 0
    assert page.locator("main > section:not([aria-labelledby])").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_it_fits_a_phone_and_a_desk(browser: Any, page_file: Path, scheme: str, width: int) -> None:
    page, complaints = opened(browser, page_file, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.click("#unfold")
    page.locator("details").evaluate_all("all => all.forEach(element => { element.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    ink, paper = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert (ink > paper) == (scheme == "dark")
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_the_conventions_stay_named_while_their_table_scrolls(
    browser: Any, measured: list[Claims], tmp_path: Path, scheme: str, width: int
) -> None:
    path = tmp_path / "conventions.html"
    conventions_page.write(measured, path)
    page, complaints = opened(browser, path, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    places = """e => { e.scrollTop = 300; e.scrollLeft = 60;
        const [of, head, name] = [e, e.querySelector("th[scope=col]"), e.querySelectorAll("th[scope=row]")[12]]
            .map(element => element.getBoundingClientRect());
        return [head.top - of.top, name.left - of.left]; }"""
    down, right = page.locator(".scroll.tall").evaluate(places)
    assert 0 <= down <= 2, "the subjects' names went out of sight"
    assert 0 <= right <= 2, "the fields' names went out of sight"
    wrong = page.locator("td.claim.bug")
    assert wrong.count() == 1
    wrong.locator("summary").click()
    evidence = next(result for result in measured if "liar" in result.subject.id)["mean_denominator"].measured.evidence
    assert evidence[0] in wrong.inner_text()
    assert page.locator("th:not([scope])").count() == 0
    assert complaints == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, page_file: Path, measured: list[Claims]) -> dict[str, Path]:
    """A page of each kind, by name."""
    folder = tmp_path_factory.mktemp("pages")
    conventions_page.write(measured, folder / "conventions.html")
    steps = audit_values.step(*audit_values.every_kind()), audit_values.step(before="1.1", after="1.2")
    (folder / "audit.html").write_text(audit_page.render(audit_values.audit(*steps)), encoding="utf-8")
    return {"report": page_file, "conventions": folder / "conventions.html", "audit": folder / "audit.html"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "conventions", "audit"])
def test_axe_finds_nothing_that_keeps_anybody_out(browser: Any, pages: dict[str, Path], name: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = browser.new_context(bypass_csp=True, color_scheme=scheme).new_page()
    page.goto(pages[name].as_uri())
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("width", [360, 2560])
def test_an_audit_fits_its_screen_and_needs_no_script(browser: Any, pages: dict[str, Path], width: int) -> None:
    page, complaints = opened(browser, pages["audit"], viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("script").count() == 0
    assert page.locator("article.transition").count() == len(audit_values.every_kind())
    assert page.locator("#timeline svg rect").count() == 3
    assert complaints == []
