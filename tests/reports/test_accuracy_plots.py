"""The section on accuracy in a real browser: what can be chosen is drawn, named, linked to, and printed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from implementations import RIGHT, WRONG
from page_in_browser import opened
from stored_run import stored

from logitmus.cases.suite import suite
from logitmus.core.problem import Problem
from logitmus.engine.run import judge_run
from logitmus.reports.html import report
from logitmus.reports.html.accuracy_section import plot_data, worst_rows
from logitmus.reports.html.file_facts import FileFacts
from logitmus.results.accuracy import Curve, Point, WorstCase
from logitmus.results.distribution import Distribution
from logitmus.results.summary import Summary

pytestmark = pytest.mark.browser
EVIL = "evil</script><script>alert(1)</script><b>"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run in which one function loses digits under an offset, and another has a hostile name."""
    folder = tmp_path_factory.mktemp("html")
    functions = {"shifted": RIGHT["shifted"], EVIL: RIGHT["with_log1p"], "separate": WRONG["separate_logsumexp"]}
    problems = [
        problem
        for problem in suite("quick", dtypes=["float32", "bfloat16"])
        if problem.family in ("confident-rows", "common-offset", "ordinary")
        and problem.target_kind == "labels"
        and problem.reduction == "none"
    ]
    with stored(folder, functions, problems) as store:
        summary = Summary()
        for event in judge_run(store):
            summary.add(event)
        report.write(summary, folder / "report.html", FileFacts.of(store, summary))
    return folder / "report.html"


def scrolled(browser: Any, page_file: Path, **context: object) -> tuple[Any, list[str]]:
    page, complaints = opened(browser, page_file, **context)
    page.locator("#accuracy").scroll_into_view_if_needed()
    page.wait_for_selector("#plot svg")
    return page, complaints


def test_the_plot_opens_with_the_experiment_that_shows_the_fault(browser: Any, page_file: Path) -> None:
    page, complaints = scrolled(browser, page_file)
    assert page.input_value("#plot-sweep") == "offset"
    assert page.input_value("#plot-measure") == "share"
    label = page.get_attribute("#plot", "aria-label")
    worst = float(re.search(r"fake: separate[^;]*at most ([\d.e+]+)", label)[1])
    assert worst > 100
    assert "the budget" in page.inner_text("#plot")
    assert complaints == []


def test_every_choice_is_drawn_without_a_complaint(browser: Any, page_file: Path) -> None:
    page, complaints = scrolled(browser, page_file)
    labels, count = set(), 0
    for sweep in page.locator("#plot-sweep option").evaluate_all("all => all.map(option => option.value)"):
        page.select_option("#plot-sweep", sweep)
        for dtype in page.locator("#plot-dtype option:enabled").evaluate_all("all => all.map(o => o.value)"):
            for part, measure in (("loss", "ulps"), ("grad_logits", "share")):
                page.select_option("#plot-dtype", dtype)
                page.select_option("#plot-part", part)
                page.select_option("#plot-measure", measure)
                labels.add(page.get_attribute("#plot", "aria-label"))
                count += 1
                page.wait_for_function("document.querySelectorAll('#plot svg path').length > 10")
    assert len(labels) == count > 10
    assert not any(
        "NaN" in path for path in page.locator("#plot path").evaluate_all("all => all.map(p => p.outerHTML)")
    )
    assert complaints == []


def test_a_link_shows_the_same_plot(browser: Any, page_file: Path) -> None:
    page, _ = scrolled(browser, page_file)
    page.select_option("#plot-sweep", "lead")
    page.select_option("#plot-dtype", "bfloat16")
    page.select_option("#plot-subject", "fake:shifted@cpu")
    fragment = page.evaluate("location.hash")
    again, complaints = opened(browser, page_file, fragment)
    again.wait_for_selector("#plot svg")
    assert again.input_value("#plot-sweep") == "lead"
    assert again.input_value("#plot-dtype") == "bfloat16"
    assert again.input_value("#plot-subject") == "fake:shifted@cpu"
    assert again.evaluate("document.querySelector('#accuracy').getBoundingClientRect().top < innerHeight")
    assert complaints == []


