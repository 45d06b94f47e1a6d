"""The oracle: the exact answer to a question, as enclosures. Two tiers behind one function.

The float64 tier is vectorised and proven (softmax.py); the Arb tier is always right (arb_tier.py). The judge asks
again with a higher precision wherever an enclosure is too wide for its verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from logitmus import arb_tier
from logitmus.convention import PORTABLE, Convention
from logitmus.enclosure import Enclosure
from logitmus.problem import Array, Problem
from logitmus.question import Question, ask
from logitmus.softmax import MU, E, R, Softmax, softmax, trustworthy

_RowFunction = Callable[[Question, int, arb_tier.RowBalls | None, Any], list[Any]]
FAST: Final = 53
ARB_BITS: Final = (128, 256, 512, 1024, 2048, 4096)


class UnanswerableError(ValueError):
    """A question whose expected answer is an exception; the message says why."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The exact answer to a question, computed part by part when asked for.

    Attributes:
        question: what it answers. bits: 53 for the float64 tier, else Arb's precision.
    """

    question: Question
    bits: int

    @cached_property
    def loss(self) -> Enclosure:
        """(R,) for reduction "none", () otherwise."""
        return _fast_loss(self) if self.bits == FAST else _arb_loss(self)

    @cached_property
    def grad_logits(self) -> Enclosure:
        """(R, K): the gradient of sum_n upstream_n loss_n (or of upstream * loss) by the logits."""
        return _fast_grad_logits(self) if self.bits == FAST else _arb_grad_logits(self)

    @cached_property
    def grad_targets(self) -> Enclosure:
        """(R, K): the gradient by target probabilities."""
        return _fast_grad_targets(self) if self.bits == FAST else _arb_grad_targets(self)

    @cached_property
    def workspace(self) -> Softmax:
        """The float64 softmax of the question; for budgets, whatever the tier."""
        return softmax(self.question.log_inputs)

    @cached_property
    def _balls(self) -> list[arb_tier.RowBalls | None]:
        """Every row's balls at this precision."""
        with arb_tier.precision(self.bits):
            return [arb_tier.row_balls(self.question, n) for n in range(self.question.rows)]

    @cached_property
    def _rows(self) -> tuple[Array, Array]:
        return _fast_rows(self.question, self.workspace)


def answer(question: Question, *, bits: int = FAST) -> Answer:
    """The answer from the float64 tier (bits = 53) or from Arb at `bits` of precision.

    Questions that the float64 tier does not cover (probabilities as inputs, other bases, no rows or classes,
    magnitudes beyond float64's differences, a machine whose exp fails the self-test) go to Arb at 128 bits.

    Raises:
        UnanswerableError: where the convention expects an exception.
    """
    if question.refused is not None:
        raise UnanswerableError(f"the expected answer is an exception: {question.refused}")
    if bits == FAST and not _fast_covers(question):
        bits = ARB_BITS[0]
    return Answer(question, bits)


def reference(problem: Problem, convention: Convention = PORTABLE, *, bits: int = ARB_BITS[0]) -> Answer:
    """The exact answer to `problem` under `convention`: enclosures of the loss and of its gradients.

    Args:
        problem: the question. convention: how it is meant; the portable one by default.
        bits: Arb's precision; 53 takes the float64 tier where it applies.

    Returns:
        An `Answer`; `.loss.rounded("float32")` is the correctly rounded value in a dtype, `.loss.lo` and `.loss.hi`
        bound the exact one.

    Raises:
        UnanswerableError: where the convention expects an exception (a label out of range, say).

    Example:
        >>> import numpy as np
        >>> from logitmus import Problem, reference
        >>> seed = Problem(logits=np.array([[0, 0, 0, 1]], np.float32), targets=np.array([3]))
        >>> float(reference(seed).loss.rounded("float32")[0])
        0.7436683773994446
    """
    return answer(ask(problem, convention), bits=bits)


def _fast_covers(question: Question) -> bool:
    x = question.x
    return (
        question.inputs == "logits"
        and question.log_base == "e"
        and question.rows > 0
        and question.classes > 0
        and not question.nan_infinities
        # The differences of narrower floats never overflow; those of float64 might.
        and not bool((np.abs(np.where(np.isfinite(x), x, 0.0)) > 2.0**1000).any())
        and trustworthy()
    )


# --- float64 tier ---------------------------------------------------------------------------------------------


