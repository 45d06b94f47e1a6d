"""Second derivatives: correct ones pass whatever their formula; wrong zeros, signs and NaN are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from implementations import RIGHT, observe, subject
from test_judge import IDEAS, causes, judged, rows_of

from logitmus.checking.baseline import BaselineComparison
from logitmus.core import catalogue
from logitmus.core.backend import Inputs
from logitmus.core.convention import PORTABLE
from logitmus.core.events import Judged, RunFinished
from logitmus.core.finding import Judgement, Kind, Severity, Verdict
from logitmus.core.floats import FLOAT_DTYPES, Array, float_array
from logitmus.core.observation import Answered, Raised
from logitmus.core.problem import Problem
from logitmus.judging.consistency import NO_SECOND_ORDER
from logitmus.results import wording

Formula = Callable[[Array, Array, Array], Array]
SEED = Problem(
    logits=float_array([[0, 0, 0, 1], [2, -1, 0, 0.5]], "float32"),
    targets=np.array([3, 1]),
    cotangent=float_array([0.75, -2], "float32"),
    manner="second_order",
)


def product(p: Array, e: Array, u: Array) -> Array:
    return u * (p * e).sum(-1, keepdims=True, dtype=p.dtype) * (e - p)


def twice_softmax(p: Array, e: Array, u: Array) -> Array:
    """As two backward passes through a softmax give it."""
    upstream = u * e
    return p * (upstream - (p * upstream).sum(-1, keepdims=True, dtype=p.dtype))


def of_the_gradient(p: Array, e: Array, u: Array) -> Array:
    """Where p_t is small, 1 + (p_t - 1) loses it: the error is that of 1."""
    g = p - e
    return -(1 + (g * e).sum(-1, keepdims=True, dtype=p.dtype)) * (u * g)


FORMULAS = {f.__name__: f for f in (product, twice_softmax, of_the_gradient)}


def answered(problem: Problem, formula: Formula, implementation: str = "shifted") -> Answered:
    """All in the arithmetic of the logits' own dtype."""
    plain = observe(RIGHT[implementation], problem)
    x = problem.logits - problem.logits.max(axis=-1, keepdims=True)
    weights = np.exp(x)
    p = weights / weights.sum(axis=-1, keepdims=True, dtype=x.dtype)
    e = (np.arange(problem.classes) == problem.targets[:, None]).astype(x.dtype)
    u = np.ones(problem.rows, x.dtype) if problem.cotangent is None else problem.cotangent
    return replace(plain, second_logits=np.asarray(formula(p, e, u[:, None])).astype(x.dtype))


def second(judgement: Judgement) -> list[str]:
    return [cause for cause in sorted(causes(judgement)) if cause.startswith("second_derivative:")]


def but(outcome: Answered, row: int, values: float | Array) -> Answered:
    assert outcome.second_logits is not None
    changed = outcome.second_logits.copy()
    changed[row] = values
    return replace(outcome, second_logits=changed)


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("idea", IDEAS)
@pytest.mark.parametrize("name", FORMULAS)
def test_right_ones_pass_however_they_are_made(name: str, idea: str, dtype: str) -> None:
    problem = rows_of(idea, dtype).but(manner="second_order")
    assert second(judged(problem, answered(problem, FORMULAS[name]))) == []


@pytest.mark.parametrize("name", FORMULAS)
def test_right_ones_pass_at_every_spread_and_label(name: str) -> None:
    draws = np.random.default_rng(7)
    for scale in (0.5, 4.0, 12.0, 40.0):
        logits = float_array(draws.normal(size=(200, 6)) * scale, "float32")
        upstream = float_array(draws.normal(size=200), "float32")
        problem = SEED.but(logits=logits, targets=draws.integers(0, 6, 200), cotangent=upstream)
        assert judged(problem, answered(problem, FORMULAS[name])).verdict in (Verdict.PASS, Verdict.ABSORBED)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("zero", 0.0),
        ("not_finite", np.nan),
        ("not_finite", [np.inf, 0, 0, 0]),
        ("wrong_sign", [0.06, 0.06, 0.06, -0.19]),
        ("wrong_sign", [-0.06, 0.0, -0.06, 0.19]),
    ],
)
def test_a_wrong_second_derivative_is_reported_with_its_row(name: str, values: float | Array) -> None:
    judgement = judged(SEED, but(answered(SEED, product), 0, values))
    (found,) = judgement.findings
    assert (found.cause, found.kind, found.severity) == (f"second_derivative:{name}", Kind.INTEGRITY, Severity.BUG)
    assert (found.row, found.part, judgement.verdict) == (0, "", Verdict.FINDING)
    assert found.detail == "1 of 2 rows"
    assert abs(float(found.expected)) < 0.2
    assert catalogue.impact(found.cause)
    assert "differentiated twice" in wording.question(SEED, found.row)


