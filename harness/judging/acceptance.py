"""Criteria: the results that the judge accepts for a single value, as plain numbers.

They are found by bisection over the judge's own assessment, so that a reproduction script, which has no judge, accepts
the same values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from logitmus.core.convention import PORTABLE
from logitmus.core.finding import Finding
from logitmus.core.floats import FLOAT_DTYPES, format_of, from_ordinal, ordinal
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.core.subject import Precision, Subject
from logitmus.judging.assessment import assess_part, present_parts
from logitmus.judging.bench import Bench
from logitmus.oracle.question import Question

_SPECIAL: Final = (float("nan"), float("inf"), float("-inf"))
Fits = Callable[[float], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Criterion:
    """The accepted results for a single value.

    Attributes:
        lowest, highest: every number of the result's dtype between them (None: no number is right).
        special: of NaN and the infinities, those that are right.
        exact: the exact value, as text.
    """

    lowest: float | None
    highest: float | None
    special: tuple[float, ...]
    exact: str

    def accepts(self, value: float) -> bool:
        """Whether `value` is right."""
        if self.lowest is not None and self.highest is not None and self.lowest <= value <= self.highest:
            return True
        return any(value == special or (np.isnan(value) and np.isnan(special)) for special in self.special)


def criterion(problem: Problem, subject: Subject, outcome: Answered, finding: Finding) -> Criterion | None:
    """The criterion that the value shown in `finding` fails; None: the finding shows no value, or the judge accepts it.

    A finding may rest on the declaration of the subject, on the portable convention (to show how a convention differs)
    or on arithmetic in float32 (to show how precise half precision is). The first that the observed value fails counts.
    """
    result = dict(present_parts(subject, outcome)).get(finding.part)
    if result is None:
        return None
    bench = Bench(problem)
    place = tuple(position for position in (finding.row, finding.index) if position is not None)
    declared = subject.convention
    portable = PORTABLE.but(class_axis=declared.class_axis, default_reduction=declared.default_reduction)
    in_float32 = Precision(subject.precision[problem.dtype].result, "float32", "float32")
    for standard in (
        subject,
        replace(subject, precision={**subject.precision, problem.dtype: in_float32}),
        replace(subject, convention=portable),
    ):
        question = bench.question(standard.convention)
        if question.refused is not None:
            continue
        shape = getattr(bench.answer(question), finding.part).shape
        if len(shape) != len(place) or int(np.prod(shape)) != result.size:
            continue
        found = _criterion(bench, standard, question, finding.part, place, result.dtype.name)
        if not found.accepts(float(result.reshape(shape)[place])):
            return found
    return None


def _criterion(
    bench: Bench, subject: Subject, question: Question, part: str, place: tuple[int, ...], dtype: str
) -> Criterion:
    exact = getattr(bench.answer(question), part)
    precision = subject.precision[bench.problem.dtype]

    def fits(value: float) -> bool:
        result = np.zeros(exact.shape, FLOAT_DTYPES[dtype])
        result[place] = value
        assessment = assess_part(bench, question, part, result, precision, flushes=subject.flushes_subnormals)
        return not assessment.failing[place]

    lowest, highest = _numbers(fits, float(exact.mid[place]), dtype)
    return Criterion(
        lowest=lowest,
        highest=highest,
        special=tuple(value for value in _SPECIAL if fits(value)),
        exact=exact.describe(place),
    )


def _numbers(fits: Fits, near: float, dtype: str) -> tuple[float | None, float | None]:
    """The smallest and the largest number of `dtype` that fit; all numbers that fit lie around `near`."""
    largest = format_of(dtype).largest
    middle = 0.0 if np.isnan(near) else float(np.array(np.clip(near, -largest, largest)).astype(FLOAT_DTYPES[dtype]))
    if not fits(middle):
        return None, None
    return _last(fits, middle, -largest, dtype), _last(fits, middle, largest, dtype)


def _last(fits: Fits, inside: float, end: float, dtype: str) -> float:
    """The last number from `inside` towards `end` that fits, by bisection over all numbers of `dtype`."""
    if fits(end):
        return end
    good, bad = ordinal(inside, dtype), ordinal(end, dtype)
    while abs(bad - good) > 1:
        middle = (good + bad) // 2
        if fits(from_ordinal(middle, dtype)):
            good = middle
        else:
            bad = middle
    return from_ordinal(good, dtype)
