"""What a function declares and keeps is a characteristic: counted apart, and no cell is coloured by it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from implementations import subject
from rich.console import Console

from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.events import BackendReady, Judged
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.problem import Problem
from logitmus.core.subject import Precision, Subject
from logitmus.judging.severity import is_characteristic
from logitmus.reports import badge, junit, markdown
from logitmus.reports.terminal import run as terminal
from logitmus.results import outcome
from logitmus.results.against import Against
from logitmus.results.run_changes import Comparison
from logitmus.results.summary import Summary

DECLARED = Cause.convention("infinite_logits", "nan")
IN_HALF = Precision("bfloat16", "bfloat16", "float32")
FUNCTION: Subject = replace(
    subject(PORTABLE.but(infinite_logits="nan")),
    precision={"bfloat16": IN_HALF, "float32": Precision("float32", "float32", "float32")},
)
PROBLEM = Problem(logits=np.zeros((1, 2), np.float32), targets=np.array([0]), family="ordinary")


def finding(cause: Cause, kind: Kind = Kind.CONVENTION, **changes: object) -> Finding:
    found = Finding(
        subject=FUNCTION.id,
        problem=PROBLEM.id,
        family="ordinary",
        dtype="float32",
        kind=kind,
        severity=Severity.DIFFERENCE,
        cause=cause,
        part="loss",
        summary="",
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def effective(storage: str, arithmetic: str, **changes: object) -> Finding:
    cause = Cause.effective_precision(storage, arithmetic)
    return finding(cause, Kind.ACCURACY, **{"dtype": "bfloat16", **changes})


@pytest.mark.parametrize(
    ("found", "characteristic"),
    [
        (finding(DECLARED), True),
        (finding(Cause.convention("infinite_logits", "limit")), False),  # it contradicts what is declared
        (finding(DECLARED, severity=Severity.HAZARD), False),
        (finding(DECLARED, alternatives=(Cause.convention("inputs", "probabilities"),)), False),  # not certain
        (finding(DECLARED, Kind.CLAIM), False),
        (effective("bfloat16", "float32"), True),
        (effective("float32", "float32"), True),  # more precise than declared
        (effective("bfloat16", "bfloat16"), False),
        (replace(effective("bfloat16", "float32"), kind=Kind.CLAIM), False),
        (finding(Cause("unexplained"), Kind.ACCURACY), False),
    ],
)
def test_characteristics_of_a_declared_convention(found: Finding, characteristic: bool) -> None:
    assert is_characteristic(found, FUNCTION) is characteristic


def test_a_function_under_check_declares_nothing_itself() -> None:
    assert not is_characteristic(finding(DECLARED), replace(FUNCTION, held_to="torch:cross_entropy@cpu"))
    assert not is_characteristic(finding(DECLARED), None)


def summary(*findings: Finding) -> Summary:
    result = Summary()
    result.add(BackendReady(FUNCTION.backend, (FUNCTION,), {}, 1))
    judgement = Judgement(
        subject=FUNCTION.id,
        problem=PROBLEM.id,
        family="ordinary",
        dtype="float32",
        verdict=Verdict.FINDING,
        findings=findings,
        grade=Grade.A,
        rows=1,
    )
    result.add(Judged(PROBLEM, judgement))
    return result


def test_a_characteristic_colours_no_cell_and_is_listed_after_the_findings() -> None:
    quiet = summary(finding(DECLARED))
    assert quiet.cell(FUNCTION.id, "ordinary").tone == "pass"
    assert quiet.findings_in_words() == "no findings, 1 characteristic"
    loud = summary(finding(DECLARED), finding(Cause("unexplained"), Kind.ACCURACY))
    assert loud.cell(FUNCTION.id, "ordinary").tone == "difference"
    assert loud.findings_in_words() == "1 difference, 1 characteristic"
    assert [group.label for group in loud.groups()] == ["difference", "characteristic"]
    out = io.StringIO()
    terminal.render(loud, Console(file=out, width=100))
    text = out.getvalue()
    assert text.index("DIFFERENCE") < text.index("Characteristics: declared and kept") < text.rindex("ordinary")


def test_a_new_characteristic_has_that_name_in_every_report(tmp_path: Path) -> None:
    changed = summary(finding(DECLARED, summary="NaN"), finding(Cause("unexplained"), Kind.ACCURACY))
    changed.against = Against(
        Comparison(before="a.logitmus", after="b.logitmus", problems=1, only_before=0, only_after=0, pairs=1)
    )
    changed.add_new(finding(DECLARED))
    assert outcome.line(changed).startswith("1 new characteristic over 1 subject")
    badge.write(changed, tmp_path / "badge.json")
    shown = json.loads((tmp_path / "badge.json").read_text(encoding="utf-8"))
    assert (shown["message"], shown["color"]) == ("1 new characteristic", "yellow")
    text = markdown.text(changed)
    assert "| 🟡 characteristic |" in text
    assert "Not listed here" not in text  # nor counted as such
    junit.write(changed, tmp_path / "junit.xml")
    assert 'message="characteristic: NaN"' in (tmp_path / "junit.xml").read_text(encoding="utf-8")
    out = io.StringIO()
    terminal.render(changed, Console(file=out, width=100))
    assert "CHARACTERISTIC convention  NaN" in out.getvalue()
    assert "nothing to decide" not in out.getvalue()
