"""Misreadings: what a gradient is right for, where the loss is right and the gradient is not.

Every fault that has a name here is a question of its own: that of a loss whose upstream gradient is not read, whose
mean is not divided, whose labels are not subtracted. The oracle answers it, and the fault is named where the gradient
that came is within the budgets of that answer: nothing is compared by a tolerance, and nothing is looked up
(docs/accuracy.md, section 5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from logitmus.assess import Assessment, Bench, assess_part, present_parts
from logitmus.backend import Precision, Subject
from logitmus.diagnosis import Explanation
from logitmus.observation import Answered
from logitmus.problem import Array, Problem
from logitmus.question import Question
from logitmus.rounding import format_of

GRADIENT: Final = "gradient:"
GRADIENT_OF: Final = "gradient_of:"
_Misread = Callable[[Question, Problem], Iterator[Question]]
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


def gradient_fault(
    bench: Bench,
    subject: Subject,
    outcome: Answered,
    parts: list[Assessment],
    part: Assessment,
    explained: Explanation | None,
) -> Fault | None:
    """Why a gradient is wrong beside a loss that is right; None: it is not so, or no misreading explains it.

    Args:
        parts: all that came back, beside the exact answer. part: the one that is wrong.
        explained: the neighbouring convention that explains the part, if one does.
    """
    by_name = {each.part: each for each in parts}
    if part.part == "loss" or not by_name["loss"].passes or (explained is not None and explained.flip.fits_all):
        return None
    where = part.failing & np.isfinite(part.compared.y)
    # A wrong number is evidence; NaN alone may come of anything.
    causes = list(_fitting(bench, subject, outcome, part)) if (where & part.compared.numeric).any() else []
    if explained is not None and explained.flip.name not in _SPECIAL:
        flip = explained.flip
        others = [text for text in explained.others if text.partition("=")[0] not in _SPECIAL]
        causes += [GRADIENT_OF + text for text in (str(flip), *others)]
    if not causes:
        return None
    where = where if causes[0].startswith(GRADIENT) else part.failing
    return Fault(causes[0], where, tuple(causes[1:]))


def _fitting(bench: Bench, subject: Subject, outcome: Answered, part: Assessment) -> Iterator[str]:
    """The misreadings for which the gradient is right wherever the exact one is a number."""
    result = dict(present_parts(subject, outcome))[part.part]
    counted = part.judged & np.isfinite(part.compared.y)
    for name, misread in MISREADINGS.items():
        if part.part == "grad_targets" and name in _BY_LOGITS:
            continue
        if name == "zero" and not _does_not_flow(part, counted):
            continue
        for n, question in enumerate(misread(part.answer.question, bench.problem)):
            asked = replace(question, key=(*part.answer.question.key, name, n))
            if _fits(bench, subject, asked, part.part, result, counted):
                yield GRADIENT + name
                break


def _does_not_flow(part: Assessment, counted: Array) -> bool:
    """Zeros, of which at least one is no underflow."""
    f = format_of(part.compared.dtype)
    y = np.abs(part.compared.y)
    return not part.compared.r[counted].any() and bool((part.failing & counted & (y >= f.lam / f.u)).any())


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


# --- the misread questions ----------------------------------------------------------------------------------------


def _upstream_ignored(question: Question, _: Problem) -> Iterator[Question]:
    yield replace(question, upstream=np.ones(question.rows))


def _upstream_joined(joined: Callable[[Array], float]) -> _Misread:
    """One number takes the place of every row's own."""

    def misread(question: Question, _: Problem) -> Iterator[Question]:
        if question.reduction == "none" and question.rows and np.ptp(question.upstream):
            yield replace(question, upstream=np.full(question.rows, joined(question.upstream)))

    return misread


def _zero(question: Question, _: Problem) -> Iterator[Question]:
    yield replace(question, upstream=np.zeros(question.rows))


