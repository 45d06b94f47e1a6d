"""Switches: an undeclared change of a result is a finding that shows both results; other changes are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from switched_backend import BACKEND

from logitmus.cases.suite import suite
from logitmus.core.backend import Backend, Switch
from logitmus.core.declaration import DeclarationError, subjects_of
from logitmus.core.events import Event, Examined, Judged
from logitmus.core.finding import Finding, Severity
from logitmus.core.problem import SWITCHES
from logitmus.core.run_settings import Examination, RunSettings
from logitmus.engine.run import judge_run, run
from logitmus.execution import registry
from logitmus.execution.pool import BatchEnded, Pool
from logitmus.reports import markdown
from logitmus.reports.html import report
from logitmus.results.finding_view import FindingView
from logitmus.results.run_diff import compare
from logitmus.results.serialize import as_dict
from logitmus.results.summary import Summary
from logitmus.storage.store import Store

SUPPORT = Path(__file__).parent.parent / "support"
PROBLEMS = [*suite("default", families=[SWITCHES], dtypes=["float32"]), *suite("quick", families=["ordinary"])]


def events(path: Path, attribute: str = "BACKEND") -> list[Event]:
    spec = registry.BackendSpec(name="switched", target=f"switched_backend:{attribute}", path=str(SUPPORT))
    with Store.create(path, settings=RunSettings(examine=Examination(calls=60))) as store:
        return list(run(PROBLEMS, [spec], store, jobs=2))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    return events(tmp_path_factory.mktemp("switches") / "run.logitmus")


def findings(found: list[Event], switch: str) -> list[Finding]:
    """The findings of the function with this switch, notes left out."""
    name = f"switched:loss{f'+{switch}' if switch else ''}@cpu"
    judged = (event.judgement for event in found if isinstance(event, Judged))
    return [f for j in judged if j.subject == name for f in j.findings if f.severity is not Severity.NOTE]


def test_a_function_is_asked_few_problems_with_a_switch_and_all_without_it(found: list[Event]) -> None:
    asked = {(e.judgement.subject, e.problem.family) for e in found if isinstance(e, Judged) and e.judgement.rows}
    assert {family for subject, family in asked if subject == "switched:loss@cpu"} == {SWITCHES, "ordinary"}
    assert {family for subject, family in asked if subject == "switched:loss+harmless@cpu"} == {SWITCHES}
    # What is not meant for a switch is not even counted as not run.
    of_switches = [e for e in found if isinstance(e, Judged) and e.judgement.subject == "switched:loss+harmless@cpu"]
    assert {event.problem.family for event in of_switches} == {SWITCHES}


@pytest.mark.parametrize("switch", ["harmless", "last-bit", "wide"])
def test_a_switch_that_changes_nothing_but_rounding_or_what_is_declared_is_no_finding(
    found: list[Event], switch: str
) -> None:
    assert findings(found, switch) == []


@pytest.mark.parametrize(
    ("switch", "effect"),
    [
        ("faulty", "unexplained"),
        ("raises", "raised:RuntimeError"),
        ("lenient", None),  # several rules for invalid labels explain it
        ("wide-undeclared", "dtype:loss=float64"),
        ("wide-and-faulty", "unexplained"),
    ],
)
def test_a_switch_that_changes_a_result_is_a_finding(found: list[Event], switch: str, effect: str | None) -> None:
    changed = findings(found, switch)
    assert changed
    assert {finding.cause for finding in changed} == {f"switch:{switch}"}
    assert effect in {finding.effect for finding in changed}
    assert all(finding.without for finding in changed)


def summary_of(found: list[Event]) -> Summary:
    summary = Summary()
    for event in found:
        summary.add(event)
    return summary


def test_both_results_are_shown_on_a_reduced_problem(found: list[Event]) -> None:
    summary = summary_of(found)
    groups = {group.finding.cause: group for group in summary.groups()}
    view = FindingView.of(groups["switch:faulty"])
    with_it, without = float(view.got), float(view.without_it)
    assert with_it == pytest.approx(1.01 * without)
    low, high = (float(end) for end in view.expected.strip("[]").split(","))
    assert low - 1e-6 < without < high + 1e-6
    reduced = [event.problem for event in found if isinstance(event, Examined) and event.of.cause == "switch:faulty"]
    assert [problem.rows for problem in reduced] == [1]


def test_every_report_shows_both_results(found: list[Event]) -> None:
    summary = summary_of(found)
    groups = {group.finding.cause: group for group in summary.groups()}
    finding = groups["switch:faulty"].finding
    for text in (markdown.text(summary), report.render(summary)):
        assert finding.observed in text
        assert f"{finding.without}" in text
    (entry,) = (entry for entry in as_dict(summary)["findings"] if entry["cause"] == "switch:faulty")
    assert entry["example"]["without"] == finding.without
    assert entry["example"]["effect"] == finding.effect


def test_a_refusal_without_the_switch_is_shown(found: list[Event]) -> None:
    assert {f.without for f in findings(found, "lenient")} == {"ValueError: a label is no class"}


def test_the_file_gives_the_same(tmp_path: Path) -> None:
    live = events(tmp_path / "run.logitmus")
    with Store.open(tmp_path / "run.logitmus") as store:
        again = list(judge_run(store))
        assert compare(store, store).same
    kinds = (Judged, Examined)
    assert {repr(e) for e in again if isinstance(e, kinds)} == {repr(e) for e in live if isinstance(e, kinds)}


def test_a_fault_of_the_function_itself_is_reported_once(tmp_path: Path) -> None:
    wrong = events(tmp_path / "run.logitmus", "WRONG")
    assert {finding.cause for finding in findings(wrong, "")} == {"unexplained"}
    assert findings(wrong, "harmless") == []


def test_switches_that_are_set_at_the_start_have_workers_of_their_own(tmp_path: Path, found: list[Event]) -> None:
    by_start = events(tmp_path / "run.logitmus", "BY_START")
    for switch in ("", "harmless", "faulty"):
        assert {f.id for f in findings(by_start, switch)} == {f.id for f in findings(found, switch)}


def workers(attribute: str) -> set[str]:
    """The environments of a backend that did work."""
    spec = registry.BackendSpec(name="switched", target=f"switched_backend:{attribute}", path=str(SUPPORT))
    problem = next(p for p in PROBLEMS if p.family == SWITCHES)
    with Pool([spec]) as pool:
        (ready,) = pool.describe()
        ended = pool.ask([(problem, subject.id) for subject in ready.subjects])  # type: ignore[union-attr]
        return {event.variant for event in ended if isinstance(event, BatchEnded)}


def test_switches_that_are_set_around_a_call_share_a_worker() -> None:
    assert workers("BACKEND") == {"", "switches"}
    assert workers("BY_START") == {"", *BACKEND.functions[0].switches}


def test_the_quick_profile_has_no_problems_for_switches() -> None:
    assert list(suite("quick", families=[SWITCHES])) == []


def with_switch(name: str, switch: Switch) -> Backend:
    return replace(BACKEND, functions=(replace(BACKEND.functions[0], switches={name: switch}),))


def test_a_switch_declares_what_it_changes() -> None:
    link = "https://example.org/switch"
    backend = with_switch("lenient", Switch(docs=link, convention={"label_out_of_range": "zero"}))
    plain, switched = subjects_of(backend, ["cpu"])
    assert (plain.switch, switched.switch) == ("off", "call")
    assert switched.without_switch == plain.id
    assert switched.convention.label_out_of_range == "zero"
    assert switched.docs["label_out_of_range"] == link
    with pytest.raises(DeclarationError, match=r"switch 'a\+b'; a name has none of"):
        subjects_of(with_switch("a+b", Switch()), ["cpu"])
