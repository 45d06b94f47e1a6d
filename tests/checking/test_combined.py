"""Checks: results that only several conventions together explain, each of which is a finding by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from implementations import subject

from logitmus.checking.baseline import BaselineComparison
from logitmus.checking.check import check
from logitmus.checking.result import CheckResult
from logitmus.core.causes import Cause
from logitmus.core.events import Examined, Judged, RunFinished
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.problem import Problem

Array = Any


def loss(logits: Array, labels: Array, ignore_index: int, reduction: str) -> tuple[Array, Array]:
    """The loss and its gradient, with a mean over all rows; a NaN in an ignored row is multiplied by 0, and stays."""
    if labels.size and not ((labels == ignore_index) | ((labels >= 0) & (labels < logits.shape[-1]))).all():
        raise IndexError("no such class")
    kept = labels != ignore_index
    d = logits - logits.max(axis=-1, keepdims=True)
    at = np.where(kept, labels, 0).astype(int)[..., None]
    total = np.exp(d).sum(axis=-1, keepdims=True)
    rows = (np.log(total) - np.take_along_axis(d, at, axis=-1))[..., 0] * kept
    gradient = (np.exp(d) / total - (np.arange(logits.shape[-1]) == at)) * kept[..., None]
    if reduction == "mean":
        return rows.sum() / labels.size, gradient / labels.size
    return (rows if reduction == "none" else rows.sum()), gradient


def leaks_into_a_mean_over_all_rows(
    logits: Array, labels: Array, ignore_index: int = -100, reduction: str = "mean"
) -> tuple[Array, Array]:
    return loss(logits, labels, ignore_index, reduction)


def wrong_where_both_show(
    logits: Array, labels: Array, ignore_index: int = -100, reduction: str = "mean"
) -> tuple[Array, Array]:
    """Beside the two conventions it has a fault of its own, which only such means have in which both show."""
    value, gradient = loss(logits, labels, ignore_index, reduction)
    both = reduction == "mean" and np.isnan(value) and (labels == ignore_index).any()
    return value, gradient * (3 if both else 1)


def forms_the_logsumexp(
    logits: Array, labels: Array, ignore_index: int = -100, reduction: str = "mean"
) -> tuple[Array, Array]:
    """The same, with the logsumexp formed before the logit is subtracted."""
    _, gradient = loss(logits, labels, ignore_index, reduction)
    largest = logits.max(axis=-1, keepdims=True)
    formed = np.log(np.exp(logits - largest).sum(axis=-1, keepdims=True)) + largest
    kept = labels != ignore_index
    at = np.where(kept, labels, 0).astype(int)[..., None]
    rows = (formed - np.take_along_axis(logits, at, axis=-1))[..., 0] * kept
    size = logits.dtype.type(labels.size)
    return {"none": rows, "sum": rows.sum(), "mean": rows.sum() / size}[reduction], gradient


def checked(function: Any, dtype: str = "float32") -> CheckResult:
    profile = "default" if dtype == "float32" else "quick"
    return check(function, "numpy", like="torch:cross_entropy", dtypes=[dtype], profile=profile, compare=False)


def test_two_conventions_explain_what_neither_does() -> None:
    result = checked(leaks_into_a_mean_over_all_rows)
    causes = {group.finding.cause for group in result.groups}
    assert {"convention:mean_denominator=rows", "convention:ignored_row=nan_leaks"} <= causes
    assert not causes & {"unexplained", "lost"}
    assert result.combined > 0
    assert "explained by several of the conventions in the findings together" in str(result)


def test_a_fault_beside_them_is_not_hidden() -> None:
    causes = {group.finding.cause for group in checked(wrong_where_both_show).groups}
    assert "unexplained" in causes


@pytest.mark.release  # half a minute, most of it in vain for a model
def test_what_has_a_known_cause_as_an_alternative_only_is_explained_too() -> None:
    """Small losses are within the budget of float16 arithmetic, which is no other fault."""
    result = checked(forms_the_logsumexp, "float16")
    causes = {group.finding.cause for group in result.groups}
    assert {"separate_logsumexp", "convention:mean_denominator=rows"} <= causes
    assert not [cause for cause in causes if cause.startswith("effective_precision")]


SUBJECT = subject()
BY_ROWS, LEAKS = Cause.convention("mean_denominator", "rows"), Cause.convention("ignored_row", "nan_leaks")
COARSE = Cause.effective_precision("float16", "float16")


def judged(label: int, *causes: Cause, alternatives: tuple[Cause, ...] = ()) -> Judged:
    """A result on a problem of its own with findings of these causes."""
    problem = Problem(logits=np.zeros((1, 3), np.float16), targets=np.array([label]), family="f")
    place = {"subject": SUBJECT.id, "problem": problem.id, "family": "f", "dtype": "float16"}
    of = {"kind": Kind.ACCURACY, "severity": Severity.BUG, "part": "", "summary": "", "alternatives": alternatives}
    findings = tuple(Finding(cause=cause, **of, **place) for cause in causes)
    return Judged(problem, Judgement(**place, verdict=Verdict.FINDING, grade=Grade.F, findings=findings))


@pytest.mark.parametrize(
    ("left", "alternatives", "combined"),
    [
        ((), (), 1),
        ((Cause("separate_logsumexp"),), (), 1),
        ((COARSE,), (Cause("separate_logsumexp"),), 1),
        ((COARSE,), (), 0),
        ((Cause("unexplained"),), (Cause("separate_logsumexp"),), 0),
    ],
)
def test_what_is_left_under_both_conventions_must_be_known(
    left: tuple[Cause, ...], alternatives: tuple[Cause, ...], combined: int
) -> None:
    again = judged(2, *left, alternatives=alternatives).judgement
    comparison = BaselineComparison([SUBJECT], {}, judge_again=lambda *_: again)
    for event in (
        judged(0, BY_ROWS, Cause("separate_logsumexp")),
        judged(1, LEAKS),
        judged(2, Cause("unexplained")),
        RunFinished(1.0),
    ):
        comparison.add(event)
    assert comparison.combined == combined
    assert ("unexplained" in {group.finding.cause for group in comparison.groups}) is not bool(combined)


def test_a_result_that_they_explain_together_is_no_example_of_an_unexplained_result() -> None:
    explained, unexplained = judged(2, Cause("unexplained")), judged(4, Cause("unexplained"))
    again = {explained.problem.id: judged(2).judgement, unexplained.problem.id: unexplained.judgement}
    comparison = BaselineComparison([SUBJECT], {}, judge_again=lambda problem, _: again[problem.id])
    (finding,) = explained.judgement.findings
    for event in (
        judged(0, BY_ROWS),
        judged(1, LEAKS),
        explained,
        unexplained,
        Examined(finding, finding, explained.problem),
        RunFinished(1.0),
    ):
        comparison.add(event)
    (group,) = (group for group in comparison.groups if group.finding.cause == "unexplained")
    assert group.problem.id == unexplained.problem.id
