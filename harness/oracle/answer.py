"""The oracle: the exact answer to a question, as enclosures, from two tiers behind a single function.

The fast tier (`softmax`) is vectorised, with proven error bounds, in float64 or in extended precision; the Arb tier
(`arb`) is always right. If an enclosure is too wide for a verdict, the judge requests a higher precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.floats import Array, row_sums
from logitmus.core.problem import Problem
from logitmus.oracle import arb
from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.question import Question
from logitmus.oracle.resolve import resolve
from logitmus.oracle.softmax import DOUBLE, EXTENDED, R, Softmax, Softmaxes, Working, trustworthy

_RowFunction = Callable[[Question, int, arb.RowBalls | None, Any], list[Any]]
FAST: Final = DOUBLE.bits
WIDE: Final = EXTENDED.bits if EXTENDED is not None else FAST
ARB_BITS: Final = (128, 256, 512, 1024, 2048, 4096)


class UnanswerableError(LogitmusError, ValueError):
    """A question whose expected answer is an exception; the message says why."""

    exit_code = Exit.INTERNAL_ERROR


@dataclass(frozen=True, eq=False)
class Answer:
    """The exact answer to a question, each part computed on demand.

    Attributes:
        bits: the precision that it is computed in.
        working: the format of the fast tier; None: Arb. softmaxes: the workspaces that it shares with other answers.
    """

    question: Question
    bits: int
    working: Working | None
    softmaxes: Softmaxes = field(default_factory=Softmaxes, repr=False)

    @cached_property
    def loss(self) -> Enclosure:
        """(R,) for reduction "none", () otherwise."""
        return _fast_loss(self, self._work) if self.working else _arb_loss(self)

    @cached_property
    def grad_logits(self) -> Enclosure:
        """(R, K): the gradient of sum_n upstream_n loss_n (or of upstream * loss) by the logits."""
        return _fast_grad_logits(self, self._work) if self.working else _arb_grad_logits(self)

    @cached_property
    def grad_targets(self) -> Enclosure:
        """(R, K): the gradient by target probabilities."""
        return _fast_grad_targets(self, self._work) if self.working else _arb_grad_targets(self)

    @cached_property
    def workspace(self) -> Softmax:
        """The float64 softmax of the question; for budgets, whatever the tier."""
        return self.softmaxes.of(self.question.log_inputs)

    @cached_property
    def others(self) -> tuple[Array, Array]:
        """`Softmax.others` of lone targets, from the workspace; meaningless in other rows."""
        return self.workspace.others(np.maximum(self.question.lone, 0))

    @cached_property
    def _work(self) -> Softmax:
        question = self.question
        work = self.softmaxes.of(question.x, self.working or DOUBLE, question.temperature)
        return replace(work, lost=work.lost | (work.m == np.inf)) if question.nan_infinities else work

    @cached_property
    def _distinct(self) -> tuple[list[int], Array, Array]:
        """The rows that Arb computes: the first of each kind, (R,) the place of each row's kind, and their numbers."""
        first, place, count = self.question.kinds_of_rows
        return first.tolist(), place, count

    @cached_property
    def _balls(self) -> list[arb.RowBalls | None]:
        """The balls of every distinct row at this precision."""
        with arb.precision(self.bits):
            return [arb.row_balls(self.question, n) for n in self._distinct[0]]

    @cached_property
    def _rows(self) -> tuple[Array, Array]:
        return _fast_rows(self.question, self._work)


def answer(question: Question, *, bits: int = FAST, softmaxes: Softmaxes | None = None) -> Answer:
    """The answer from the fast tier (FAST: float64; WIDE: extended precision) or from Arb at `bits` of precision.

    Questions that the fast tier does not cover (probabilities as inputs, other bases, no rows or classes, magnitudes
    beyond the differences of the format, a machine that has no such format or whose exp fails the self-test) go to Arb
    at 128 bits.

    Args:
        softmaxes: the workspaces of other questions about the same problem.

    Raises:
        UnanswerableError: if the convention expects an exception.
    """
    if question.refused is not None:
        raise UnanswerableError(f"the expected answer is an exception: {question.refused}")
    shared = softmaxes or Softmaxes()
    if bits > max(FAST, WIDE):
        return Answer(question, bits, None, shared)
    working = DOUBLE if bits == FAST else EXTENDED
    if working is None or not _fast_covers(question, working):
        return Answer(question, ARB_BITS[0], None, shared)
    return Answer(question, bits, working, shared)


