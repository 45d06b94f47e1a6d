"""Which fields of a convention a problem depends on, and which fields matter to a function.

Both follow from the metadata of `Field`: `about`, the occasions of a problem, and `applies`, what a function takes.
Most problems have few occasions, so most fields need not be looked at: no label is out of range, nothing is averaged,
no logit is infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cache, lru_cache
from operator import attrgetter
from typing import Final

import numpy as np

from logitmus.core.convention import FIELDS, Applies, Convention, Field, Occasion, ShownBy
from logitmus.core.floats import Array, float_array, format_of
from logitmus.core.problem import DEFAULT_REDUCTION, Problem, TargetKind
from logitmus.core.subject import Subject

_OF_PROBABILITIES: Final = frozenset({Occasion.PROBABILITY_INPUTS, Occasion.ZERO_PROBABILITY})
_OF_MEANS: Final = frozenset({Occasion.MEAN, Occasion.EMPTY_MEAN, Occasion.MEAN_OF_NOTHING})


def matters(name: str, subject: Subject) -> bool:
    """Whether a field can change any result of a subject, given what the subject takes."""
    applies = FIELDS[name].applies
    return not applies or any(_meets(subject, condition) for condition in applies)


def _meets(subject: Subject, condition: Applies) -> bool:
    offer, convention = subject.offer, subject.convention
    return (
        condition.inputs in ("", convention.inputs)
        and condition.targets in ("", offer.targets)
        and condition.options <= offer.options
        and (not condition.mean or "mean" in (*offer.reductions, convention.default_reduction))
        and (not condition.ignores_by_default or convention.ignore_default != "none")
    )


def depended_on(
    problem: Problem,
    part: str,
    inputs: Collection[str] = tuple(FIELDS["inputs"].values),
    reductions: Collection[str] = tuple(FIELDS["default_reduction"].values),
) -> frozenset[str]:
    """The fields that may change a part of the answer to a problem: never too few, sometimes too many.

    Args:
        inputs, reductions: the possible values of the fields `inputs` and `default_reduction`.
    """
    return _depended_on(problem, part == "grad_logits", "probabilities" in inputs, "mean" in reductions)


@lru_cache(maxsize=1024)  # the elimination needs it again for every subject and field
def _depended_on(problem: Problem, of_gradient: bool, of_probabilities: bool, of_means: bool) -> frozenset[str]:
    present = occasions(problem)
    if not of_probabilities:
        present -= _OF_PROBABILITIES
    if problem.reduction == DEFAULT_REDUCTION and not of_means:
        present -= _OF_MEANS
    return frozenset(field.name for field in _with(present) if of_gradient or field.shown_by is ShownBy.VALUE)


def relevant_choices(problem: Problem) -> Callable[[Convention], tuple[object, ...]]:
    """A function from a convention to its choices that matter to `problem`: equal choices give equal questions."""
    present = occasions(problem)
    names = attrgetter(*_names(present - _OF_PROBABILITIES), "parameters")
    of_probabilities = attrgetter(*_names(present), "parameters")
    if_smoothed = attrgetter(*_names(present | {Occasion.SMOOTHING, Occasion.WEIGHTED_SMOOTHING}), "parameters")

    def choices(convention: Convention) -> tuple[object, ...]:
        chosen = of_probabilities if convention.inputs == "probabilities" else names
        if convention.parameters.label_smoothing:
            chosen = if_smoothed
        choice: tuple[object, ...] = chosen(convention)
        return choice

    return choices


def is_ordinary(problem: Problem) -> bool:
    """Whether every convention answers it: rows to average, positive weights, valid labels."""
    if not problem.rows or not problem.classes:
        return False
    if problem.target_kind == TargetKind.PROBABILITIES:
        return problem.ignore_index is None or not 0 <= problem.ignore_index < problem.classes
    kept = problem.targets != problem.ignore_index if problem.ignore_index is not None else problem.targets >= 0
    labels = problem.targets[kept]
    in_range = bool(labels.size) and bool(((labels >= 0) & (labels < problem.classes)).all())
    return in_range and (problem.ignore_index is not None or bool(kept.all())) and _has_weight(problem, labels)


def _has_weight(problem: Problem, labels: Array) -> bool:
    weight = problem.weight
    return weight is None or bool((weight[labels].astype(np.float64) > 0).any())


@cache
def _names(present: frozenset[Occasion]) -> tuple[str, ...]:
    return tuple(field.name for field in _with(present))


def _with(present: frozenset[Occasion]) -> Iterator[Field]:
    return (field for field in FIELDS.values() if not field.about.isdisjoint(present))


def occasions(problem: Problem) -> frozenset[Occasion]:
    """The properties of a problem that make it depend on fields."""
    found = {Occasion.ALWAYS, *_of_probability_inputs(problem)}
    if problem.dtype == "float64":
        found.add(Occasion.FLOAT64)
    if problem.label_smoothing:
        found |= {Occasion.SMOOTHING} if problem.weight is None else {Occasion.SMOOTHING, Occasion.WEIGHTED_SMOOTHING}
    if problem.target_kind == TargetKind.PROBABILITIES:
        found.add(Occasion.PROBABILITY_TARGETS)
        if problem.ignore_index is not None:
            found.add(Occasion.IGNORED_BESIDE_PROBABILITIES)
    elif problem.targets.size:
        found |= _of_labels(problem)
    found |= _of_reduction(problem)
    may_ignore = problem.ignore_index is not None or not found.isdisjoint(_INVALID_LABELS)
    return frozenset(found | _of_extremes(problem, may_ignore=may_ignore))


_INVALID_LABELS: Final = frozenset(
    {Occasion.LABEL_MAY_BE_IGNORED, Occasion.NEGATIVE_LABEL, Occasion.LARGE_LABEL, Occasion.WIDE_LABEL}
)


def _of_probability_inputs(problem: Problem) -> set[Occasion]:
    zero = bool((float_array(problem.logits, "float32") == 0).any())  # also what underflows if narrowed
    return {Occasion.PROBABILITY_INPUTS, Occasion.ZERO_PROBABILITY} if zero else {Occasion.PROBABILITY_INPUTS}


def _of_reduction(problem: Problem) -> set[Occasion]:
    found = {Occasion.NO_REDUCTION} if problem.reduction == DEFAULT_REDUCTION else set()
    if problem.reduction in (DEFAULT_REDUCTION, "mean"):
        found.add(Occasion.MEAN if problem.rows else Occasion.EMPTY_MEAN)
        if problem.rows and not (is_ordinary(problem) and _sums_above_zero(problem)):
            found.add(Occasion.MEAN_OF_NOTHING)
    return found


def _sums_above_zero(problem: Problem) -> bool:
    """Whether the weights of an ordinary problem cannot cancel."""
    return problem.weight is None or not bool((problem.weight < 0).any())


def _of_labels(problem: Problem) -> set[Occasion]:
    labels = problem.targets
    found: set[Occasion] = set()
    least, most = int(labels.min()), int(labels.max())
    if least >= 0 and most < problem.classes:
        return found
    wide = most >= 2**31 or least < -(2**31)
    if problem.ignore_index is None:
        narrowed = labels.astype(np.int32) if wide else labels  # as a convention of `wide_labels` reads them
        found |= {Occasion.LABEL_MAY_BE_IGNORED} if least < 0 or bool((narrowed < 0).any()) else set()
    else:
        labels = labels[labels != problem.ignore_index]
    if bool((labels < 0).any()):
        found.add(Occasion.NEGATIVE_LABEL)
    if bool((labels >= problem.classes).any()):
        found.add(Occasion.LARGE_LABEL)
    return found | {Occasion.WIDE_LABEL} if wide else found


def _of_extremes(problem: Problem, *, may_ignore: bool) -> set[Occasion]:
    """What large and non-finite logits bring in; 64-bit logits may be narrowed, and overflow then."""
    x = problem.logits
    number_format = format_of("float32" if problem.dtype == "float64" else problem.dtype)
    if bool((np.abs(x) < number_format.largest / 2).all()):  # not so where there is a NaN
        return set()
    x = x.astype(np.float64)
    narrowed = float_array(problem.logits, "float32").astype(np.float64) if problem.dtype == "float64" else x
    found: set[Occasion] = set()
    if bool(np.isposinf(narrowed).any()):
        found.add(Occasion.POSITIVE_INFINITY)
    if not bool(np.isfinite(narrowed).all()):
        found |= {Occasion.NON_FINITE, Occasion.IGNORED_NON_FINITE} if may_ignore else {Occasion.NON_FINITE}
    finite = np.abs(x[np.isfinite(x)])
    if finite.size and finite.max() >= min(number_format.largest, format_of("float32").largest) / 2:
        found.add(Occasion.OVERFLOWING)
    return found