def test_a_function_is_highlighted_and_named_at_the_pointer(browser: Any, page_file: Path) -> None:
    page, complaints = scrolled(browser, page_file)
    pale = "all => all.filter(path => path.getAttribute('opacity') === '0.12').length"
    assert page.locator("#plot path").evaluate_all(pale) == 0
    page.select_option("#plot-subject", f"fake:{EVIL}@cpu")
    assert page.locator("#plot path").evaluate_all(pale) > 0
    page.locator("#plot path[aria-roledescription=point]").last.hover(force=True)
    page.wait_for_selector(".tip:visible")
    assert "share of the budget" in page.inner_text(".tip")
    assert page.locator(".tip script, .tip b").count() == 0
    assert complaints == []


def test_the_worst_cases_need_no_script(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file, java_script_enabled=False)
    page.click("#worst summary")
    row = page.locator("#worst tbody tr").first
    assert "separate" in row.inner_text()
    assert re.search(r"0x[0-9a-f]{4,8}\b", row.inner_text())
    assert not page.locator(".plots-choice").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1920])
def test_the_plots_fit_their_screen(browser: Any, page_file: Path, width: int, scheme: str) -> None:
    page, complaints = scrolled(browser, page_file, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.wait_for_selector("#distribution svg")
    page.evaluate("document.getElementById('worst').open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for plot in ("#plot", "#distribution"):
        inner, outer = (page.locator(each).bounding_box()["width"] for each in (f"{plot} svg", plot))
        assert 0.8 * outer < inner <= outer + 1
    assert complaints == []


def test_the_page_is_printed_with_its_plots(browser: Any, page_file: Path) -> None:
    """A PDF of several pages that holds the words of the plot's axis: it was drawn for the printer."""
    page, complaints = opened(browser, page_file)
    assert page.locator("#plot svg").count() == 0
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_selector("#plot svg")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator(".plots-choice").is_visible()
    assert page.locator("#plot svg").is_visible()
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 1
    assert complaints == []


def test_axe_finds_nothing_in_the_section(browser: Any, page_file: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page, _ = scrolled(browser, page_file, bypass_csp=True)
    page.evaluate("document.getElementById('worst').open = true")
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in ("serious", "critical")] == []


def test_a_page_without_curves_holds_no_bundle() -> None:
    assert "plotting" not in report.render(Summary())
    curve = Curve("offset", "float32", "loss", ("fake:f@cpu",), (Point(1000.0, 0.5, 0.1, finite=True, problem="p"),))
    assert "var plotting=" in report.render(Summary(), FileFacts(curves=[curve]))


def test_the_input_of_a_gradient_has_its_upstream_gradient() -> None:
    problem = Problem(
        logits=np.zeros((2, 2), np.float32), targets=np.array([0, 1]), cotangent=np.array([1, -0.75], np.float32)
    )
    case = WorstCase(
        subjects=("fake:f@cpu",),
        problem=problem,
        part="grad_logits",
        row=1,
        index=0,
        expected="-0.375",
        exact="-0x1.8p-2",
        result="-0.25",
        bits="0xbe800000",
        ulps=1e6,
        share=9.0,
    )
    (of_gradient, of_loss) = worst_rows([case, replace(case, part="loss", index=None)])
    assert of_gradient["input"].endswith("upstream gradient -0.75")
    assert "upstream" not in of_loss["input"]
    assert (of_gradient["place"], of_loss["place"]) == ("row 1, class 0", "row 1")


def test_numbers_of_the_plots_are_short() -> None:
    point = Point(1000.0, 1 / 3, 1 / 7, finite=True, problem="p")
    data = plot_data([Curve("offset", "float32", "loss", ("fake:f@cpu",), (point, point))], Distribution())
    assert data["curves"][0]["points"][0] == [1000.0, 0.3333, 0.1429, True, 0]
    assert data["problems"] == ["p"]
