"""The readers of a run's events: grouped, complete, the same whatever the order, and with everything escaped."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from implementations import RIGHT, WRONG, observe, subject
from junitparser import JUnitXml
from rich.console import Console

from logitmus.backend import Subject
from logitmus.cases.suite import suite
from logitmus.convention import PORTABLE
from logitmus.events import BackendFailed, BackendReady, Event, Judged, RunFinished, RunStarted
from logitmus.finding import Severity, Verdict
from logitmus.judge import Judge
from logitmus.observation import Answered, NotRun, Observation, Outcome, Raised
from logitmus.problem import Problem
from logitmus.reports import html, jsonreport, junit, markdown, terminal
from logitmus.reports.summary import Summary

EVIL = "\x1b[31m</script><script>alert(1)</script> | `x` ]]> \x00 <b>"


def named(function: str, backend: str = "test") -> Subject:
    from dataclasses import replace

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
        for name, one in subjects.items():
            outcome: Outcome = NotRun("takes labels")
            if askable and len(problem.batch) == 1 and problem.rows:
                outcome = observe({**RIGHT, **WRONG}[name], problem)
            made.append(Judged(problem, Observation(one.id, problem.id, outcome), judge.judge(problem, one, outcome)))
            if name == "separate_logsumexp":
                made.append(
                    Judged(problem, Observation(twin.id, problem.id, outcome), judge.judge(problem, twin, outcome))
                )
    evil = named(EVIL.replace("@", ""), backend="evil")
    problem = made[0].problem if isinstance(made[0], Judged) else None
    assert problem is not None
    raised = Raised("ValueError", EVIL)
    made.append(Judged(problem, Observation(evil.id, problem.id, raised), judge.judge(problem, evil, raised)))
    return [
        RunStarted(1, ("test",), {"python": {"version": "3"}, "note": EVIL}, {"profile": "quick"}),
        BackendReady("test", (*subjects.values(), twin), {"packages": {"numpy": "2"}, "note": EVIL}, 10),
        BackendReady("evil", (evil,), {}, 1),
        BackendFailed("missing", EVIL, "pip install it"),
        *made,
        RunFinished(seconds=1.0),
    ]


def gathered(of: list[Event]) -> Summary:
    summary = Summary()
    for event in of:
        summary.add(event)
    return summary


@pytest.fixture(scope="module")
def all_events() -> list[Event]:
    return events()


@pytest.fixture(scope="module")
def summary(all_events: list[Event]) -> Summary:
    return gathered(all_events)


def test_the_order_of_events_does_not_matter(all_events: list[Event], summary: Summary) -> None:
    shuffled = list(all_events)
    random.Random(5).shuffle(shuffled)
    assert json.dumps(gathered(shuffled).as_dict(), sort_keys=True) == json.dumps(summary.as_dict(), sort_keys=True)


def test_findings_of_one_cause_are_one_entry_with_the_smallest_problem(summary: Summary) -> None:
    (group,) = [g for g in summary.groups() if g.finding.cause == "separate_logsumexp"]
    assert group.subjects == {"test:separate_logsumexp@cpu", "test:separate_logsumexp_again@cpu"}
    assert group.count > 2
    assert group.problem.id == group.finding.problem


def test_the_worst_come_first(summary: Summary) -> None:
    ranks = [group.finding.severity.rank for group in summary.groups()]
    assert ranks == sorted(ranks)
    assert ranks[0] == Severity.BUG.rank


def test_not_run_is_neither_passed_nor_failed(summary: Summary) -> None:
    cell = summary.cell("test:shifted@cpu", "label-smoothing")
    assert cell.asked == 0
    assert cell.grade is None
    assert summary.verdicts[Verdict.NOT_RUN] > 0
    assert summary.calls == sum(n for verdict, n in summary.verdicts.items() if verdict is not Verdict.NOT_RUN)


def test_the_terminal_shows_matrix_findings_and_totals_in_80_columns(summary: Summary) -> None:
    console = Console(width=80, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    terminal.render(summary, console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b[31m" not in text
    assert "missing could not run" in text
    assert "common offset" in text
    assert summary.headline().split(";", maxsplit=1)[0].split(" over ", maxsplit=1)[0] in text.replace("\n", " ")
    assert text.count("the logsumexp is formed") == 1
    assert len(text.splitlines()) < 400


def test_html_escapes_everything(summary: Summary) -> None:
    page = html.render(summary)
    assert "<script>alert" not in page
    assert page.count("<script") == page.count("</script>") == 2
    embedded = page.split('id="logitmus-data">')[1].split("</script>")[0]
    assert json.loads(embedded)["schema"] == 1
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
    assert {line.replace("\\|", "").count("|") for line in lines} == {9, 7}
    assert "<script" not in markdown.text(summary)


def test_json_is_json(summary: Summary, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    jsonreport.write(summary, path)
    read = json.loads(path.read_text(encoding="utf-8"))
    assert read["headline"] == summary.headline()
    assert {f["severity"] for f in read["findings"]} >= {"bug"}


def test_thousands_of_findings_stay_few_entries() -> None:
    judge, one = Judge(), named("gradient_of_zeros")
    summary = Summary()
    for n in range(300):
        problem = Problem(logits=np.array([[n, 0, 1]], np.float32), targets=np.array([1]), family="many")
        outcome: Answered = observe(WRONG["gradient_of_zeros"], problem)
        summary.add(Judged(problem, Observation(one.id, problem.id, outcome), judge.judge(problem, one, outcome)))
    assert len(summary.groups()) <= 3
    assert sum(group.count for group in summary.groups()) >= 290
