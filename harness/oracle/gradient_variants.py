"""Gradient variants: modified questions for which a faulty gradient may be right.

The upstream gradient is ignored, the mean is not divided, the target is not subtracted: each variant is a question of
its own, which the oracle answers like any other (docs/accuracy.md, section 5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from logitmus.core.floats import Array, row_sums
from logitmus.core.problem import Problem
from logitmus.oracle.question import Question

Modification = Callable[[Question, Problem], Iterator[Question]]


def _upstream_ignored(question: Question, problem: Problem) -> Iterator[Question]:
    """The upstream gradient of the result; or of the rows, which includes the divisor of a mean."""
    if problem.cotangent is None:
        return
    ones = np.ones(question.rows)
    yield replace(question, upstream=ones)
    if question.reduction == "mean":
        yield replace(question, upstream=ones, divisor=np.ones(1))


def _upstream_joined(joined: Callable[[Array], float]) -> Modification:
    """A single number replaces the upstream gradient of every row."""

    def modify(question: Question, _: Problem) -> Iterator[Question]:
        if question.reduction == "none" and question.rows and np.ptp(question.upstream):
            yield replace(question, upstream=np.full(question.rows, joined(question.upstream)))

    return modify


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
    """Divided by the number of rows, as for a mean."""
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
    """Their labels are clipped, replaced by class 0, counted from the end, or dropped."""
    if question.kept.all() or question.labels is None or not question.classes:
        return
    raw = np.where(question.kept, question.labels, problem.targets.reshape(-1).astype(np.int64))
    kept = np.ones(question.rows, bool)
    for labels in (np.clip(raw, 0, question.classes - 1), np.where(question.kept, raw, 0), raw % question.classes):
        yield replace(question, labels=labels, kept=kept)
    a = question.effective[0]
    at_no_class = np.where(question.kept[:, None], a, 0.0)
    yield replace(_with_extra_class(question, question.x, at_no_class, np.where(question.kept, 0.0, 1.0)), kept=kept)


def _target_not_subtracted(question: Question, _: Problem) -> Iterator[Question]:
    a = question.effective[0]
    yield _with_extra_class(question, question.x, np.zeros_like(a), row_sums(a))


def _softmax_missing(question: Question, _: Problem) -> Iterator[Question]:
    """The logsumexp is treated as a constant: an extra class takes all of the softmax."""
    a = question.effective[0]
    x = np.where(np.isfinite(question.x), -np.inf, question.x)
    yield _with_extra_class(question, x, a, np.zeros(question.rows), last=0.0)


def _with_extra_class(question: Question, x: Array, a: Array, rest: Array, *, last: float = -np.inf) -> Question:
    """A question with an extra class, with the logit `last` and the target `rest`; its gradient is not compared."""
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


VARIANTS: Final[Mapping[str, Modification]] = MappingProxyType(
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
BY_LOGITS: Final = frozenset({"target_not_subtracted", "softmax_missing"})
