"""Second derivatives: the derivative of an accurate gradient, tested for wrong zeros, signs and NaN.

The Hessian of a loss -log p_t by its logits is diag(p) - p p^T. Along the indicator e_t of the row's label, with the
upstream gradient u of the row, it is u p_t (e_t - p) = -p_t g, where g = u (p - e_t) is the gradient: above 0 at the
label, below 0 elsewhere (for u > 0).

There is no budget and no tolerance: a finding follows from a zero, a sign or a NaN. Roundings cannot turn an element of
more than sqrt(unit roundoff) |u| to zero or change its sign, whatever the formula: p, 1 - p and their products are at
most 1, so that their errors are a few unit roundoffs times |u|, and half of the digits remain. Only rows whose gradient
is within its own budget are tested, so that an inaccurate p is not reported twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Kind, Severity
from logitmus.core.floats import Array, decimal, format_of
from logitmus.core.observation import Answered
from logitmus.judging.assessment import Part
from logitmus.judging.bench import Bench
from logitmus.judging.case import Case
from logitmus.oracle.question import Question

CAUSE: Final = "second_derivative"


def second_derivative(case: Case, outcome: Answered, parts: Sequence[Part]) -> Iterator[Finding]:
    """The fault of `Answered.second_logits`, if any."""
    part = next((part for part in parts if part.part == "grad_logits"), None)
    if outcome.second_logits is None or part is None or not _covers(case.question):
        return
    question, gradient = case.question, part.elements
    compared = gradient.compared
    result = outcome.second_logits.reshape(compared.r.shape).astype(np.float64)
    loss = _losses(case.bench, question)
    with np.errstate(invalid="ignore"):
        exact = -np.exp(-loss)[:, None] * compared.y
    accurate = (gradient.within & gradient.judged & compared.numeric).all(axis=1)
    sound = accurate & np.isfinite(loss) & ~gradient.coarse_rows
    firm = sound[:, None] & (np.abs(exact) >= _least(question, compared.dtype)[:, None])
    finite = np.isfinite(result)
    constant = firm.any(axis=1) & ~result.any(axis=1)
    wrong = {
        "not_finite": sound[:, None] & ~finite,
        "zero": firm & constant[:, None],
        "wrong_sign": firm & finite & (np.sign(result) != np.sign(exact)),
    }
    for name, where in wrong.items():
        if where.any():
            row, index = divmod(int(np.where(where, np.abs(exact), -1.0).argmax()), question.classes)
            yield case.finding(
                Kind.INTEGRITY,
                Severity.BUG,
                Cause.of(CAUSE, name),
                row=row,
                index=index,
                expected=decimal(exact[row, index], compared.dtype),
                observed=decimal(result[row, index], compared.dtype),
                detail=f"{int(where.any(axis=1).sum())} of {question.rows} rows",
            )
            return


def _covers(question: Question) -> bool:
    plain = question.weight is None and not question.eps and question.is_plain
    return question.inputs == "logits" and question.labels is not None and plain


def _losses(bench: Bench, question: Question) -> Array:
    """(R,): -log p_t, whatever the reduction and the base."""
    by_rows = replace(question, reduction="none", log_base="e", fixed=None)
    return bench.answer(by_rows).loss.mid


def _least(question: Question, dtype: str) -> Array:
    """(R,): the least magnitude that no rounding and no underflow turns to 0 or to the other sign."""
    f = format_of(dtype)
    divisor = abs(question.denominator) if question.reduction == "mean" else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.abs(question.upstream) / divisor
    return np.maximum(np.sqrt(f.u) * scale, f.smallest_normal / f.u)
