"""The HTML report in a real browser: offline, without a request or a complaint, usable with a small screen."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import audit_values
import pytest
from fake_events import stream
from page_in_browser import opened
from probe_run import record_probes
from test_reports import events, gathered

from logitmus.conventions.claims import Claims, claims
from logitmus.core.causes import Cause
from logitmus.core.events import BackendReady, Event, Judged
from logitmus.core.finding import Kind
from logitmus.reports.html import audit_page, conventions_page, index_page, report
from logitmus.reports.html.file_facts import FileFacts
from logitmus.results.groups import Group
from logitmus.storage.store import Store

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("html") / "report.html"
    report.write(gathered(events()), path, FileFacts(made="made on a Monday"))
    return path


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Claims]:
    with Store.open(record_probes(tmp_path_factory.mktemp("html") / "probed.logitmus")) as store:
        return list(claims(store))


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


@pytest.fixture(scope="module")
def of_three_frameworks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Group]]:
    """The page of a run of three frameworks, the last of them on a GPU; and what it shows, in its order."""
    path = tmp_path_factory.mktemp("html") / "report.html"
    summary = gathered(on_gpu(event, "gamma") for event in stream(160))
    report.write(summary, path)
    return path, summary.groups()


def on_gpu(event: Event, backend: str) -> Event:
    match event:
        case BackendReady() if event.backend == backend:
            return replace(event, subjects=tuple(replace(subject, device="cuda") for subject in event.subjects))
        case Judged() if event.judgement.subject.startswith(backend):
            name = event.judgement.subject.replace("@cpu", "@cuda")
            findings = tuple(replace(finding, subject=name) for finding in event.judgement.findings)
            return replace(event, judgement=replace(event.judgement, subject=name, findings=findings))
        case _:
            return event


def ids(page: Any) -> list[str]:
    return page.locator("details.finding:visible code.id").all_inner_texts()


def test_findings_are_narrowed_by_function_kind_and_device(
    browser: Any, of_three_frameworks: tuple[Path, list[Group]]
) -> None:
    path, groups = of_three_frameworks
    page, complaints = opened(browser, path)
    assert ids(page) == [group.finding.id for group in groups]
    for name, choice, wanted in (
        ("function", "alpha:cross_entropy", lambda g: any("alpha:cross_entropy" in s for s in g.subjects)),
        ("kind", "crash", lambda g: g.finding.kind == "crash"),
        ("device", "cuda", lambda g: any(s.endswith("@cuda") for s in g.subjects)),
    ):
        page.select_option(f"#{name}", choice)
        assert ids(page) == [group.finding.id for group in groups if wanted(group)] != []
        again, _ = opened(browser, path, page.evaluate("location.hash"))
        assert ids(again) == ids(page)
        page.keyboard.press("Escape")
    assert complaints == []


def test_a_finding_of_one_framework_alone_is_found(browser: Any, of_three_frameworks: tuple[Path, list[Group]]) -> None:
    path, groups = of_three_frameworks
    page, complaints = opened(browser, path)
    counts = {
        group.finding.id: len(
            {
                other.finding.subject.split(":")[0]
                for other in groups
                if (other.finding.kind, other.finding.cause) == (group.finding.kind, group.finding.cause)
                and other.families & group.families
            }
        )
        for group in groups
    }
    assert {1, 2, 3} == set(counts.values())
    page.select_option("#which", "one")
    assert ids(page) == [name for name, count in counts.items() if count == 1]
    page.select_option("#which", "some")
    assert ids(page) == [name for name, count in counts.items() if count < 3]
    assert complaints == []


def test_findings_without_an_explanation_are_not_the_same_finding(tmp_path: Path) -> None:
    def unexplained(event: Event) -> Event:
        if not isinstance(event, Judged):
            return event
        findings = tuple(replace(f, kind=Kind.ACCURACY, cause=Cause("unexplained")) for f in event.judgement.findings)
        return replace(event, judgement=replace(event.judgement, findings=findings))

    page = report.render(gathered(map(unexplained, stream(160))))
    assert "that were given these families" not in page
    assert "that were given these families" in report.render(gathered(stream(160)))


def test_findings_are_sorted(browser: Any, of_three_frameworks: tuple[Path, list[Group]]) -> None:
    path, groups = of_three_frameworks
    page, complaints = opened(browser, path)
    page.select_option("#sort", "count")
    assert ids(page) == [group.finding.id for group in sorted(groups, key=lambda group: -group.count)]
    page.select_option("#sort", "share")
    finite = [group.finding.share not in (None, math.inf) for group in groups]
    assert ids(page) == [g.finding.id for g, is_finite in sorted(zip(groups, finite, strict=True), key=lambda x: x[1])]
    page.select_option("#sort", "")
    assert ids(page) == [group.finding.id for group in groups]
    assert complaints == []


def test_a_link_to_a_cell_shows_its_findings(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    page.locator("button[data-findings]").first.click()
    narrowed, link = shown(page), page.url
    page.goto("about:blank")
    page.goto(link)
    assert shown(page) == narrowed
    assert complaints == []


def test_the_back_button_leads_back_from_a_cell(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file)
    total = shown(page)
    page.locator("button[data-findings]").first.click()
    assert shown(page) < total
    page.go_back()
    page.wait_for_function(f"document.querySelectorAll('details.finding:not([hidden])').length === {total}")
    assert page.locator("#matrix").is_visible()
    assert complaints == []


def test_the_id_of_a_finding_is_an_address(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file)
    folded = page.locator("details.finding:not([open]) code.id").first.inner_text()
    again, complaints = opened(browser, page_file, f"#{folded}")
    finding = again.locator("details.finding", has=again.locator(f"code.id:text-is('{folded}')"))
    assert finding.get_attribute("open") is not None
    assert finding.bounding_box()["y"] < 900
    assert complaints == []


@pytest.mark.parametrize("fragment", ["#%E0%A4%A", "#function=nowhere", "#plot=a,b", "#sort=1&x=%", "#="])
def test_a_strange_address_is_no_error(browser: Any, page_file: Path, fragment: str) -> None:
    page, complaints = opened(browser, page_file, fragment)
    if "function" in fragment:
        assert "No such finding" in page.inner_text("#chosen")
        page.click("#chosen button")
    assert shown(page) == page.locator("details.finding").count()
    assert complaints == []


def test_a_script_and_a_bug_report_are_copied(browser: Any, page_file: Path) -> None:
    page, complaints = opened(browser, page_file, permissions=["clipboard-read", "clipboard-write"])
    finding = page.locator("details.finding[open]").first
    starts = {"copy the command": "logitmus repro ", "copy the bug report": "### "}
    for button, (words, start) in zip(finding.locator("button.copy").all(), starts.items(), strict=True):
        assert button.inner_text() == words
        button.click()
        page.wait_for_function("button => button.textContent === 'copied'", arg=button.element_handle())
        assert page.evaluate("navigator.clipboard.readText()").startswith(start)
    assert complaints == []


def test_a_script_of_the_run_is_copied_whole(browser: Any, tmp_path: Path) -> None:
    summary, script = gathered(events()), "# <b>&amp;\nprint('a script')\n"
    facts = FileFacts(scripts={group.finding.id: script for group in summary.groups()})
    report.write(summary, tmp_path / "report.html", facts)
    page, complaints = opened(browser, tmp_path / "report.html", permissions=["clipboard-read", "clipboard-write"])
    button = page.locator("details.finding[open]").first.locator("button.copy").first
    assert button.inner_text() == "copy the script"
    button.click()
    page.wait_for_function("button => button.textContent === 'copied'", arg=button.element_handle())
    assert page.evaluate("navigator.clipboard.readText()") == script
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


def test_nothing_is_cut_off_on_paper(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file, viewport={"width": 1040, "height": 720})  # A4, landscape
    page.locator("details").evaluate_all("all => all.forEach(element => { element.open = true; })")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1040


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
    index_of(folder / "index.html", "a.html")
    written = {name: folder / f"{name}.html" for name in ("conventions", "audit", "index")}
    return {"report": page_file, **written}


def index_of(path: Path, page: str) -> None:
    """An index of two runs that share a page, and of a file that is none."""
    summary = gathered(events())
    runs = [
        index_page.RunEntry.of(Path(f"{page}.{day}.logitmus"), Path(page), summary, f"2026-01-0{day}") for day in (1, 2)
    ]
    broken = index_page.RunEntry(file="x.logitmus", problem="x.logitmus: is not a run file")
    path.write_text(index_page.render([*runs, broken]), encoding="utf-8")


@pytest.mark.parametrize("name", ["javascript:alert(1).html", "<b>é#1?&%20.html"])
def test_an_index_leads_to_pages_of_any_name(browser: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<title>the page of a run</title>", encoding="utf-8")
    index_of(tmp_path / "index.html", name)
    page, complaints = opened(browser, tmp_path / "index.html")
    assert page.locator("svg rect").count() == 2
    assert "is not a run file" in page.inner_text("#runs")
    page.locator("#runs a").first.click()
    page.wait_for_function("document.title === 'the page of a run'")
    assert complaints == [(tmp_path / name).as_uri()]


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("report", "light"), ("report", "dark"), ("conventions", "light"), ("audit", "dark"), ("index", "light")],
)
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