@dataclass(frozen=True, eq=False)
class Reference:
    """An exact answer in the shapes of its problem, each part computed on demand.

    Attributes:
        answer: by rows. batch: the shape of the problem's logits without the classes.
    """

    answer: Answer
    batch: tuple[int, ...]

    @property
    def loss(self) -> Enclosure:
        """The shape of the batch, spatial axes included, for reduction "none"; () otherwise."""
        return self.answer.loss.reshape(self.batch if self.answer.question.reduction == "none" else ())

    @property
    def grad_logits(self) -> Enclosure:
        """(*batch, K): the gradient by the logits."""
        return self.answer.grad_logits.reshape((*self.batch, self.answer.question.classes))

    @property
    def grad_targets(self) -> Enclosure:
        """(*batch, K): the gradient by target probabilities."""
        return self.answer.grad_targets.reshape((*self.batch, self.answer.question.classes))


def reference(problem: Problem, convention: Convention = PORTABLE, *, bits: int = ARB_BITS[0]) -> Reference:
    """The exact answer to `problem` under `convention`: enclosures of the loss and of its gradients.

    Args:
        problem: the inputs and options. convention: how to interpret them; portable by default.
        bits: Arb's precision; 53 takes the float64 tier where it applies.

    Returns:
        A `Reference`; `.loss.rounded("float32")` is the correctly rounded value in a dtype, `.loss.lo` and `.loss.hi`
        bound the exact value.

    Raises:
        UnanswerableError: if the convention expects an exception (for a label out of range, say).

    Example:
        >>> import numpy as np
        >>> from logitmus import Problem, reference
        >>> seed = Problem(logits=np.array([[0, 0, 0, 1]], np.float32), targets=np.array([3]))
        >>> float(reference(seed).loss.rounded("float32")[0])
        0.7436683773994446
    """
    return Reference(answer(resolve(problem, convention), bits=bits), problem.batch)


def _fast_covers(question: Question, working: Working) -> bool:
    x = question.x
    # The differences of narrower floats never overflow; those of float64 might, in float64, and quotients and squares.
    largest = 2.0 ** (500 if question.z_loss else 1000) * min(1.0, question.temperature)
    return (
        question.inputs == "logits"
        and question.log_base == "e"
        and question.rows > 0
        and question.classes > 0
        and (working is not DOUBLE or float(np.abs(x).max(where=np.isfinite(x), initial=0.0)) <= largest)
        and trustworthy(working)
    )


