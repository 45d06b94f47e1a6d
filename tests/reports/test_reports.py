"""The readers of a run's events: grouped, complete, the same whatever the order, and with everything escaped."""

from __future__ import annotations

import io
import json
import random
import re
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_events import CAUSES, FRAMEWORKS, stream
from implementations import RIGHT, WRONG, observe, subject
from junitparser import JUnitXml
from rich.console import Console

from logitmus.cases.suite import suite
from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.events import BackendFailed, BackendReady, Event, Examined, Judged, Related, RunFinished, RunStarted
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.observation import NotRun, Outcome, Raised
from logitmus.core.problem import Problem
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import Subject
from logitmus.judging.judge import Judge
from logitmus.reports import json_report, junit, markdown
from logitmus.reports.html import report
from logitmus.reports.terminal import run
from logitmus.results import serialize, wording
from logitmus.results.summary import Summary

TEMPLATES = Path(report.__file__).parent / "templates"
EVIL = "\x1b[31m</script><script>alert(1)</script> | `x` ]]> \x00 <b>"


def named(function: str, backend: str = "test") -> Subject:
    return replace(subject(PORTABLE), backend=backend, function=function)


def events() -> list[Event]:
    """A small real run: two right and two wrong implementations over the quick suite, judged by the real judge."""
    made: list[Event] = []
    judge, subjects = (
        Judge(),
        {n: named(n) for n in ("shifted", "with_log1p", "separate_logsumexp", "gradient_of_zeros")},
    )
    twin = named("separate_logsumexp_again")
    for problem in suite("quick", dtypes=["float32"]):
        plain = problem.target_kind == "labels" and not problem.options and problem.reduction == "none"
        labels = problem.targets.astype(np.int64)
        askable = plain and problem.classes > 0 and bool(((labels >= 0) & (labels < problem.classes)).all())
        for name, tested in subjects.items():
            outcome: Outcome = NotRun("takes labels")
            if askable and len(problem.batch) == 1 and problem.rows:
                outcome = observe({**RIGHT, **WRONG}[name], problem)
            made.append(Judged(problem, judge.judge(problem, tested, outcome)))
            if name == "separate_logsumexp":
                made.append(Judged(problem, judge.judge(problem, twin, outcome)))
    evil = named(EVIL.replace("@", ""), backend="evil")
    problem = made[0].problem if isinstance(made[0], Judged) else None
    assert problem is not None
    raised = Raised("ValueError", EVIL)
    made.append(Judged(problem, judge.judge(problem, evil, raised)))
    return [
        RunStarted(1, ("test",), {"python": {"version": "3"}, "note": EVIL}, RunSettings(profile="quick")),
        BackendReady("test", (*subjects.values(), twin), {"packages": {"numpy": "2"}, "note": EVIL}, 10),
        BackendReady("evil", (evil,), {}, 1),
        BackendFailed("missing", EVIL, "pip install it"),
        *made,
        _related(twin.id, broken=3, share=7.0, ulps=3.2e13, why=(Cause("spurious_underflow"), Cause("unexplained"))),
        _related(subjects["shifted"].id, broken=0, share=0.2, ulps=1.0),
        RunFinished(seconds=1.0),
    ]


def _related(subject: str, *, broken: int, share: float, ulps: float, why: tuple[str, ...] = ()) -> Related:
    return Related(
        subject=subject,
        relation="gradient_sum",
        pairs=9,
        identical=1,
        broken=broken,
        by_convention=0,
        share=share,
        ulps=ulps,
        why=why,
        example=("one problem", "another") if why else (),
    )


def gathered(of: Iterable[Event]) -> Summary:
    summary = Summary()
    for event in of:
        summary.add(event)
    return summary


