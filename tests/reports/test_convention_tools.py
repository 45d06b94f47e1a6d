"""The two tools on conventions, in a real browser: the differences of two functions, and the calculator."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import hostile
import numpy as np
import pytest
from drawn_cases import as_case, drawn_convention, drawn_problem
from fakes import subject
from page_in_browser import opened

from logitmus.conventions.card import Card, Measured
from logitmus.conventions.claims import Claim, Claims
from logitmus.core.convention import FIELDS, PORTABLE, Convention
from logitmus.core.problem import Problem
from logitmus.core.subject import Offer, Subject
from logitmus.oracle.answer import answer
from logitmus.oracle.resolve import resolve
from logitmus.reports.html import convention_tools, conventions_page, report

pytestmark = pytest.mark.browser
EVERYTHING = Offer(
    targets="labels",
    options=frozenset({"weight", "ignore_index", "label_smoothing"}),
    reductions=("none", "sum", "mean"),
)
PLAIN = Offer(targets="labels")
MEAN = PORTABLE.but(default_reduction="mean", ignore_default="-100")
CLIPPED = PORTABLE.but(inputs="probabilities", probability_clip="1e-7", probability_scale="after_clip")
LENIENT = PORTABLE.but(label_out_of_range="nan", label_negative="wrap")
SEED = 0.7436683806286791


def claimed(name: str, declared: Convention, *, measured: dict[str, str] | None = None, **more: Any) -> Claims:
    """A subject whose fields are measured as declared, but for those of `measured`; "": not determined."""
    backend, function = name.split(":")
    given = replace(subject(function, backend, **{"offer": EVERYTHING, **more}), convention=declared)
    fields = {}
    for field in FIELDS:
        value = (measured or {}).get(field, getattr(declared, field))
        known = Measured(field=field, state="measured", values=(value,), why="shown by a test")
        if not value:
            known = Measured(
                field=field, state="undetermined", values=tuple(FIELDS[field].values), why="nothing shows it"
            )
        docs = given.docs.get(field, "")
        fields[field] = Claim(field=field, declared=getattr(declared, field), measured=known, docs=docs)
    card = Card(
        subject=given.id, targets="labels", convention=declared, fields={n: c.measured for n, c in fields.items()}
    )
    return Claims(subject=given, card=card, fields=fields)


def functions() -> list[Claims]:
    docs = {"default_reduction": "https://example.org/mean", "ignore_default": "javascript:alert(1)"}
    return [
        claimed("a:cross_entropy", MEAN, measured={"ignore_default": ""}, docs=docs),
        claimed("a:cross_entropy", MEAN, docs=docs, mode="compile"),
        claimed("a:rows", MEAN.but(mean_denominator="rows")),
        claimed("b:clipped", CLIPPED),
        claimed("c:lenient", LENIENT, offer=PLAIN),
        claimed("c:outside", PORTABLE.but(label_out_of_range="garbage"), offer=PLAIN),
        claimed("c:soft", PORTABLE, offer=replace(PLAIN, targets="probabilities")),
        claimed("c:wide", PORTABLE, offer=replace(PLAIN, dtypes=("float64",))),
    ]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tools") / "conventions.html"
    conventions_page.write(functions(), path)
    return path


@pytest.fixture(scope="module")
def open_page(browser: Any, page_file: Path) -> tuple[Any, list[str]]:
    return opened(browser, page_file)


@pytest.fixture
def tools(open_page: tuple[Any, list[str]]) -> Iterator[Any]:
    """The page with the seed question; without any complaint at the end."""
    page, complaints = open_page
    page.click("#calculator-reset")
    yield page
    assert complaints == []


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tools") / "report.html"
    report.write(hostile.summary(), path)
    return path


def fill(page: Any, **inputs: str) -> None:
    for name, text in inputs.items():
        control = page.locator(f"#calculator-{name}")
        control.select_option(text) if name in ("reduction", "dtype") else control.fill(text)


def answers(page: Any) -> dict[str, list[str]]:
    """The groups in their order: the value, and the functions that give it."""
    groups = page.locator("#calculator-table tbody")
    return {
        group.locator(".value").inner_text(): [row.inner_text() for row in group.locator("th[scope=row]").all()]
        for group in groups.all()
    }


def reason(page: Any, function: str) -> str:
    return str(page.locator("#calculator-table tr", has_text=function).locator("td").inner_text())


def others(page: Any) -> dict[str, str]:
    """Why functions do not take the problem."""
    rows = page.locator("#calculator-others tr").all()
    return {row.locator("th").text_content(): row.locator("td").text_content() for row in rows}


COMPARE = """cases => {
    const number = text => text === null ? null : ({nan: NaN, inf: Infinity, "-inf": -Infinity})[text] ?? Number(text);
    const numbers = rows => rows && rows.map(row => Array.isArray(row) ? row.map(number) : number(row));
    const close = (a, b) => a === b || Object.is(a, b) || Math.abs(a - b) <= 1e-12 * Math.abs(b);
    return JSON.parse(cases).filter(([problem, convention, expected]) => {
        const { logits, probabilities, weight } = problem;
        const exact = { logits: numbers(logits), probabilities: numbers(probabilities), weight: numbers(weight) };
        const result = crossEntropy({ ...problem, ...exact }, convention);
        if (expected === "raises" || result.raises) return expected !== "raises" || !result.raises;
        const values = numbers(expected);
        return result.values.length !== values.length || !result.values.every((value, n) => close(value, values[n]));
    }).map(item => JSON.stringify(item));
}"""


def test_the_page_computes_what_the_oracle_computes(tools: Any) -> None:
    draw = random.Random(20261130)
    cases = []
    for _ in range(400):
        conventions = [drawn_convention(draw) for _ in range(3)]
        problem = drawn_problem(draw, conventions[0].inputs)
        cases += [as_case(problem, convention.but(inputs=conventions[0].inputs)) for convention in conventions]
    assert tools.evaluate(COMPARE, json.dumps(cases)) == []
    outcomes = [outcome if outcome == "raises" else str(outcome[0]) for _, _, outcome in cases]
    for kind in ("raises", "None", "nan", "inf", "0.0"):
        assert outcomes.count(kind) > 20, kind
    assert sum(kind not in ("raises", "None", "nan", "inf", "0.0") for kind in outcomes) > 300


def test_an_overflowing_difference_of_float64_is_infinite_where_the_convention_says_so(tools: Any) -> None:
    problem = Problem(logits=np.array([[1.7e308, -1.7e308, 0.0]] * 3), targets=np.array([0, 1, 2]), ignore_index=2)
    cases = [
        as_case(problem, PORTABLE.but(overflowing_shift=shift, wide_inputs=wide))
        for shift in FIELDS["overflowing_shift"].values
        for wide in FIELDS["wide_inputs"].values
    ]
    assert tools.evaluate(COMPARE, json.dumps(cases)) == []


def test_a_tiny_loss_keeps_its_digits(tools: Any) -> None:
    fill(tools, logits="0 50 -50", targets="1", dtype="float64")
    (value,) = tools.locator("#calculator-table .pass .value").evaluate_all("all => all.map(value => value.title)")
    exact = answer(resolve(Problem(logits=np.array([[0.0, 50.0, -50.0]]), targets=np.array([1])), PORTABLE)).loss
    assert float(value) == pytest.approx(float(exact.mid[0]), rel=1e-15)
    assert 0 < float(value) < 1e-20


def test_the_seed_question_is_answered_at_once(tools: Any) -> None:
    found = answers(tools)
    portable, clipped = found
    assert portable == "0.7436684"
    assert found[portable] == ["a cross_entropy", "a rows", "c lenient", "c outside"]
    assert found[clipped] == ["b clipped"]
    assert "probability_clip = 1e-7" in reason(tools, "clipped")
    assert float(tools.locator("#calculator-table .value").first.get_attribute("title")) == SEED
    assert others(tools) == {
        "c soft": "takes target probabilities, no labels",
        "c wide": "takes float64, not float32",
    }
    assert "The portable answer is 0.7436684." in tools.inner_text("#calculator-sentence")


def test_another_number_is_another_answer_and_the_decisive_field_is_named(tools: Any) -> None:
    fill(tools, logits="[0, 0, 0, 1]\n[0, 0, 2, 0]", targets="3, -100")
    found = answers(tools)
    assert found["raises"] == ["c outside"]  # as the portable convention does
    assert next(iter(found)) == "raises"
    assert found["0.7436684"] == ["a cross_entropy"]
    assert found["0.3718342"] == ["a rows"]
    assert found["0.7436684, NaN"] == ["c lenient"]
    assert "ignore_default = -100 the label that is ignored" in reason(tools, "a rows")
    assert "mean_denominator = rows" in reason(tools, "a rows")
    assert "label_negative = wrap" in reason(tools, "c lenient")
    fill(tools, targets="3, 9")
    assert answers(tools)["0.7436684, undefined"] == ["c outside"]
    fill(tools, logits="0 0", targets="7")
    assert answers(tools)["undefined (reads outside the row)"] == ["c outside"]


def test_a_function_is_left_out_where_it_takes_no_such_problem(tools: Any) -> None:
    fill(tools, weight="1 1 1 2", reduction="sum", logits="0 0 0 2")
    assert others(tools)["c lenient"] == "takes no class weights; takes no reduction sum"
    assert others(tools)["b clipped"] == "takes probabilities, and 2 is outside [0, 1]"
    fill(tools, targets="0 0 .5 .5")
    assert others(tools)["a rows"] == "takes labels, no target probabilities"
    assert answers(tools) == {}
    assert "do not take it" in tools.inner_text("#calculator-sentence")


def test_close_answers_are_written_with_the_digits_that_distinguish_them(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "narrow.html"
    conventions_page.write(
        [claimed("a:kept", PORTABLE), claimed("a:narrow", PORTABLE.but(wide_inputs="narrowed"))], path
    )
    page, _ = opened(browser, path)
    fill(page, dtype="float64", logits="0 0.1", targets="1")
    kept, narrow = answers(page)
    assert kept != narrow
    assert float(kept) == pytest.approx(float(narrow), rel=1e-7)
    assert "wide_inputs = narrowed" in reason(page, "narrow")


@pytest.mark.parametrize(
    "written",
    [
        "tensor([[0., 0., 0., 1.]], dtype=torch.float64)",
        "[[0, 0,\n  0, 1]]",
        "np.array([[0x0p+0, 0.0, -0e5, 0x1p+0]])",
        "tf.Tensor([[0. 0. 0. 1.]], shape=(1, 4), dtype=float32)",
        "\n0;0;0;1\n\n",
    ],
)
def test_it_reads_what_people_paste(tools: Any, written: str) -> None:
    fill(tools, logits=written)
    assert next(iter(answers(tools))) == "0.7436684"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("logits", "0 zero 1", 'row 1: "zero" is not a number: write a decimal or hexadecimal number, nan or inf'),
        ("logits", "0 1\n1", "row 2 has 1 number, row 1 has 2: give every row the same number of classes"),
        ("logits", "", "no numbers: write a row of logits, such as 0, 0, 0, 1"),
        ("logits", "[[0, 1]", '2 of "[" and 1 of "]": close each bracket, or leave all of them out'),
        ("logits", "[0, 1] cats", '"cats" is outside the brackets: remove it'),
        ("logits", "[0, 1] 5 [1, 2]", '"5" is between two rows: put it inside the brackets of a row'),
        ("logits", "[0, ..., 1]", 'row 1: "..." stands for numbers that are left out: paste all of them'),
        ("logits", "0 " * 10001, "10001 numbers: use at most 10000"),
        ("targets", "3 3", "2 targets in 1 row for 1 row of 4 logits: give 1 label, or 1 row of 4 probabilities"),
        ("targets", "1.5", 'label 1: "1.5" is not an integer: write the number of a class, from 0'),
        ("targets", "9007199254740993", 'label 1: "9007199254740993" is too large: use at most 2^53'),
        ("weight", "1 2", "2 weights for 4 classes: give one per class, or leave it empty"),
        ("ignore_index", "1e2", '"1e2" is not an integer: write a label, such as -100, or leave it empty'),
        ("label_smoothing", "2", '"2" is not a number from 0 to 1: write one, such as 0.1, or leave it empty'),
    ],
)
def test_bad_input_is_named_beside_its_field(tools: Any, name: str, text: str, message: str) -> None:
    fill(tools, **{name: text})
    assert tools.inner_text(f"#calculator-{name}-message") == message
    assert tools.get_attribute(f"#calculator-{name}", "aria-invalid") == "true"
    assert "Correct the inputs" in tools.inner_text("#calculator-sentence")
    assert not tools.locator("#calculator-table").is_visible()
    tools.click("#calculator-reset")
    assert next(iter(answers(tools))) == "0.7436684"


def test_a_logit_beyond_float32_is_noted(tools: Any) -> None:
    fill(tools, logits="0 0 0 1e39")
    assert tools.inner_text("#calculator-logits-message") == "1e39 is infinite in float32"
    assert tools.get_attribute("#calculator-logits", "aria-invalid") == "false"


def differences(page: Any) -> dict[str, tuple[str, str]]:
    rows = page.locator("#differences-table tbody tr").all()
    cells = [(row.locator("th").inner_text().split("\n")[0], row.locator("td").all()) for row in rows]
    return {name: (left.inner_text(), right.inner_text()) for name, (left, right) in cells}


def choose(page: Any, left: str, right: str) -> None:
    page.select_option("select[name=left]", label=left)
    page.select_option("select[name=right]", label=right)


def test_the_differences_of_two_functions(tools: Any) -> None:
    choose(tools, "cross_entropy", "rows")
    found = differences(tools)
    assert list(found) == ["mean_denominator"]
    left, right = found["mean_denominator"]
    assert "the sum of the class weights at the labels" in left
    assert right.startswith("rows the number of all rows")
    assert "One field differs" in tools.inner_text("#differences-sentence")
    assert tools.inner_text("#differences-arguments") == ""


def test_only_fields_that_matter_to_both_are_compared_and_their_sources_are_named(tools: Any) -> None:
    choose(tools, "rows", "lenient")
    assert list(differences(tools)) == ["default_reduction", "ignore_default", "label_out_of_range", "label_negative"]
    assert "lenient takes labels, and has no reduction" in tools.inner_text("#differences-arguments")
    choose(tools, "the portable convention", "cross_entropy")
    found = differences(tools)
    assert "measured · documentation" in found["default_reduction"][1]
    # The compiled function is measured, and stands for both.
    assert "measured; not determined for cross_entropy on cpu" in found["ignore_default"][1]
    assert "by definition" in found["ignore_default"][0]
    links = tools.locator("#differences-table a").evaluate_all("all => all.map(link => link.href)")
    assert links == ["https://example.org/mean"]


def test_it_says_that_nothing_differs(tools: Any) -> None:
    choose(tools, "the portable convention", "wide")
    assert "Nothing differs" in tools.inner_text("#differences-sentence")
    assert not tools.locator("#differences-table").is_visible()


def test_the_address_holds_both_tools(browser: Any, page_file: Path) -> None:
    first, _ = opened(browser, page_file)
    choose(first, "rows", "clipped")
    fill(first, logits="1 2\n3 4", targets="0 1", dtype="float64", weight="1 2")
    expected, seen = differences(first), answers(first)
    state = parse_qs(first.evaluate("location.hash.slice(1)"))
    assert state["left"] == ["a:rows@cpu"]
    assert state["logits"] == ["1 2\n3 4"]
    assert "reduction" not in state  # as it was
    page, complaints = opened(browser, page_file, first.evaluate("location.hash"))
    assert differences(page) == expected
    assert answers(page) == seen
    assert complaints == []
    page.goto(f"{page_file.as_uri()}#measured")
    assert page.evaluate("location.hash") == "#measured"
    fill(page, targets="1 1")
    assert parse_qs(page.evaluate("location.hash.slice(1)"))["targets"] == ["1 1"]


def test_a_long_calculation_is_not_in_the_address(tools: Any) -> None:
    fill(tools, logits="0 1 " * 400)
    assert "logits" not in tools.url


def test_filters_and_tools_of_a_report_share_the_address(browser: Any, hostile_report: Path) -> None:
    page, complaints = opened(browser, hostile_report)
    page.click(".filters button.bug")
    fill(page, logits="0 0 0 2")
    assert {"severity", "logits"} == set(parse_qs(page.evaluate("location.hash.slice(1)")))
    shown = page.locator("details.finding:visible").count()
    linked, more = opened(browser, hostile_report, page.evaluate("location.hash"))
    assert linked.locator("details.finding:visible").count() == shown < linked.locator("details.finding").count()
    assert linked.input_value("#calculator-logits") == "0 0 0 2"
    linked.click(".filters button[data-severity='']")
    assert linked.url.endswith("#logits=0+0+0+2")
    assert complaints == more == []


def test_foreign_words_stay_words(browser: Any, hostile_report: Path) -> None:
    evil = replace(subject(hostile.TEXT.replace("@", ""), "evil"), docs=dict.fromkeys(FIELDS, hostile.TEXT))
    data = convention_tools.data([evil])
    assert data is not None
    assert all(choice["docs"] == "" for choice in data["entries"][0]["sources"].values())
    page, complaints = opened(browser, hostile_report)
    options = page.locator("select[name=left] option").all()
    (shown,) = [option for option in options if "alert(1)" in option.text_content()]
    page.select_option("select[name=left]", value=shown.get_attribute("value"))
    assert "<script>alert(1)</script>" in page.inner_text("#differences")
    assert page.locator(".tool script").count() == 0
    assert complaints == []


def test_modes_and_functions_alike_are_one_entry_and_switches_none() -> None:
    def named(function: str, mode: str = "", **more: Any) -> Subject:
        return subject(function, mode=mode, **more)

    data = convention_tools.data(
        [
            named("f"),
            named("f", "jit"),
            named("g"),
            named("h", convention=MEAN),
            named("h", "jit", convention=LENIENT),
            named("f", variant="tf32", switch="call", convention=LENIENT),
        ]
    )
    assert data is not None
    assert [entry["name"] for entry in data["entries"]] == ["f, g", "h (eager)", "h (jit)"]
    assert {choice["source"] for choice in data["entries"][0]["sources"].values()} == {"declared"}
    assert convention_tools.data([]) is None


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1920, "dark")])
def test_it_fits_its_screen(browser: Any, page_file: Path, width: int, scheme: str) -> None:
    page, complaints = opened(browser, page_file, viewport={"width": width, "height": 800}, color_scheme=scheme)
    choose(page, "rows", "lenient")
    fill(page, logits="0 nan\n1 2", targets="1 zero")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    fill(page, targets="1 5", weight="1 1")
    page.locator("#calculator-others").evaluate("details => { details.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []


def test_its_inputs_have_labels_and_are_not_printed(tools: Any) -> None:
    controls = tools.locator(".tool :is(input, select, textarea)")
    assert controls.evaluate_all("all => all.filter(control => control.labels.length !== 1).length") == 0
    tools.emulate_media(media="print")
    shown = [
        tools.locator(f".tool {part}").is_visible() for part in (".inputs", ".choices", "button", "#calculator-table")
    ]
    tools.emulate_media(media="screen")
    assert shown == [False, False, False, True]


def test_without_scripts_the_tools_are_hidden(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file, java_script_enabled=False)
    assert page.locator(".tool:visible").count() == 0
    assert page.locator("[data-tool]:visible").count() == 0