def _fast_rows(question: Question, work: Softmax) -> tuple[Array, Array]:
    """Row losses and their error bounds, (R,); ignored rows 0, rows without a limit NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        if question.hard:
            loss, error = _lone_rows(question, work)
        else:
            loss, error = _dense_rows(question, work)
        if not question.is_plain:
            loss, error = _with_parameters(question, work, loss, error)
    loss = np.where(work.lost, np.nan, loss) * question.forced
    unread = (~question.kept & ~np.isnan(question.forced)) | (question.forced == 0)
    return np.where(unread, 0.0, loss), np.where(unread | ~np.isfinite(loss), 0.0, error)


def _lone_rows(question: Question, work: Softmax) -> tuple[Array, Array]:
    assert question.labels is not None  # noqa: S101  (a question has labels or q)
    E, MU = work.working.E, work.working.MU
    value, value_error = work.neg_log_p_at(question.labels)
    if question.weight is None:
        exact = (value == 0) & (value_error == 0)
        return value, np.where(exact, 0.0, value_error + 7 * E * value + MU)
    a = question.weight[question.labels]
    skipped = (a == 0) & ~(np.isinf(value) & question.nan_products)
    loss = np.where(skipped, 0.0, a * value)
    exact = (a == 0) | ((value == 0) & (value_error == 0))
    return loss, np.where(exact, 0.0, R * (np.abs(a) * value_error + 7 * E * np.abs(loss)) + MU)


def _dense_rows(question: Question, work: Softmax) -> tuple[Array, Array]:
    E, MU = work.working.E, work.working.MU
    a, h, _ = question.effective_in(work.working.dtype.type)
    value, value_error = work.neg_log_p, work.neg_log_p_error
    used = a != 0
    terms = np.where(used, a * value, 0.0)
    nnz = used.sum(axis=1)
    infinite = np.isinf(terms).any(axis=1)
    size = row_sums(np.where(np.isfinite(terms), np.abs(h * np.where(used, value, 0.0)), 0.0))
    error = R * (row_sums(np.where(used & np.isfinite(value), h * value_error, 0.0)) + (nnz + 6) * E * size) + nnz * MU
    loss = row_sums(terms)  # inf and -inf together: NaN, as they should be
    if question.nan_products:
        loss = np.where((~used & np.isinf(value)).any(axis=1), np.nan, loss)
    return loss, np.where(infinite, 0.0, error)


def _with_parameters(question: Question, work: Softmax, loss: Array, error: Array) -> tuple[Array, Array]:
    """factor * (loss + z_loss * lse^2) and its error bound, (R,)."""
    E, MU = work.working.E, work.working.MU
    if question.z_loss:
        lse, lse_error = work.logsumexp()
        added = question.z_loss * lse**2
        added_error = question.z_loss * (2 * np.abs(lse) + lse_error) * lse_error + 2 * E * added + MU
        loss = loss + added
        error = R * (error + added_error + E * np.abs(loss))
    value = question.factor * loss
    return value, R * (abs(question.factor) * error + E * np.abs(value)) + MU


def _fast_loss(answer: Answer, work: Softmax) -> Enclosure:
    question = answer.question
    if question.fixed is not None:
        return Enclosure.exactly(question.fixed)
    loss, error = answer._rows
    E = work.working.E
    total: Any
    total_error: Any
    if question.single_rows:
        total, total_error = loss, R * (error + E * np.abs(loss))
    elif question.reduction == "none":
        return Enclosure.of(loss, error)
    elif not np.isfinite(loss).all():
        return Enclosure.exactly(float(loss.sum()) / (np.sign(question.denominator) or 1.0))
    elif work.working is DOUBLE:
        total, total_error = np.float64(math.fsum(loss.tolist())), math.fsum(error.tolist())
        total_error = R * (total_error + E * abs(total))
    else:  # no exactly rounded sum there: any order, n roundings
        total, total_error = loss.sum(), R * (error.sum() + len(loss) * E * np.abs(loss).sum())
    divisor = _divisor(question, work)
    value = total / divisor
    least = 2.0**-1074 if work.working is DOUBLE else work.working.MU
    return Enclosure.of(np.asarray(value), np.asarray(R * (total_error / abs(divisor) + 3 * E * abs(value)) + least))


def _divisor(question: Question, work: Softmax) -> Any:
    """W to within E in the working format; exactly 0 iff it is."""
    high = question.denominator
    if work.working is DOUBLE or not math.isfinite(high):
        return work.working.dtype.type(high)
    return work.working.dtype.type(high) + work.working.dtype.type(math.fsum([*question.divisor.tolist(), -high]))


def _factors(question: Question, work: Softmax) -> Array:
    """c = upstream / W per row, times the factor of the loss; 0 for ignored rows."""
    if question.fixed is not None:  # the mean of nothing has no gradient to speak of; the judge leaves it alone
        return np.zeros(question.rows, work.working.dtype)
    return np.where(question.kept, question.factor * (question.upstream / _divisor(question, work)), 0.0)


def _finish_gradient(question: Question, work: Softmax, gradient: Array, error: Array) -> Enclosure:
    lost = work.lost | np.isnan(question.forced)
    if lost.any():
        gradient = np.where(lost[:, None], np.nan, gradient)
    silent = ~question.kept | (question.forced == 0)
    if silent.any():
        gradient, error = np.where(silent[:, None], 0.0, gradient), np.where(silent[:, None], 0.0, error)
    return Enclosure.of(gradient, error)


@np.errstate(over="ignore", invalid="ignore")  # an infinite weight or upstream: no answer is reported
def _fast_grad_logits(answer: Answer, work: Softmax) -> Enclosure:
    question = answer.question
    E, MU = work.working.E, work.working.MU
    c = _factors(question, work)[:, None] / work.working.dtype.type(question.temperature)
    of_c = 2 if question.is_plain else 4  # its roundings
    rows = np.arange(question.rows)
    p, p_error = work.p, work.p_error()
    if question.hard and question.labels is not None:
        a_t = np.ones(question.rows) if question.weight is None else question.weight[question.labels]
        total = a_t[:, None]
        gradient = c * total * p
        error = R * (np.abs(c * total) * p_error + (of_c + 2) * E * np.abs(gradient)) + MU
        lone, lone_rows = question.labels, rows
    else:
        a, h, lone_or_none = question.effective_in(work.working.dtype.type)
        total, size = row_sums(a)[:, None], row_sums(h)[:, None]
        if question.soft_target_gradient == "plain":
            total, size = np.ones_like(total), np.ones_like(size)
        gradient = c * (total * p - a)
        error = (
            R * np.abs(c) * (size * p_error + (question.classes + of_c + 6) * E * size * p + (of_c + 3) * E * h) + MU
        )
        lone_rows = rows[(lone_or_none >= 0) & (total[:, 0] == a[rows, lone_or_none])]
        lone = lone_or_none
    if len(lone_rows):
        shared = work.working is DOUBLE and question.temperature == 1
        others, others_error = answer.others if shared else work.others(np.maximum(lone, 0))
        k, n = lone[lone_rows], lone_rows
        factor = (c * total)[n, 0]
        gradient[n, k] = -factor * others[n]
        error[n, k] = R * (np.abs(factor) * others_error[n] + (of_c + 3) * E * np.abs(gradient[n, k])) + np.where(
            factor == 0, 0, MU
        )
    if question.z_loss:
        lse, lse_error = work.logsumexp()
        slope = 2 * question.z_loss * c * lse[:, None]
        added = slope * p
        added_error = np.abs(slope) * p_error + np.abs(2 * question.z_loss * c) * lse_error[:, None] * (p + p_error)
        gradient = gradient + added
        error = R * (error + added_error + E * (8 * np.abs(added) + np.abs(gradient))) + MU
    return _finish_gradient(question, work, gradient, error)


def _fast_grad_targets(answer: Answer, work: Softmax) -> Enclosure:
    question = answer.question
    E, MU = work.working.E, work.working.MU
    value, value_error = work.neg_log_p, work.neg_log_p_error
    w = np.ones(question.classes) if question.weight is None else question.weight
    scale = _factors(question, work)[:, None] * w[None, :] * (1 - work.working.dtype.type(question.eps))
    with np.errstate(invalid="ignore"):
        gradient = np.where(scale == 0, 0.0, scale * value)
        error = np.where(scale == 0, 0.0, R * (np.abs(scale) * value_error + 7 * E * np.abs(gradient)) + MU)
    return _finish_gradient(question, work, gradient, error)


def _arb_loss(answer: Answer) -> Enclosure:
    question = answer.question
    if question.fixed is not None:
        return Enclosure.exactly(question.fixed)
    with arb.precision(answer.bits):
        rows, place, count = answer._distinct
        losses = [arb.row_loss(question, n, balls) for n, balls in zip(rows, answer._balls, strict=True)]
        if question.reduction == "none":
            return arb.column(losses).cut(place)
        total = arb.add_rows(losses, count.tolist()) / arb.denominator(question)
        return arb.column([total]).reshape(())


def _arb_rows(answer: Answer, row: _RowFunction) -> Enclosure:
    question = answer.question
    with arb.precision(answer.bits):
        over = arb.denominator(question)
        kinds, place, _ = answer._distinct
        computed = zip(kinds, answer._balls, strict=True)
        rows = [row(question, n, balls, arb.factor_of(question, n, over)) for n, balls in computed]
        return arb.as_array(rows, question.classes).cut(place)


def _arb_grad_logits(answer: Answer) -> Enclosure:
    return _arb_rows(answer, arb.row_gradient)


def _arb_grad_targets(answer: Answer) -> Enclosure:
    return _arb_rows(answer, arb.row_target_gradient)
