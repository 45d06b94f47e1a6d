"""Portability: where a result that keeps its declared convention is not portable, and in which field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.finding import Finding, Kind
from logitmus.core.observation import Answered
from logitmus.judging import severity
from logitmus.judging.assessment import Part, assessing
from logitmus.judging.case import Case


def differs_from_portable(case: Case, outcome: Answered, parts: Sequence[Part]) -> Iterator[Finding]:
    """The declared choices under which this result differs from the portable convention's.

    A result that does not keep its declared convention says nothing about it. A function that is checked against a
    reference is held to the convention of that reference, portable or not.
    """
    problem, subject = case.problem, case.subject
    if subject.held_to or not all(part.passes for part in parts):
        return
    declared = subject.convention
    # A default reduction decides the shape of the loss: in another shape there is nothing to compare.
    portable = portable_for(declared)
    as_portable = replace(subject, convention=portable)
    batched = case.from_batch(as_portable)
    if batched is not None and all(part.passes for part in batched):
        return
    expected = case.bench.question(portable)
    if expected.key == case.question.key:
        return
    outside: list[Part] = []
    if expected.refused is None:
        outside = [part for part in case.assess(as_portable, outcome) if not part.passes]
        if not outside:
            return
    for name, (own, other) in declared.differences(portable).items():
        if not _matters(case, outcome, name, other):
            continue
        cause, weight = Cause.convention(name, own), severity.of_difference(name, own)
        if outside:
            elements = outside[0].elements
            yield case.worst_element(elements, elements.failing, Kind.CONVENTION, weight, cause)
            continue
        yield case.finding(
            Kind.CONVENTION,
            weight,
            cause,
            part="loss",
            observed=np.array2string(outcome.loss.reshape(-1)[:6].astype(np.float64), precision=6),
            expected=f"an exception ({expected.refused})",
            detail=f"labels {problem.targets.reshape(-1)[:8].tolist()}",
        )


def portable_for(declared: Convention) -> Convention:
    """The portable convention, but with the declared shapes: what a default reduction or an axis decides is a shape."""
    return PORTABLE.but(class_axis=declared.class_axis, default_reduction=declared.default_reduction)


def _matters(case: Case, outcome: Answered, name: str, portable: str) -> bool:
    """Whether the result would be wrong if the declared convention had the portable value in this field."""
    convention = case.subject.convention.but(**{name: portable})
    changed = case.bench.question(convention)
    if changed.key == case.question.key:
        return False
    if changed.refused is not None:
        return True
    parts = assessing(case.bench, replace(case.subject, convention=convention), changed, outcome)
    return not all(part.passes for part in parts)
