"""A problem that asks for no reduction: its question under a convention, the subjects that take it, its judgement."""

from __future__ import annotations

import numpy as np
import pytest
from implementations import subject

from logitmus.core.convention import PORTABLE
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem, ProblemError
from logitmus.judging.judge import Judge
from logitmus.oracle.resolve import resolve

ROWS = np.array([[0, 0, 0, 1], [2, 0, 0, 0], [0, 0, 3, 0]], np.float32)
PROBLEM = Problem(logits=ROWS, targets=np.array([3, 1, -100]), reduction="default", ignore_index=-100)
UNDER = {r: PORTABLE.but(default_reduction=r) for r in ("none", "sum", "mean")}


@pytest.mark.parametrize("reduction", UNDER)
def test_the_question_is_that_of_the_explicit_default(reduction: str) -> None:
    default, explicit = resolve(PROBLEM, UNDER[reduction]), resolve(PROBLEM.but(reduction=reduction), PORTABLE)
    assert default.reduction == explicit.reduction == reduction
    assert default.denominator == explicit.denominator
    # All but the name of the problem, the first thing in it.
    assert default.key[1:] == explicit.key[1:]
    assert PROBLEM.id != PROBLEM.but(reduction=reduction).id


def test_conventions_that_differ_in_the_default_are_different_questions_and_no_others_are() -> None:
    assert len({resolve(PROBLEM, convention).key for convention in UNDER.values()}) == 3
    summed = PROBLEM.but(reduction="sum")
    assert len({resolve(summed, convention).key for convention in UNDER.values()}) == 1


def test_the_mean_of_nothing_by_default() -> None:
    nothing = PROBLEM.but(targets=np.full(3, -100))
    refusing = UNDER["mean"].but(all_ignored_mean="error")
    assert resolve(nothing, refusing).refused == "the mean of nothing"
    assert resolve(nothing, refusing.but(default_reduction="sum")).refused is None


def test_every_subject_can_be_asked_for_nothing() -> None:
    for reductions in ((), ("none",), ("sum", "mean")):
        assert subject(reductions=reductions).why_not(PROBLEM) is None
    assert subject(reductions=()).why_not(PROBLEM.but(reduction="none")) == "does not offer reduction='none'"


def test_an_upstream_gradient_has_no_shape_before_the_default_is_known() -> None:
    with pytest.raises(ProblemError, match="cotangent: its shape depends on the reduction"):
        PROBLEM.but(cotangent=np.float32(1))


def test_the_judge_wants_the_shape_of_the_default() -> None:
    x = ROWS[:2].astype(np.float64)
    hot = np.eye(4)[[3, 1]]
    log_p = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    rows, gradient = -(log_p * hot).sum(axis=1), np.exp(log_p) - hot
    problem = Problem(logits=ROWS[:2], targets=np.array([3, 1]), reduction="default")
    mean = Answered(np.float32(rows.mean()), (gradient / 2).astype(np.float32))
    each = Answered(rows.astype(np.float32), gradient.astype(np.float32))
    for outcome, default, causes in (
        (mean, "mean", set()),
        (each, "none", set()),
        (each, "mean", {"shape:loss"}),
        (mean, "none", {"shape:loss"}),
    ):
        judgement = Judge().judge(problem, subject(UNDER[default]), outcome)
        assert {f.cause for f in judgement.findings} == causes, default


def test_a_refusal_missed_with_a_wrong_shape_is_judged_too() -> None:
    bad = Problem(logits=ROWS[:2], targets=np.array([3, 9]))
    judgement = Judge().judge(bad, subject(), Answered(np.float32(1), np.zeros((2, 4), np.float32)))
    assert {f.cause for f in judgement.findings} == {"shape:loss", "accepted:invalid"}
