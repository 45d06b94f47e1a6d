"""Gradient faults beside a right loss are named by what the gradient is right for; right functions have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from implementations import subject

from logitmus.cases.planted.numpy.loss import at, log_softmax, one_hot, softmax
from logitmus.conventions.explain import explain
from logitmus.conventions.printed_numbers import ExplainError
from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.events import Judged
from logitmus.core.finding import Judgement, Kind, Severity
from logitmus.core.floats import FLOAT_DTYPES, Array, float_array
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.engine.settling import Settlement
from logitmus.judging.judge import Judge
from logitmus.oracle.gradient_variants import VARIANTS
from logitmus.results.summary import Summary


@dataclass
class Step:
    """What the planted backward passes below are made of, in the working dtype, (R, K) or (R, 1)."""

    x: Array
    p: Array
    q: Array
    weight: Array
    kept: Array
    upstream: Array
    divisor: float
    eps: float
    labels: Array

    @property
    def smoothed(self) -> Array:
        return (1 - self.eps) * self.q + self.eps / self.x.shape[1]

    @property
    def targets(self) -> Array:
        return self.weight * self.smoothed

    def gradient(self, **changes) -> Array:
        step = Step(**{**self.__dict__, **changes})
        a = step.targets
        return step.kept * step.upstream / step.divisor * (a.sum(axis=1, keepdims=True) * step.p - a)


def right(step: Step) -> Array:
    return step.gradient()


def ignores_the_upstream(step: Step) -> Array:
    return step.gradient(upstream=np.ones_like(step.upstream))


def uses_the_first_of_the_upstream(step: Step) -> Array:
    return step.gradient(upstream=step.upstream[:1])


def uses_the_mean_of_the_upstream(step: Step) -> Array:
    return step.gradient(upstream=step.upstream.mean())


def uses_the_sum_of_the_upstream(step: Step) -> Array:
    return step.gradient(upstream=step.upstream.sum())


def does_not_flow(step: Step) -> Array:
    return np.zeros_like(step.p)


def has_the_wrong_sign(step: Step) -> Array:
    return -step.gradient()


def is_not_divided(step: Step) -> Array:
    return step.gradient(divisor=1.0)


def is_divided_twice(step: Step) -> Array:
    return step.gradient(divisor=step.divisor**2)


def is_always_divided(step: Step) -> Array:
    return step.gradient(divisor=float(len(step.x)))


def is_a_mean_over_classes(step: Step) -> Array:
    return step.gradient(divisor=step.divisor * step.x.shape[1])


def lacks_the_weights(step: Step) -> Array:
    return step.gradient(weight=np.ones_like(step.weight))


def keeps_ignored_rows(step: Step) -> Array:
    return step.gradient(kept=np.ones_like(step.kept))


def keeps_the_softmax_of_ignored_rows(step: Step) -> Array:
    whole = step.upstream / step.divisor * step.p
    return np.where(step.kept, step.gradient(), whole)


def subtracts_no_target(step: Step) -> Array:
    return step.gradient() + step.kept * step.upstream / step.divisor * step.targets


def detaches_the_logsumexp(step: Step) -> Array:
    return -1 * step.kept * step.upstream / step.divisor * step.targets


def forgets_smoothing(step: Step) -> Array:
    return step.gradient(eps=0.0)


def divides_by_all_rows(step: Step) -> Array:
    return step.gradient(divisor=float(len(step.x)))


def answered(problem: Problem, backward: Callable[[Step], Array]) -> Answered:
    """The right loss, and the gradient that `backward` makes; labels outside the classes are met by no class."""
    working = np.float64 if problem.dtype == "float64" else np.float32
    x, classes = problem.logits.astype(working), problem.classes
    labels = problem.targets
    kept = np.ones(len(x), bool) if problem.ignore_index is None else labels != problem.ignore_index
    weight = np.ones(classes, working) if problem.weight is None else problem.weight.astype(working)
    safe = np.where(kept, labels, 0)
    ones = np.ones(len(x) if problem.reduction == "none" else 1)
    step = Step(
        x=x,
        p=softmax(x),
        q=one_hot(labels, x.shape[1]).astype(x.dtype),
        weight=weight,
        kept=kept[:, None],
        upstream=(ones if problem.cotangent is None else problem.cotangent).astype(working).reshape(-1, 1),
        divisor=float(weight[safe][kept].sum()) if problem.reduction == "mean" else 1.0,
        eps=problem.label_smoothing,
        labels=safe,
    )
    nats = -log_softmax(x)
    rows = (1 - step.eps) * weight[safe] * at(nats, safe) + step.eps / classes * (weight * nats).sum(axis=1)
    rows = np.where(kept, rows, 0)
    loss = rows if problem.reduction == "none" else rows.sum() / step.divisor
    own = problem.logits.dtype
    return Answered(np.asarray(loss).astype(own), np.asarray(backward(step)).astype(own))


def problem_of(dtype: str, reduction: str = "none", *, upstream: bool = True, labels=(1, 3, 0, 2), **more) -> Problem:
    logits = float_array([[0, 1, -2, 3], [4, 0.5, 0, -1], [2, 2, 1, 0], [-1, 0, 5, 2]], dtype)
    given = [1, -2, 0.5, 3] if reduction == "none" else 0.375
    return Problem(
        logits=logits,
        targets=np.array(labels),
        reduction=reduction,  # type: ignore[arg-type]
        cotangent=float_array(given, dtype) if upstream else None,
        **more,
    )


def weights(dtype: str) -> Array:
    return float_array([1, 0.25, 2, 3], dtype)


def judged(problem: Problem, backward: Callable[[Step], Array]) -> Judgement:
    return Judge().judge(problem, subject(gradients=frozenset({"logits"})), answered(problem, backward))


def three_rows(dtype: str) -> Problem:
    """With as many rows as classes nobody could tell which of the two a gradient is divided by."""
    four = problem_of(dtype, upstream=False)
    return four.but(logits=four.logits[:3], targets=four.targets[:3])


NAMED = [
    (ignores_the_upstream, "gradient:upstream_ignored", problem_of),
    (ignores_the_upstream, "gradient:upstream_ignored", lambda dtype: problem_of(dtype, "mean")),
    (
        uses_the_first_of_the_upstream,
        "gradient:upstream_first",
        lambda d: problem_of(d).but(cotangent=float_array([2, 1, 5, 3], d)),
    ),
    (uses_the_mean_of_the_upstream, "gradient:upstream_mean", problem_of),
    (uses_the_sum_of_the_upstream, "gradient:upstream_sum", problem_of),
    (does_not_flow, "gradient:zero", lambda dtype: problem_of(dtype, "sum")),
    (has_the_wrong_sign, "gradient:negated", problem_of),
    (is_not_divided, "gradient:not_divided", lambda dtype: problem_of(dtype, "mean")),
    (is_divided_twice, "gradient:divided_twice", lambda dtype: problem_of(dtype, "mean")),
    (is_always_divided, "gradient:divided", lambda dtype: problem_of(dtype, "sum", labels=(1, 3, 0, 0))),
    (is_a_mean_over_classes, "gradient:divided_by_classes", three_rows),
    (lacks_the_weights, "gradient:weights_ignored", lambda d: problem_of(d, "mean", weight=weights(d))),
    (lacks_the_weights, "gradient:weights_ignored", lambda d: problem_of(d, weight=weights(d), label_smoothing=0.25)),
    (keeps_ignored_rows, "gradient:ignored_rows_kept", lambda d: problem_of(d, ignore_index=3)),
    (
        keeps_the_softmax_of_ignored_rows,
        "gradient:ignored_rows_kept",
        lambda d: problem_of(d, "mean", labels=(1, -100, 0, 2), ignore_index=-100),
    ),
    (subtracts_no_target, "gradient:target_not_subtracted", lambda d: problem_of(d, weight=weights(d))),
    (detaches_the_logsumexp, "gradient:softmax_missing", lambda d: problem_of(d, "mean", label_smoothing=0.25)),
    (forgets_smoothing, "gradient_of:smoothing=dropped", lambda d: problem_of(d, label_smoothing=0.25)),
    (
        divides_by_all_rows,
        "gradient_of:mean_denominator=rows",
        lambda d: problem_of(d, "mean", labels=(1, -1, 0, 2), ignore_index=-1),
    ),
]
EVERY = [
    problem_of,
    *(lambda d, r=r: problem_of(d, r, weight=weights(d), label_smoothing=0.125) for r in ("none", "sum", "mean")),
    lambda d: problem_of(d, "mean", labels=(1, -100, 0, 2), ignore_index=-100),
    lambda d: problem_of(d, upstream=False),
    lambda d: problem_of(d).but(logits=float_array(np.full((4, 4), 3), d)),
]


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize(("backward", "cause", "ask"), NAMED, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_planted_backward_pass_is_named(backward, cause: str, ask, dtype: str) -> None:
    judgement = judged(ask(dtype), backward)
    found = [f for f in judgement.findings if f.severity is not Severity.NOTE]
    assert [(f.cause, f.kind, f.severity, f.part) for f in found] == [
        (cause, Kind.INTEGRITY, Severity.BUG, "grad_logits")
    ]


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("ask", EVERY)
def test_a_right_backward_pass_has_no_finding(ask, dtype: str) -> None:
    assert not judged(ask(dtype), right).findings


def test_other_variants_that_fit_are_alternatives() -> None:
    problem = problem_of("float32").but(cotangent=float_array([2, 0, 1, 1], "float32"))
    (finding,) = judged(problem, uses_the_mean_of_the_upstream).findings
    assert finding.cause == "gradient:upstream_ignored"
    assert finding.alternatives == ("gradient:upstream_mean",)


def test_underflowed_zeros_are_not_reported_as_a_zero_gradient() -> None:
    tiny = float_array([[-104, 0], [-103.5, 0]], "float32")
    problem = Problem(logits=tiny, targets=np.array([1, 1]))
    outcome = Answered(np.zeros(2, np.float32), np.zeros((2, 2), np.float32))
    judgement = Judge().judge(problem, subject(), outcome)
    assert not [f for f in judgement.findings if f.cause == "gradient:zero"]


def test_a_wrong_loss_is_reported_before_its_gradient() -> None:
    problem = problem_of("float32")
    outcome = answered(problem, has_the_wrong_sign)
    wrong = Answered(outcome.loss + np.float32(1), outcome.grad_logits)
    causes = {f.cause for f in Judge().judge(problem, subject(), wrong).findings}
    assert not any(cause.startswith("gradient") for cause in causes)


def test_every_variant_has_its_own_summary() -> None:
    summaries = {catalogue.summary(Cause.of("gradient", name)) for name in VARIANTS}
    assert len(summaries) == len(VARIANTS)
    assert not any("_" in text for text in summaries)


def test_another_problem_settles_an_ambiguous_variant() -> None:
    either = problem_of("float32").but(cotangent=float_array([2, 0, 1, 1], "float32"))
    summary, settlement = Summary(), Settlement()
    problems = (problem_of("float32"), either)
    events = [Judged(problem, judged(problem, uses_the_mean_of_the_upstream)) for problem in problems]
    for event in [*settlement.watching(events), *settlement.settled()]:
        summary.add(event)
    (group,) = summary.groups()
    assert (group.finding.cause, group.count) == ("gradient:upstream_mean", 2)


QUESTION = {"logits": [[0, 0, 0, 1], [1, 0, 2, 0]], "targets": [3, 0], "reduction": "none", "upstream": ["2", "-1"]}


def scaled(factors: list[float]) -> list[list[float]]:
    """The gradient of each row times a factor, with four digits."""
    x = np.array(QUESTION["logits"], np.float64)
    gradient = softmax(x) - one_hot(np.array(QUESTION["targets"]), x.shape[1])
    return (gradient * np.array(factors)[:, None]).round(4).tolist()


@pytest.mark.parametrize(
    ("factors", "causes"),
    [
        ([2, -1], [None]),
        ([1, 1], ["gradient:upstream_ignored", "gradient:upstream_sum"]),
        ([-2, 1], ["gradient:negated"]),
        ([0.5, -0.25], ["gradient:divided_by_classes"]),
        ([3, 3], []),
    ],
)
def test_explain_names_the_variants_of_a_gradient(factors: list[float], causes: list[str | None]) -> None:
    found = explain(**QUESTION, gradient=scaled(factors))
    assert found.gradient is not None
    assert [reading.cause for reading in found.gradient] == causes


def test_a_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(ExplainError, match="gradient: rows of 2 numbers; give 2 of 4"):
        explain(**QUESTION, gradient=[["0", "0"]])
