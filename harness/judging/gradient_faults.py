"""Gradient faults: what a gradient is right for, where the loss is right and the gradient is not.

A fault is named where the gradient that came is within the budgets of the answer to a misread question: nothing is
compared by a tolerance, and nothing is looked up (docs/accuracy.md, section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from logitmus.core.floats import Array, format_of
from logitmus.core.observation import Answered
from logitmus.core.subject import Precision, Subject
from logitmus.judging.assessment import Assessment, Part, assess_part, present_parts
from logitmus.judging.bench import Bench
from logitmus.judging.neighbours import Explanation
from logitmus.oracle.gradient_variants import BY_LOGITS, MISREADINGS
from logitmus.oracle.question import Question

GRADIENT: Final = "gradient:"
GRADIENT_OF: Final = "gradient_of:"
# Values that no number tells from another formula (NaN for a limit, say): a choice of the convention, part by part.
_SPECIAL: Final = frozenset(
    {"ignored_row", "zero_times_infinity", "infinite_logits", "overflowing_shift", "all_ignored_mean"}
    | {"empty_batch_mean", "label_out_of_range", "label_negative", "wide_inputs", "wide_labels"}
)
_FAST: Final = (None,)  # what is another formula is far from the budget: no more precision is needed to tell


@dataclass(frozen=True)
class Fault:
    """What a gradient is right for.

    Attributes:
        cause: as in `Finding`. others: further causes that explain it as well: this problem cannot tell them apart.
        where: the wrong values that it explains.
    """

    cause: str
    where: Array
    others: tuple[str, ...] = ()


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
        explained: the neighbouring convention that explains the part, if there is one.
    """
    if part.part == "loss" or not loss.passes or (explained is not None and explained.neighbour.fits_all):
        return None
    where = part.failing & np.isfinite(part.compared.y)
    # A wrong number is evidence; NaN alone may come of anything.
    causes = list(_fitting(bench, subject, outcome, part)) if (where & part.compared.numeric).any() else []
    if explained is not None and explained.neighbour.name not in _SPECIAL:
        others = [text for text in explained.others if text.partition("=")[0] not in _SPECIAL]
        causes += [GRADIENT_OF + text for text in (str(explained.neighbour), *others)]
    if not causes:
        return None
    where = where if causes[0].startswith(GRADIENT) else part.failing
    return Fault(causes[0], where, tuple(causes[1:]))


def _fitting(bench: Bench, subject: Subject, outcome: Answered, part: Assessment) -> Iterator[str]:
    """The misreadings for which the gradient is right wherever the exact one is a number."""
    result = dict(present_parts(subject, outcome))[part.part]
    counted = part.judged & np.isfinite(part.compared.y)
    for name, misread in MISREADINGS.items():
        if part.part == "grad_targets" and name in BY_LOGITS:
            continue
        if name == "zero" and not _does_not_flow(part, counted):
            continue
        for question in misread(part.answer.question, bench.problem):
            if _fits(bench, subject, question, part.part, result, counted):
                yield GRADIENT + name
                break


def _does_not_flow(part: Assessment, counted: Array) -> bool:
    """Zeros, of which at least one is no underflow."""
    f = format_of(part.compared.dtype)
    y = np.abs(part.compared.y)
    return not part.compared.r[counted].any() and bool((part.failing & counted & (y >= f.smallest_normal / f.u)).any())


def _fits(bench: Bench, subject: Subject, question: Question, part: str, result: Array, counted: Array) -> bool:
    rows, classes = counted.shape
    beside = np.zeros((rows, question.classes), result.dtype)
    beside[:, :classes] = result.reshape(counted.shape)
    for precision in _precisions(subject, bench.problem.dtype):
        flushes = subject.flushes_subnormals
        read = assess_part(bench, question, part, beside, precision, flushes=flushes, ladder=_FAST)
        if bool(read.within[:, :classes][counted].all()) and not read.coarse:
            return True
    return False


def _precisions(subject: Subject, dtype: str) -> list[Precision]:
    """The declared one; of a half precision the coarser ones, too: what is another formula is so at any."""
    declared = subject.precision[dtype]
    if dtype not in ("bfloat16", "float16"):
        return [declared]
    levels = [Precision(declared.result, dtype, arithmetic) for arithmetic in ("float32", dtype)]
    return list(dict.fromkeys([declared, *levels]))