def test_the_sign_is_that_of_the_upstream_gradient_too() -> None:
    outcome = answered(SEED, product)
    assert outcome.second_logits is not None
    assert np.sign(outcome.second_logits[np.arange(2), SEED.targets]).tolist() == [1, -1]
    assert second(judged(SEED, replace(outcome, second_logits=np.abs(outcome.second_logits)))) == [
        "second_derivative:wrong_sign"
    ]


def test_zeros_of_rows_that_hardly_have_a_second_derivative_are_none_of_it() -> None:
    problem = SEED.but(logits=float_array([[0, 0, 0, -60], [0, 40, 0, 0]], "float32"))
    outcome = replace(answered(problem, product), second_logits=np.zeros((2, 4), np.float32))
    assert second(judged(problem, outcome)) == []
    assert second(judged(problem, but(outcome, 1, np.nan))) == ["second_derivative:not_finite"]


def test_the_second_derivative_is_not_judged_beside_a_wrong_gradient() -> None:
    outcome = but(answered(SEED, product), 0, 0.0)
    assert outcome.grad_logits is not None
    for value in (0.0, np.nan):
        wrong = outcome.grad_logits.copy()
        wrong[0] = value
        judgement = judged(SEED, replace(outcome, grad_logits=wrong))
        assert causes(judgement)
        assert second(judgement) == []


def test_a_masked_class_has_none_and_a_masked_label_is_not_asked() -> None:
    masked = SEED.but(logits=float_array([[0, 0, -np.inf, 1], [2, -np.inf, 0, 0.5]], "float32"))
    outcome = answered(masked, product)
    assert second(judged(masked, outcome)) == []
    assert second(judged(masked, but(outcome, 1, np.nan))) == []
    assert second(judged(masked, but(outcome, 0, [-0.1, -0.1, np.nan, 0.3]))) == ["second_derivative:not_finite"]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_reduction_is_judged_row_by_row(reduction: str) -> None:
    plain = SEED.but(reduction=reduction, cotangent=float_array(0.75, "float32"))
    factor = np.float32(0.75 if reduction == "sum" else 0.375)
    by_rows = SEED.but(cotangent=np.full(2, factor))
    outcome = answered(by_rows, product)
    outcome = replace(outcome, loss=getattr(np, reduction)(outcome.loss))
    assert judged(plain, outcome).verdict is Verdict.PASS
    assert second(judged(plain, but(outcome, 1, 0.0))) == ["second_derivative:zero"]


def test_to_refuse_is_a_difference_and_other_bits_of_the_gradient_are_no_fault() -> None:
    refused = judged(SEED, Raised("RuntimeError", "derivative is not implemented", answered_before=True))
    assert [(found.cause, found.severity) for found in refused.findings] == [(NO_SECOND_ORDER, Severity.DIFFERENCE)]
    comparison = BaselineComparison([subject()], {}, None)
    for event in (Judged(SEED, refused), RunFinished(0.0)):
        comparison.add(event)
    assert (len(comparison.groups), len(comparison.excused)) == (0, 1)
    changed = replace(answered(SEED, product), changed=("grad_logits",))
    assert judged(SEED, changed).verdict is Verdict.PASS


def test_it_is_asked_of_logits_and_labels_without_options() -> None:
    manners = ("second_order",)
    declared = subject(PORTABLE, manners=manners, options=frozenset({"label_smoothing"}))
    assert declared.why_not(SEED) is None
    assert "without options" in (declared.why_not(SEED.but(label_smoothing=0.1)) or "")
    probabilities = subject(PORTABLE.but(inputs="log_probabilities"), manners=manners)
    assert "with logits and labels" in (probabilities.why_not(SEED.but(logits=-np.abs(SEED.logits))) or "")
    soft = subject(PORTABLE, manners=manners, targets="probabilities")
    assert "labels" in (soft.why_not(SEED.but(targets=SEED.logits)) or "")


@pytest.mark.parametrize("axis", [-1, 1])
def test_the_direction_is_the_labels_indicator(axis: int) -> None:
    labels = np.array([[0, 2], [1, -100]])
    logits = np.zeros((2, 2, 3), np.float32)
    inputs = Inputs(
        logits=np.moveaxis(logits, -1, axis),
        targets=labels,
        weight=None,
        ignore_index=None,
        label_smoothing=0.0,
        reduction="none",
        cotangent=None,
        class_axis=axis,
    )
    assert inputs.at_labels.shape == inputs.logits.shape
    expected = [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 0]]]
    assert np.moveaxis(inputs.at_labels, axis, -1).tolist() == expected