def printed(summary: Summary, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    run.render(summary, console)
    return console.export_text()


@pytest.fixture(scope="module")
def all_events() -> list[Event]:
    return events()


@pytest.fixture(scope="module")
def summary(all_events: list[Event]) -> Summary:
    return gathered(all_events)


def test_the_order_of_events_does_not_matter(all_events: list[Event], summary: Summary) -> None:
    shuffled = list(all_events)
    random.Random(5).shuffle(shuffled)
    first, second = (json.dumps(serialize.as_dict(item), sort_keys=True) for item in (summary, gathered(shuffled)))
    assert first == second


def test_findings_of_one_cause_are_one_entry_with_the_smallest_problem(summary: Summary) -> None:
    (group,) = [g for g in summary.groups() if g.finding.cause == "separate_logsumexp"]
    assert group.subjects == {"test:separate_logsumexp@cpu", "test:separate_logsumexp_again@cpu"}
    assert group.count > 2
    assert group.problem.id == group.finding.problem


def test_a_finding_is_shown_on_valid_labels_where_it_can_be() -> None:
    def crashed(classes: int, label: int) -> Judged:
        problem = Problem(logits=np.zeros((1, classes), np.float32), targets=np.array([label]), family="ordinary")
        fields = {"subject": "test:f@cpu", "problem": problem.id, "family": problem.family, "dtype": problem.dtype}
        cause = {"kind": Kind.CRASH, "severity": Severity.BUG, "cause": Cause("crashed:SIGSEGV"), "summary": "it died"}
        finding = Finding(**fields, **cause, part="")
        return Judged(problem, Judgement(**fields, verdict=Verdict.FINDING, findings=(finding,)))

    valid, invalid = crashed(4, 3), crashed(1, 7)
    for events in ([valid, invalid], [invalid, valid]):
        (group,) = gathered(events).groups()
        assert group.problem == valid.problem


def test_the_worst_come_first(summary: Summary) -> None:
    ranks = [group.finding.severity.rank for group in summary.groups()]
    assert ranks == sorted(ranks)
    assert ranks[0] == Severity.BUG.rank


def test_every_report_lists_accepted_findings_last_with_their_reason(all_events: list[Event], tmp_path: Path) -> None:
    why = "known <i>since</i> 2019"
    summary = Summary(reason=lambda finding: why if finding.cause == "separate_logsumexp" else "")
    for event in all_events:
        summary.add(event)
    bugs = [group for group in summary.groups() if group.finding.severity is Severity.BUG]
    assert [group.is_accepted for group in bugs] == [False] * (len(bugs) - 1) + [True]
    assert (bugs[-1].acceptance, bugs[0].acceptance) == (why, "")
    assert f"{len(bugs)} bugs (1 accepted)" in summary.headline()
    assert re.search(rf"accepted +{why} *\n", printed(summary, 200))
    assert f"accepted: {markdown.cell(why)}" in markdown.text(summary)
    assert "known &lt;i&gt;since" in report.render(summary)
    groups = {group["cause"]: group for group in serialize.as_dict(summary)["findings"]}
    accepted = groups["separate_logsumexp"]
    assert (accepted["accepted"], accepted["accepted_because"]) == (accepted["count"], [why])


def test_a_partly_accepted_group_counts_its_accepted_results(all_events: list[Event]) -> None:
    taken = iter([True])
    summary = Summary(reason=lambda f: "one" if f.cause == "separate_logsumexp" and next(taken, False) else "")
    for event in all_events:
        summary.add(event)
    (group,) = [group for group in summary.groups() if group.accepted]
    assert group.acceptance == f"1 of {group.count} results: one"
    assert not group.is_accepted
    assert "accepted)" not in summary.headline()


def test_not_run_is_neither_passed_nor_failed(summary: Summary) -> None:
    cell = summary.cell("test:shifted@cpu", "label-smoothing")
    assert cell.requested == 0
    assert cell.grade is None
    assert summary.verdicts[Verdict.NOT_RUN] > 0
    assert summary.calls == sum(n for verdict, n in summary.verdicts.items() if verdict is not Verdict.NOT_RUN)


def test_the_terminal_shows_matrix_findings_and_totals_in_80_columns(summary: Summary) -> None:
    text = printed(summary, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b[31m" not in text
    assert "missing could not run" in text
    assert "common offset" in text
    assert summary.headline().split(";", maxsplit=1)[0].split(" over ", maxsplit=1)[0] in text.replace("\n", " ")
    assert text.count("computes logsumexp(x) - x_t") == 1
    assert len(text.splitlines()) < 400


def test_html_escapes_everything(summary: Summary) -> None:
    page = report.render(summary)
    assert "<script>alert" not in page
    scripts = {path.name for path in TEMPLATES.glob("*.js")} - {"accuracy.js"}  # a run without a file has no plots
    data = len(re.findall(r'<script type="application/json" id="[a-z-]+">', page))
    assert page.count("<script") == page.count("</script>") == len(scripts) + data
    assert data == 2
    embedded = page.split('id="logitmus-data">')[1].split("</script>")[0]
    assert json.loads(embedded)["schema"] == serialize.SCHEMA
    assert 'http-equiv="Content-Security-Policy"' in page
    assert "src=" not in page.replace("script-src", "").replace("img-src", "").replace("style-src", "").replace(
        "default-src", ""
    )


def test_junit_parses_back(summary: Summary, tmp_path: Path) -> None:
    path = tmp_path / "j.xml"
    junit.write(summary, path)
    xml = JUnitXml.fromfile(str(path))
    assert xml.failures > 0
    assert xml.errors == 1
    assert xml.skipped > 0
    cases = {(case.classname, case.name): case.result for suite in xml for case in suite}
    assert cases["test:with_log1p@cpu", "common-offset"] == []
    assert cases["test:separate_logsumexp@cpu", "common-offset"] != []


def test_markdown_tables_keep_their_columns(summary: Summary) -> None:
    lines = [line for line in markdown.text(summary).splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {9, 5, 4}
    assert "<script" not in markdown.text(summary)


def test_json_is_json(summary: Summary, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    json_report.write(summary, path)
    read = json.loads(path.read_text(encoding="utf-8"))
    assert read["headline"] == summary.headline()
    assert {f["severity"] for f in read["findings"]} >= {"bug"}


@pytest.fixture(scope="module")
def large() -> Summary:
    return gathered(stream(20_000))


def test_thousands_of_findings_stay_tens_of_entries(large: Summary) -> None:
    groups = large.groups()
    assert len(groups) == len(FRAMEWORKS) * len(CAUSES)
    assert sum(group.count for group in groups) == large.verdicts[Verdict.FINDING] > 3_000
    assert len(printed(large, 80).splitlines()) < 400
    assert len(markdown.text(large)) < 65_536  # what a pull request's comment holds


def test_the_smallest_problem_of_a_group_is_kept(large: Summary) -> None:
    smallest: dict[tuple[str, str], int] = {}
    for event in stream(20_000):
        if isinstance(event, Judged):
            for finding in event.judgement.findings:  # reduction none: one row shows it
                key = (finding.subject.split(":")[0], finding.cause)
                smallest[key] = min(smallest.get(key, 1 << 30), event.problem.classes)
    for group in large.groups():
        key = (group.finding.subject.split(":")[0], group.finding.cause)
        assert group.problem.classes == smallest[key]
        assert group.problem.id == group.finding.problem


def test_the_summary_holds_few_problems_however_many_there_were() -> None:
    def kept(judgements: int) -> int:
        tracemalloc.start()
        summary = gathered(stream(judgements))
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert summary.calls > judgements // 2
        return size

    assert kept(20_000) - kept(2_000) < 500_000  # 18,000 events more; ids, not arrays


@pytest.mark.parametrize("reader", ["html", "terminal", "markdown", "junit"])
def test_every_report_is_the_same_in_any_order_of_events(reader: str, tmp_path: Path) -> None:
    def rendered(of: list[Event]) -> str:
        summary = gathered(of)
        match reader:
            case "html":
                return report.render(summary)
            case "terminal":
                return printed(summary, 100)
            case "markdown":
                return markdown.text(summary)
            case _:
                junit.write(summary, tmp_path / "j.xml")
                return (tmp_path / "j.xml").read_text(encoding="utf-8")

    ordered = list(stream(2_000))
    shuffled = random.Random(3).sample(ordered, len(ordered))
    assert rendered(ordered) == rendered(shuffled)


def test_reasons_have_the_same_order_in_any_order_of_events() -> None:
    subject, problem = named("shifted"), Problem(logits=np.zeros((1, 2), np.float32), targets=np.array([0]), family="f")
    about = {
        "subject": subject.id,
        "problem": problem.id,
        "family": "f",
        "dtype": "float32",
        "verdict": Verdict.NOT_RUN,
    }

    def counted(reasons: str) -> list[tuple[str, int]]:
        made = [Judgement(**about, reason=reason) for reason in reasons]
        return gathered(Judged(problem, j) for j in made).why_not()

    assert counted("cbacb") == counted("bcabc") == [("b", 2), ("c", 2), ("a", 1)]


def test_infinities_are_json(large: Summary) -> None:
    def refuse(name: str) -> float:
        raise AssertionError(name)

    read = json.loads(json.dumps(serialize.as_dict(large)), parse_constant=refuse)
    assert "infinite" in {f["example"]["ulps"] for f in read["findings"]}


def test_undecided_results_have_not_passed(tmp_path: Path) -> None:
    subject = named("shifted")
    problem = Problem(logits=np.zeros((1, 2), np.float32), targets=np.array([0]), family="hard")
    about = {"subject": subject.id, "problem": problem.id, "family": "hard", "dtype": "float32"}
    for verdict in (Verdict.UNDECIDED, Verdict.COARSE):
        judgement = Judgement(**about, verdict=verdict, grade=Grade.COARSE, rows=1)
        summary = gathered([Judged(problem, judgement)])
        junit.write(summary, tmp_path / "j.xml")
        assert JUnitXml.fromfile(str(tmp_path / "j.xml")).skipped == 1
        assert summary.cell(subject.id, "hard").tone == "open"
        assert 'class="cell open" title="test:shifted@cpu, hard' in report.render(summary)
        assert "🟢" not in markdown.text(summary)
        assert "nothing decided" in markdown.text(summary)


def test_subjects_in_few_words_and_without_mentions() -> None:
    text = wording.names(["t:f+jit@cpu", "t:f@cpu", "t:g@cpu", "t:f+jit+x64@cpu"])
    assert text == "t: f (eager, jit, jit+x64), g on cpu"
    assert "@c" not in markdown.cell("thanks to @cpu")


def test_a_problem_in_a_line() -> None:
    seed = Problem(logits=np.array([[0, 0, 0, 1]], np.float32), targets=np.array([3]))
    assert wording.question(seed, 0) == "float32[1x4], logits [0, 0, 0, 1], target 3"
    logits = np.zeros((3, 50_257), np.float16)
    logits[2, 7] = 2.1875
    wide = Problem(logits=logits, targets=np.array([0, 1, -5]), reduction="mean")
    two = seed.but(logits=np.array([[0, 0], [0, 1000]], np.float32), targets=np.array([0, -100]))
    assert wording.question(two, 0) == "float32[2x2], logits [[0, 0], [0, 1000]], targets [0, -100], row 0 of 2"
    assert wording.question(wide, None) == (
        "float16[3x50257], logits [50,256 times 0; 2.1875 at class 7], target -5, row 2 of 3, reduction mean"
    )


def test_a_row_is_written_so_that_it_can_be_put_again() -> None:
    values = np.array([1027.6875, 0.1, 3e38, np.nextafter(np.float32(1), np.float32(2))], np.float32)
    read = np.array([float(part) for part in wording.short(values).strip("[]").split(", ")], np.float32)
    assert (read == values).all()


@pytest.mark.parametrize(("value", "text"), [(0.834, "0.834"), (7742.0, "7,740"), (2.5e7, "2.5e+07")])
def test_amounts(value: float, text: str) -> None:
    assert wording.amount(value) == text


def test_a_page_links_to_https_and_nothing_else() -> None:
    docs = {"zero_times_infinity": "javascript:alert(1)", "infinite_logits": "https://docs.example/f"}
    convention = replace(PORTABLE, infinite_logits="nan", zero_times_infinity="nan")
    subject = replace(named("shifted"), convention=convention, docs=docs)
    page = report.render(gathered([BackendReady("test", (subject,), {}, 1)]))
    assert 'href="https://docs.example/f"' in page
    assert 'href="javascript' not in page


def examined(summary: Summary, finding: Finding) -> Finding:
    """Examined, it is right without the other rows."""
    simplest = Problem(logits=np.zeros((1, 2), np.float32), targets=np.array([1]))
    cause = "depends_on:other_rows"
    found = replace(finding, problem=simplest.id, cause=Cause(cause), kind=Kind.INTEGRITY, row=0, index=None)
    summary.add(Examined(finding, found, simplest, ("other_rows",)))
    return found


def test_every_report_shows_the_reduced_problem_and_the_command_for_a_script(tmp_path: Path) -> None:
    summary = gathered(stream(400))
    found = examined(summary, summary.groups()[0].finding)
    console = Console(file=io.StringIO(), width=200)
    run.render(summary, console, "my.logitmus")
    junit.write(summary, tmp_path / "a.xml")
    reports = {
        "terminal": console.file.getvalue(),  # type: ignore[attr-defined]
        "html": report.render(summary),
        "markdown": markdown.text(summary).replace("\\", ""),
        "junit": (tmp_path / "a.xml").read_text(),
    }
    for name, text in reports.items():
        assert found.id in text, name
        assert "the other rows of the batch" in text, name
        assert "float32[1x2], logits [0, 0], target 1" in text, name
        assert "logitmus repro" in text, name
    assert "logitmus repro my.logitmus" in reports["terminal"]
    group = next(group for group in serialize.as_dict(summary)["findings"] if group["id"] == found.id)
    assert group["dependences"] == ["other_rows"]
    assert group["example"]["problem"] == found.problem
    assert group["example"]["question"].startswith("float32[1x2]")


def test_groups_with_the_same_reduction_are_merged() -> None:
    summary = gathered(stream(400))
    before = summary.groups()
    bugs = [group.finding for group in before if group.finding.severity is Severity.BUG]
    first, second = [finding for finding in bugs if finding.subject.startswith("alpha:")][:2]
    examined(summary, first)
    examined(summary, second)
    after = summary.groups()
    assert len(after) == len(before) - 1
    assert sum(group.count for group in after) == sum(group.count for group in before)
    assert sum(summary.tally().values()) == len(after)