def _negated(question: Question, _: Problem) -> Iterator[Question]:
    yield replace(question, upstream=-question.upstream)


def _not_divided(question: Question, _: Problem) -> Iterator[Question]:
    if question.reduction == "mean":
        yield replace(question, divisor=np.ones(1))


def _divided_twice(question: Question, _: Problem) -> Iterator[Question]:
    if question.reduction == "mean":
        yield replace(question, upstream=question.upstream / question.denominator)


def _divided(question: Question, _: Problem) -> Iterator[Question]:
    """By the rows, as if a mean had been asked for."""
    if question.reduction != "mean":
        for count in {question.rows, int(question.kept.sum())} - {0, 1}:
            yield replace(question, divisor=np.array([float(count)]))


def _divided_by_classes(question: Question, _: Problem) -> Iterator[Question]:
    if question.classes > 1:
        yield replace(question, upstream=question.upstream / question.classes)


def _weights_ignored(question: Question, _: Problem) -> Iterator[Question]:
    if question.weight is not None:
        without = replace(question, weight=None, weigh="per_class")
        yield without
        if question.reduction == "mean":
            yield replace(without, divisor=np.array([float(question.kept.sum())]))


def _ignored_rows_kept(question: Question, problem: Problem) -> Iterator[Question]:
    """Their labels taken as they are, for class 0, counted from the end, or for no class at all."""
    if question.kept.all() or question.labels is None or not question.classes:
        return
    raw = np.where(question.kept, question.labels, problem.targets.reshape(-1).astype(np.int64))
    kept = np.ones(question.rows, bool)
    for labels in (np.clip(raw, 0, question.classes - 1), np.where(question.kept, raw, 0), raw % question.classes):
        yield replace(question, labels=labels, kept=kept)
    a, _, _ = question.effective
    at_no_class = np.where(question.kept[:, None], a, 0.0)
    yield replace(_beside(question, question.x, at_no_class, np.where(question.kept, 0.0, 1.0)), kept=kept)


def _target_not_subtracted(question: Question, _: Problem) -> Iterator[Question]:
    a, _, _ = question.effective
    yield _beside(question, question.x, np.zeros_like(a), a.sum(axis=1))


def _softmax_missing(question: Question, _: Problem) -> Iterator[Question]:
    """The logsumexp is taken for a constant: all of the softmax goes to a class that is not there."""
    a, _, _ = question.effective
    x = np.where(np.isfinite(question.x), -np.inf, question.x)
    yield _beside(question, x, a, np.zeros(question.rows), last=0.0)


def _beside(question: Question, x: Array, a: Array, rest: Array, *, last: float = -np.inf) -> Question:
    """A question with one more class, whose logit is `last` and whose target is `rest`; its gradient is not read."""
    return replace(
        question,
        x=np.column_stack([x, np.full(question.rows, last)]),
        labels=None,
        q=np.column_stack([a, rest]),
        weight=None,
        eps=0.0,
        spread="uniform",
        weigh="per_class",
        soft_target_gradient="scaled",
    )


MISREADINGS: Final[Mapping[str, _Misread]] = MappingProxyType(
    {
        "upstream_ignored": _upstream_ignored,
        "upstream_first": _upstream_joined(lambda upstream: float(upstream[0])),
        "upstream_mean": _upstream_joined(lambda upstream: float(upstream.mean())),
        "upstream_sum": _upstream_joined(lambda upstream: float(upstream.sum())),
        "zero": _zero,
        "negated": _negated,
        "not_divided": _not_divided,
        "divided_twice": _divided_twice,
        "divided": _divided,
        "divided_by_classes": _divided_by_classes,
        "weights_ignored": _weights_ignored,
        "ignored_rows_kept": _ignored_rows_kept,
        "target_not_subtracted": _target_not_subtracted,
        "softmax_missing": _softmax_missing,
    }
)
_BY_LOGITS: Final = frozenset({"target_not_subtracted", "softmax_missing"})
