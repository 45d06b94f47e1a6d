"""Gradient faults: if the loss is right and its gradient is not, for which modified question is the gradient right?

A fault is named if the gradient is within the error budgets of a variant of the question (`oracle.gradient_variants`):
there is no tolerance and no table of known results (docs/accuracy.md, section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from logitmus.core.causes import Cause
from logitmus.core.floats import Array, format_of
from logitmus.core.observation import Answered
from logitmus.core.subject import Precision, Subject
from logitmus.judging.assessment import Assessment, Part, assess_part, present_parts
from logitmus.judging.bench import Bench
from logitmus.judging.neighbours import Explanation
from logitmus.oracle.gradient_variants import BY_LOGITS, VARIANTS
from logitmus.oracle.question import Question

GRADIENT: Final = "gradient"
GRADIENT_OF: Final = "gradient_of"
# Fields about special values (NaN for a limit, say), which are a choice for each part and not a different formula.
_SPECIAL: Final = frozenset(
    {"ignored_row", "zero_times_infinity", "infinite_logits", "overflowing_shift", "all_ignored_mean"}
    | {"empty_batch_mean", "label_out_of_range", "label_negative", "wide_inputs", "wide_labels"}
)
_FAST: Final = (None,)  # another formula is far outside the budget: the fast tier suffices


@dataclass(frozen=True)
class Fault:
    """The modified question for which a gradient is right.

    Attributes:
        cause: as in `Finding`. others: further causes that explain it as well, which this problem cannot separate.
        where: the wrong values that it explains.
    """

    cause: Cause
    where: Array
    others: tuple[Cause, ...] = ()


def named(
    bench: Bench,
    subject: Subject,
    outcome: Answered,
    loss: Part,
    part: Assessment,
    explained: Explanation | None,
) -> Fault | None:
    """The fault of a gradient beside a loss that is right; None: the loss is wrong, too, or no variant explains it.

    Args:
        loss: the loss, assessed. part: the failing part.
        explained: the neighbouring convention that explains the part, if any does.
    """
    if part.part == "loss" or not loss.passes or (explained is not None and explained.neighbour.fits_all):
        return None
    where = part.failing & np.isfinite(part.compared.y)
    # A wrong number is evidence; NaN alone may have any cause.
    causes = list(_fitting(bench, subject, outcome, part)) if (where & part.compared.numeric).any() else []
    if explained is not None and explained.neighbour.name not in _SPECIAL:
        causes += [cause for cause in explained.causes(GRADIENT_OF) if cause.field not in _SPECIAL]
    if not causes:
        return None
    where = where if causes[0].name == GRADIENT else part.failing
    return Fault(causes[0], where, tuple(causes[1:]))


def _fitting(bench: Bench, subject: Subject, outcome: Answered, part: Assessment) -> Iterator[Cause]:
    """The variants for which the gradient is right wherever the exact gradient is a number."""
    result = dict(present_parts(subject, outcome))[part.part]
    counted = part.judged & np.isfinite(part.compared.y)
    for name, modify in VARIANTS.items():
        if part.part == "grad_targets" and name in BY_LOGITS:
            continue
        if name == "zero" and not _does_not_flow(part, counted):
            continue
        for question in modify(part.answer.question, bench.problem):
            if _fits(bench, subject, question, part.part, result, counted):
                yield Cause.of(GRADIENT, name)
                break


def _does_not_flow(part: Assessment, counted: Array) -> bool:
    """Whether the gradient is all zeros, and not only by underflow."""
    f = format_of(part.compared.dtype)
    y = np.abs(part.compared.y)
    return not part.compared.r[counted].any() and bool((part.failing & counted & (y >= f.smallest_normal / f.u)).any())


def _fits(bench: Bench, subject: Subject, question: Question, part: str, result: Array, counted: Array) -> bool:
    rows, classes = counted.shape
    padded = np.zeros((rows, question.classes), result.dtype)
    padded[:, :classes] = result.reshape(counted.shape)
    for precision in _precisions(subject, bench.problem.dtype):
        flushes = subject.flushes_subnormals
        assessment = assess_part(bench, question, part, padded, precision, flushes=flushes, ladder=_FAST)
        if bool(assessment.within[:, :classes][counted].all()) and not assessment.coarse:
            return True
    return False


def _precisions(subject: Subject, dtype: str) -> list[Precision]:
    """The declared precision, and for half precision the coarser ones: another formula is wrong at each of them."""
    declared = subject.precision[dtype]
    if dtype not in ("bfloat16", "float16"):
        return [declared]
    levels = [Precision(declared.result, dtype, arithmetic) for arithmetic in ("float32", dtype)]
    return list(dict.fromkeys([declared, *levels]))