def _fast_rows(question: Question, work: Softmax) -> tuple[Array, Array]:
    """Row losses and their error bounds, (R,); ignored rows 0, rows without a limit NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        if question.q is None and not question.eps:
            loss, error = _lone_rows(question, work)
        else:
            loss, error = _dense_rows(question, work)
    loss = np.where(work.lost, np.nan, loss) * question.forced
    error = error * np.where(question.forced == 0, 0.0, 1.0)
    unread = ~question.kept & ~np.isnan(question.forced)
    return np.where(unread, 0.0, loss), np.where(unread | ~np.isfinite(loss), 0.0, error)


def _lone_rows(question: Question, work: Softmax) -> tuple[Array, Array]:
    assert question.labels is not None  # noqa: S101  (ask() gives labels or q)
    value, value_error = work.neg_log_p(question.labels)
    if question.weight is None:
        return value, value_error + 7 * E * value + MU
    a = question.weight[question.labels]
    skipped = (a == 0) & ~(np.isinf(value) & question.nan_products)
    loss = np.where(skipped, 0.0, a * value)
    return loss, np.where(a == 0, 0.0, R * (np.abs(a) * value_error + 7 * E * np.abs(loss)) + MU)


def _dense_rows(question: Question, work: Softmax) -> tuple[Array, Array]:
    a, h, _ = question.effective
    value, value_error = work.neg_log_p()
    used = a != 0
    terms = np.where(used, a * value, 0.0)
    nnz = used.sum(axis=1)
    infinite = np.isinf(terms).any(axis=1)
    size = np.where(np.isfinite(terms), np.abs(h * np.where(used, value, 0.0)), 0.0).sum(axis=1)
    error = (
        R * (np.where(used & np.isfinite(value), h * value_error, 0.0).sum(axis=1) + (nnz + 6) * E * size) + nnz * MU
    )
    loss = terms.sum(axis=1)  # inf and -inf together: NaN, as they should be
    if question.nan_products:
        loss = np.where((~used & np.isinf(value)).any(axis=1), np.nan, loss)
    return loss, np.where(infinite, 0.0, error)


def _fast_loss(answer: Answer) -> Enclosure:
    question = answer.question
    if question.fixed is not None:
        return Enclosure.exactly(question.fixed)
    loss, error = answer._rows
    if question.reduction == "none":
        return Enclosure.of(loss, error)
    if not np.isfinite(loss).all():
        return Enclosure.exactly(float(loss.sum()) / (np.sign(question.denominator) or 1.0))
    total, divisor = math.fsum(loss), question.denominator
    total_error = R * (math.fsum(error) + E * abs(total))
    value = total / divisor
    return Enclosure.of(np.array(value), np.array(R * (total_error / abs(divisor) + 3 * E * abs(value)) + 2.0**-1074))


def _factors(question: Question) -> Array:
    """c = upstream / W per row, 0 for ignored rows."""
    if question.fixed is not None:  # the mean of nothing has no gradient to speak of; the judge leaves it alone
        return np.zeros(question.rows)
    return np.where(question.kept, question.upstream / question.denominator, 0.0)


def _finish_gradient(answer: Answer, gradient: Array, error: Array) -> Enclosure:
    question, work = answer.question, answer.workspace
    lost = work.lost | np.isnan(question.forced)
    gradient = np.where(lost[:, None], np.nan, gradient)
    silent = ~question.kept | (question.forced == 0)
    gradient = np.where(silent[:, None], 0.0, gradient)
    error = np.where(silent[:, None], 0.0, error)
    return Enclosure.of(gradient, error)


def _fast_grad_logits(answer: Answer) -> Enclosure:
    question, work = answer.question, answer.workspace
    c = _factors(question)[:, None]
    rows = np.arange(question.rows)
    p, p_error = work.p, work.p_error()
    if question.labels is not None and not question.eps:
        a_t = np.ones(question.rows) if question.weight is None else question.weight[question.labels]
        total = a_t[:, None]
        gradient = c * total * p
        error = R * (np.abs(c * total) * p_error + 4 * E * np.abs(gradient)) + MU
        lone, lone_rows = question.labels, rows
    else:
        a, h, lone_or_none = question.effective
        total, size = a.sum(axis=1)[:, None], h.sum(axis=1)[:, None]
        if question.soft_target_gradient == "plain":
            total, size = np.ones_like(total), np.ones_like(size)
        gradient = c * (total * p - a)
        error = R * np.abs(c) * (size * p_error + (question.classes + 8) * E * size * p + 5 * E * h) + MU
        lone_rows = rows[(lone_or_none >= 0) & (total[:, 0] == a[rows, lone_or_none])]
        lone = lone_or_none
    if len(lone_rows):
        others, others_error = work.others(np.maximum(lone, 0))
        k, n = lone[lone_rows], lone_rows
        factor = (c * total)[n, 0]
        gradient[n, k] = -factor * others[n]
        error[n, k] = R * (np.abs(factor) * others_error[n] + 5 * E * np.abs(gradient[n, k])) + np.where(
            factor == 0, 0, MU
        )
    return _finish_gradient(answer, gradient, error)


def _fast_grad_targets(answer: Answer) -> Enclosure:
    question, work = answer.question, answer.workspace
    value, value_error = work.neg_log_p()
    w = np.ones(question.classes) if question.weight is None else question.weight
    scale = _factors(question)[:, None] * w[None, :] * (1 - question.eps)
    with np.errstate(invalid="ignore"):
        gradient = np.where(scale == 0, 0.0, scale * value)
        error = np.where(scale == 0, 0.0, R * (np.abs(scale) * value_error + 6 * E * np.abs(gradient)) + MU)
    return _finish_gradient(answer, gradient, error)


# --- Arb tier -------------------------------------------------------------------------------------------------


def _arb_loss(answer: Answer) -> Enclosure:
    question = answer.question
    if question.fixed is not None:
        return Enclosure.exactly(question.fixed)
    with arb_tier.precision(answer.bits):
        losses = [arb_tier.row_loss(question, n, balls) for n, balls in enumerate(answer._balls)]
        if question.reduction == "none":
            return arb_tier.column(losses)
        total = arb_tier.add_rows(losses) / arb_tier.denominator(question)
        return arb_tier.column([total]).reshape(())


def _arb_rows(answer: Answer, row: _RowFunction) -> Enclosure:
    question = answer.question
    with arb_tier.precision(answer.bits):
        over = arb_tier.denominator(question)
        rows = [row(question, n, balls, arb_tier.factor_of(question, n, over)) for n, balls in enumerate(answer._balls)]
        return arb_tier.as_array(rows, question.classes)


def _arb_grad_logits(answer: Answer) -> Enclosure:
    return _arb_rows(answer, arb_tier.row_gradient)


def _arb_grad_targets(answer: Answer) -> Enclosure:
    return _arb_rows(answer, arb_tier.row_target_gradient)
