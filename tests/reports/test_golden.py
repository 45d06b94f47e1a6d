"""What a person reads, as snapshot files: a change of wording is seen in review.

After an intended change: `pytest tests/reports/test_golden.py tests/reports/test_golden_help.py --snapshot-update`.
Everything is fabricated or comes from fake backends, at 80 columns and without colours.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import audit_values
import pytest
from fake_events import stream
from golden import Golden
from probe_run import record_probes
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from logitmus import __version__
from logitmus.auditing.transitions import Audit, Change
from logitmus.cases.planted.catalogue import ALL
from logitmus.checking.result import CheckResult
from logitmus.cli import main
from logitmus.conventions.claims import Claims, claims
from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.events import Event, Examined, Explored, Judged, Reached, Related, RunFinished
from logitmus.core.finding import Finding, Grade, Severity
from logitmus.reports import audit_markdown, badge, github, junit, markdown
from logitmus.reports.terminal import audit as terminal_audit
from logitmus.reports.terminal import card, check, conventions, run, selftest
from logitmus.results import outcome
from logitmus.results.against import Against
from logitmus.results.detection_power import Result, Score
from logitmus.results.run_changes import BitsChange, Comparison, EnvironmentChange, FindingChange, GradeChange
from logitmus.results.source_location import SourceLocation
from logitmus.results.summary import Summary
from logitmus.storage.store import Store

FUNCTION = "alpha:cross_entropy@cpu"


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(Golden)


def printed(render: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    render(console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def events() -> Iterator[Event]:
    """A run with every cause in the words of the catalogue, an examined finding, relations and an exploration."""
    examined: Examined | None = None
    for event in stream(300):
        match event:
            case Judged(problem, judgement) if judgement.findings:
                (finding,) = judgement.findings
                finding = replace(finding, summary=catalogue.summary(finding.cause))
                if examined is None and finding.cause == "lost":
                    examined = Examined(finding, finding, problem, ("other_rows", "earlier_calls"))
                yield Judged(problem, replace(judgement, findings=(finding,)))
            case RunFinished():
                assert examined is not None
                yield from (examined, *relations(), exploration(examined.finding), event)
            case _:
                yield event


def relations() -> Iterator[Related]:
    shared = {"relation": "gradient_sum", "pairs": 9, "by_convention": 0}
    yield Related(
        subject=FUNCTION, **shared, identical=1, broken=3, share=7.0, ulps=3.2e13, why=(Cause("unexplained"),)
    )
    yield Related(subject="beta:cross_entropy@cpu", **shared, identical=4, broken=0, share=0.2, ulps=1.0, why=())
    shared["by_convention"] = 9
    why = (Cause("convention:soft_target_gradient=plain"),)
    yield Related(subject="gamma:cross_entropy@cpu", **shared, identical=0, broken=0, share=0.0, ulps=0.0, why=why)


def exploration(finding: Finding) -> Explored:
    reached = Reached(subject=FUNCTION, dtype="float32", calls=90, suite=0.4, share=0.7)
    return Explored(problems=100, calls=90, reached=(reached,), new=(finding,))


def summarised() -> Summary:
    summary = Summary(reason=lambda finding: "known since 2019" if finding.cause == "timeout" else "")
    for event in events():
        summary.add(event)
    return summary


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarised()


def checked(summary: Summary) -> CheckResult:
    groups = [group for group in summary.groups() if FUNCTION in group.subjects]
    subject = summary.subjects[FUNCTION]
    return CheckResult(
        function="mine.py:loss",
        subjects={"labels": subject},
        references={"labels": "alpha:nn.CrossEntropyLoss@cpu"},
        require=Grade.B,
        groups=tuple(groups[:4]),
        excused=tuple(groups[4:6]),
        grades={"float32": Grade.F, "bfloat16": Grade.A},
        reference_grades={"float32": Grade.A},
        problems=74,
        calls=144,
        seconds=3.2,
        not_asked={"takes labels": 12},
        remarks=("bfloat16 was not compared: the reference does not support it",),
        summary=summary,
    )


def test_run(summary: Summary, golden: SnapshotAssertion) -> None:
    assert printed(lambda console: run.render(summary, console, "torch.logitmus")) == golden


@pytest.fixture(scope="module")
def against() -> Summary:
    """A run that shows a class of findings, and a finding of another class, that an earlier run does not."""
    summary = summarised()
    for event in events():
        for finding in event.judgement.findings if isinstance(event, Judged) else ():
            if finding.cause in ("lost", "timeout") and finding.family != "ordinary":
                summary.add_new(finding)
    summary.against = Against(comparison())
    return summary


def test_run_against_an_earlier_run(against: Summary, golden: SnapshotAssertion) -> None:
    assert printed(lambda console: run.render(against, console, "torch.logitmus")) == golden


def test_markdown_against_an_earlier_run(against: Summary, golden: SnapshotAssertion) -> None:
    assert markdown.text(against) == golden


def test_check(summary: Summary, golden: SnapshotAssertion) -> None:
    assert printed(lambda console: check.render(checked(summary), console)) == golden


def test_check_as_a_message(summary: Summary, golden: SnapshotAssertion) -> None:
    assert str(checked(summary)) + "\n" == golden


def test_check_without_findings(summary: Summary, golden: SnapshotAssertion) -> None:
    result = replace(checked(summary), groups=(), require=None, grades={"float32": Grade.A})
    assert printed(lambda console: check.render(result, console)) == golden


def test_markdown(summary: Summary, golden: SnapshotAssertion) -> None:
    assert markdown.text(summary) == golden


def test_annotations(summary: Summary, golden: SnapshotAssertion) -> None:
    assert "\n".join(github.lines(summary.groups(), lambda _: SourceLocation("mine.py", 7))) + "\n" == golden


def test_line(summary: Summary, golden: SnapshotAssertion) -> None:
    assert outcome.line(summary).replace(__version__, "VERSION") + "\n" == golden


def test_badge(summary: Summary, golden: SnapshotAssertion, tmp_path: Path) -> None:
    badge.write(summary, tmp_path / "badge.svg")
    assert (tmp_path / "badge.svg").read_text(encoding="utf-8") == golden


def test_junit_details(summary: Summary, golden: SnapshotAssertion) -> None:
    assert "\n\n".join(junit.details(group) for group in summary.groups()[:6]) + "\n" == golden


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Claims]:
    with Store.open(record_probes(tmp_path_factory.mktemp("golden") / "probed.logitmus")) as store:
        return list(claims(store))


def test_conventions(found: list[Claims], golden: SnapshotAssertion) -> None:
    assert printed(lambda console: conventions.render(found, console)) == golden


def test_conventions_of_one_field(found: list[Claims], golden: SnapshotAssertion) -> None:
    assert printed(lambda console: conventions.render_field(found, "mean_denominator", console)) == golden


@pytest.mark.parametrize("why", [False, True])
def test_identify(found: list[Claims], golden: SnapshotAssertion, why: bool) -> None:
    assert printed(lambda console: card.render([found[0].card], console, why=why)) == golden


def test_audit(golden: SnapshotAssertion) -> None:
    assert printed(lambda console: terminal_audit.render(audit_values.audit(), console)) == golden


def test_audit_of_several_versions(golden: SnapshotAssertion) -> None:
    assert printed(lambda console: terminal_audit.render(several_versions(), console)) == golden


def test_audit_in_markdown(golden: SnapshotAssertion) -> None:
    assert audit_markdown.to_markdown(several_versions()) == golden


def several_versions() -> Audit:
    wrong = audit_values.transition(Change.NEWLY_WRONG, worse=True, severity=Severity.BUG)
    return audit_values.audit(audit_values.step(), audit_values.step(wrong, before="1.1", after="1.2"))


def comparison() -> Comparison:
    finding = next(f for e in events() if isinstance(e, Judged) for f in e.judgement.findings)
    return Comparison(
        before="before.logitmus",
        after="after.logitmus",
        problems=1200,
        only_before=3,
        only_after=0,
        pairs=4800,
        environment=(EnvironmentChange(where="alpha", name="alpha", before="1.0", after="1.1", own=True),),
        subjects_new=("alpha:fused@cpu",),
        new=(FindingChange(example=finding, appeared=("p1", "p2")),),
        changed=(FindingChange(example=finding, appeared=("p1",), vanished=("p2", "p3"), stayed=5),),
        bits=(BitsChange(subject=FUNCTION, compared=9, changed=2, max_ulps=3, worst="p1", other={"dtype": 1}),),
        grades=(GradeChange(subject=FUNCTION, before=None, after=Grade.F, problems=1, example="p1"),),
    )


def test_selftest(golden: SnapshotAssertion) -> None:
    faults = [planted for planted in ALL if planted.faulty][:6]
    missed, unexplained, *named = faults
    results = [
        Result(planted=missed),
        Result(planted=unexplained, causes=("unexplained",), profile="quick", family="ordinary"),
        *(Result(planted=p, causes=(p.causes[0].strip("*"),), profile="quick", family="common-offset") for p in named),
    ]
    score = Score(results=tuple(results), seconds=170.0, problems=2124, calls=9000, remarks=("jax could not run",))
    assert printed(lambda console: selftest.render(score, console, every=True)) == golden


def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *args: str) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["logitmus", *args])
    with pytest.raises(SystemExit):
        main()
    return capfd.readouterr().out


def test_explain(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], golden: SnapshotAssertion, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    numbers = ("--observed", "0.7437", "--expected", "0")
    assert command(monkeypatch, capfd, "explain", "--logits", "0,0,0,1", "--target", "3", *numbers) == golden


@pytest.mark.parametrize(
    "options",
    [
        ("7.751157283782959", "7.751153945922852"),
        ("7.7512", "7.7501", "--classes", "50257"),
        ("1.5", "1.5234375", "--dtype", "bfloat16", "--classes", "10", "--reduction", "none"),
        ("1.5, 2.25", "nan, 2.25"),
    ],
    ids=("can", "cannot", "half", "nan"),
)
def test_explain_without_logits(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    golden: SnapshotAssertion,
    options: tuple[str, ...],
) -> None:
    observed, expected, *more = options
    assert command(monkeypatch, capfd, "explain", "--observed", observed, "--expected", expected, *more) == golden


def test_port(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], golden: SnapshotAssertion, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    pair = ("torch:cross_entropy", "keras.losses.SparseCategoricalCrossentropy")
    assert command(monkeypatch, capfd, "port", *pair, "--declared") == golden
