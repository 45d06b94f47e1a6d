"""Diagnosis: the causes of values outside their budgets.

`EXPLANATIONS` is tried in order; each rule explains some of the elements that are still unexplained, and the next
sees only the rest:

1. A gradient that is right for a modified question, beside a loss that is right. It comes before the conventions,
   some of which fit a lone gradient just as well (without a mean's divisor, it is that of a sum).
2. A neighbouring convention. It explains the whole part or nothing; special values that a convention prescribes are
   no faults, so it comes before them.
3. Special values: NaN, infinities and zeros in the wrong place, which are no matter of distance.
4. Inaccurate numbers: a mechanism that an emulation reproduces, a grade, arithmetic in float32, or "unexplained".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Grade, Kind, Severity
from logitmus.core.floats import Array, format_of
from logitmus.core.observation import Answered
from logitmus.core.subject import IN_FLOAT32
from logitmus.judging import gradient_faults, mechanisms, neighbours, severity
from logitmus.judging.assessment import Assessment, Part
from logitmus.judging.case import Case
from logitmus.judging.comparison import Compared

_FLOAT32_ARITHMETIC: Final = Cause("float32_arithmetic")
Explained = tuple[Finding, Array]  # a finding, and the elements that it explains


@dataclass(frozen=True)
class Failure:
    """One part of a result with values outside B+; refuted: see `neighbours.explaining`."""

    case: Case
    outcome: Answered
    part: Assessment
    loss: Part
    refuted: set[str] = field(default_factory=set)

    @cached_property
    def neighbour(self) -> neighbours.Explanation | None:
        """The neighbouring convention that explains the part."""
        return neighbours.explaining(self.case.bench, self.case.subject, self.outcome, self.part, self.refuted)

    @cached_property
    def gradient_fault(self) -> gradient_faults.Fault | None:
        """The modified question that the part, a gradient, is right for."""
        return gradient_faults.named(
            self.case.bench, self.case.subject, self.outcome, self.loss, self.part, self.neighbour
        )

    @cached_property
    def holds_in_float32(self) -> bool:
        """Whether the budgets of arithmetic in float32 hold a result of float64 logits, which are used as they are."""
        subject, dtype = self.case.subject, self.case.problem.dtype
        if dtype != "float64" or subject.precision[dtype] == IN_FLOAT32 or subject.convention.inputs != "logits":
            return False
        part = self.part.part
        at_float32 = self.case.assess(replace(subject, precision={dtype: IN_FLOAT32}), self.outcome)
        return all(other.passes for other in at_float32 if other.part == part)

    @property
    def within_a_wider_budget(self) -> bool:
        """Whether budget B or C holds the part: these name a way of computing, and no looser precision is needed."""
        return self.part.numeric_grade in (Grade.B, Grade.C)


Rule = Callable[[Failure, Array], Iterator[Explained]]


def failing_values(case: Case, outcome: Answered, parts: Sequence[Part]) -> Iterator[Finding]:
    """One finding for each cause of values outside B+, part by part."""
    refuted: set[str] = set()
    for part in parts:
        if not part.passes:
            failure = Failure(case, outcome, part.elements, parts[0], refuted)
            yield from explained(failure, failure.part.failing, EXPLANATIONS)


def explained(failure: Failure, unexplained: Array, rules: Sequence[Rule]) -> Iterator[Finding]:
    """What these rules find in the unexplained elements of a part, each in what the others before it leave."""
    for rule in rules:
        for finding, where in rule(failure, unexplained):
            yield finding
            unexplained = unexplained & ~where


def _gradient_fault(failure: Failure, _: Array) -> Iterator[Explained]:
    fault = failure.gradient_fault
    if fault is not None:
        found = failure.case.worst_element(failure.part, fault.where, Kind.INTEGRITY, Severity.BUG, fault.cause)
        yield replace(found, alternatives=fault.others), fault.where


def _neighbouring_convention(failure: Failure, _: Array) -> Iterator[Explained]:
    explained = failure.neighbour
    if failure.gradient_fault is not None or explained is None:
        return
    name, value = explained.neighbour.name, explained.neighbour.value
    if failure.within_a_wider_budget and name == "wide_inputs":
        return
    case, part = failure.case, failure.part
    kind, weight = severity.of_contradiction(case.subject, name)
    cause, *others = explained.causes("convention")
    found = case.worst_element(part, part.failing, kind, weight, cause)
    summary = severity.contradiction(case.subject, name, value)
    instead = _FLOAT32_ARITHMETIC if name == "wide_inputs" and failure.holds_in_float32 else None
    yield replace(found, summary=summary, alternatives=tuple(others), instead=instead), part.failing


def _special_values(failure: Failure, unexplained: Array) -> Iterator[Explained]:
    for cause, where in special_values(failure.part.compared).items():
        hit = unexplained & where
        if hit.any() and not (failure.within_a_wider_budget and cause == "spurious_underflow"):
            weight = catalogue.severity(cause)
            yield failure.case.worst_element(failure.part, hit, Kind.SPECIAL, weight, cause), hit
            unexplained = unexplained & ~hit


def _unexplained_numbers(failure: Failure, unexplained: Array) -> Iterator[Explained]:
    return _inaccurate(failure, unexplained, lambda _: Cause("unexplained"))


def _inaccurate_numbers(failure: Failure, unexplained: Array) -> Iterator[Explained]:
    return _inaccurate(failure, unexplained, _inaccuracy)


def _inaccurate(failure: Failure, unexplained: Array, name: Callable[[Failure], Cause]) -> Iterator[Explained]:
    if unexplained.any():
        cause = name(failure)
        weight = catalogue.severity(cause)
        yield failure.case.worst_element(failure.part, unexplained, Kind.ACCURACY, weight, cause), unexplained


EXPLANATIONS: Final[tuple[Rule, ...]] = (
    _gradient_fault,
    _neighbouring_convention,
    _special_values,
    _inaccurate_numbers,
)


# For a function that computes another formula: whatever changes the reference's formula explains nothing.
WITHOUT_A_FORMULA: Final[tuple[Rule, ...]] = (_special_values, _unexplained_numbers)


def special_values(compared: Compared) -> dict[Cause, Array]:
    """Where a result has a wrong special value, or a special value instead of a number, by cause."""
    r, y = compared.r, compared.y
    f = format_of(compared.dtype)
    infinite, finite = np.isinf(r), np.isfinite(r)
    return {
        Cause("invented"): np.isnan(y) & ~np.isnan(r),
        Cause("lost"): np.isnan(r) & ~np.isnan(y),
        Cause("wrong_infinity"): infinite & np.isinf(y) & (np.sign(r) != np.sign(y)),
        Cause("spurious_overflow"): infinite & np.isfinite(y),
        Cause("missed_infinity"): finite & np.isinf(y),
        Cause("saturated"): (np.abs(r) == f.largest) & (np.abs(y) >= f.omega),
        Cause("spurious_underflow"): (r == 0) & (y != 0) & (np.abs(y) < f.smallest_normal / f.u),
    }


def _inaccuracy(failure: Failure) -> Cause:
    """The cause of inaccurate numbers: a mechanism confirmed by emulation, a grade, or "unexplained"."""
    part = failure.part
    name = mechanisms.reproducing(failure.case.problem, failure.case.subject, failure.outcome, part)
    if part.numeric_grade is Grade.B:
        if name in mechanisms.WEAK_SUMS:
            return Cause("weak_sum")
        return Cause("unexplained_within_b")
    if part.numeric_grade is Grade.C and name is None:
        return Cause("unexplained_within_c")
    if part.numeric_grade is Grade.C and name in mechanisms.SUBTRACTING:
        return Cause("separate_logsumexp")
    if name:
        return Cause.of("mechanism", name)
    return _FLOAT32_ARITHMETIC if failure.holds_in_float32 else Cause("unexplained")
