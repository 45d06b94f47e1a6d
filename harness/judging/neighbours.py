"""Neighbouring conventions: would another value of a field make the result right?

The candidates are tried on the oracle, within the same budgets as the declared convention.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, Literal

import numpy as np

from logitmus.core.causes import Cause
from logitmus.core.convention import FIELDS, PORTABLE, Convention
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.core.subject import IN_FLOAT32, Subject
from logitmus.judging.assessment import Assessment, assess, assessing
from logitmus.judging.bench import Bench
from logitmus.oracle.question import Question

# Fields whose exception may be the right response to an invalid problem.
REFUSING: Final = ("label_out_of_range", "label_negative", "all_ignored_mean", "empty_batch_mean")
# Fields that change every number. A lone part (a gradient of zeros, say) fits them too easily. A function that takes
# logits for probabilities does so on small problems, too, so that large ones need not pay for Arb.
_SWEEPING: Final = frozenset(name for name, field in FIELDS.items() if field.changes_every_number)
_SMALL: Final = 1024
_DEFINED: Final = tuple(name for name, field in FIELDS.items() if field.defined)


@dataclass(frozen=True)
class Neighbour:
    """A convention that differs in a single field, under which the result is right.

    Attributes:
        name, value: the field and its other value. fits_all: whether every part is right, not only the failing one.
        equivalent: other changes, as "field=value", that resolve this problem to the same question.
    """

    name: str
    value: str
    fits_all: bool
    equivalent: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


@dataclass(frozen=True)
class Explanation:
    """The neighbouring convention that explains a result, and the others that do: this problem cannot separate them."""

    neighbour: Neighbour
    others: tuple[str, ...] = ()

    def causes(self, name: str) -> list[Cause]:
        """The neighbour, and then the others, as causes of this name."""
        return [Cause.of(name, change) for change in (str(self.neighbour), *self.others)]


@dataclass(frozen=True)
class Defined:
    """A result that is right by the definition: the first field that makes the difference, and the parts."""

    change: str
    parts: list[Assessment]


def by_the_definition(bench: Bench, subject: Subject, outcome: Answered) -> Defined | None:
    """The result of a function that is checked against a reference, where it follows the definition and that does not.

    None: it does not, or it is not checked against a reference.
    """
    if not subject.held_to:
        return None
    short = [name for name in _DEFINED if getattr(subject.convention, name) != getattr(PORTABLE, name)]
    tried = {bench.question(subject.convention).key}
    for count in range(1, len(short) + 1):
        for names in combinations(short, count):
            changes = {name: getattr(PORTABLE, name) for name in names}
            convention = subject.convention.but(**changes)
            question = bench.question(convention)
            if question.key in tried or question.refused is not None:
                continue
            tried.add(question.key)
            parts = assess(bench, replace(subject, convention=convention), question, outcome)
            if all(part.passes and not part.coarse for part in parts):
                return Defined(f"{names[0]}={changes[names[0]]}", parts)
    return None


def explaining(
    bench: Bench, subject: Subject, outcome: Answered, part: Assessment, refuted: set[str]
) -> Explanation | None:
    """The neighbouring convention that explains a failing part: of the whole result if possible, else of the part.

    Infinities and NaN alone are no evidence for a field that changes every number: other faults cause them, too.

    Args:
        refuted: shared by the parts of the result. A field that changes every number has to explain all of them: the
            keys of its questions that one of them refutes, which are not tried on the others.
    """
    sweeping = _sweeping(subject.convention)
    special = not np.isfinite(part.compared.r[part.failing]).any()
    without = sweeping if special else frozenset()
    fitting = list(fitting_neighbours(bench, subject, outcome, None, only=part.part, without=without, refuted=refuted))
    whole = [neighbour for neighbour in fitting if neighbour.fits_all]
    return explanation(whole or [neighbour for neighbour in fitting if neighbour.name not in sweeping])


def _sweeping(convention: Convention) -> frozenset[str]:
    """The fields that change every number; where a function smooths labels by itself, how it does is one of them."""
    return _SWEEPING | {"smoothing"} if convention.parameters.label_smoothing else _SWEEPING


def explanation(neighbours: Sequence[Neighbour]) -> Explanation | None:
    """The first neighbour, with all others as alternatives."""
    if not neighbours:
        return None
    first, *more = neighbours
    others = [*first.equivalent, *(text for other in more for text in (str(other), *other.equivalent))]
    return Explanation(first, tuple(others))


def fitting_neighbours(
    bench: Bench,
    subject: Subject,
    outcome: Answered,
    names: Iterable[str] | None,
    *,
    only: str | None = None,
    without: Collection[str] = (),
    refuted: set[str] | None = None,
) -> Iterator[Neighbour]:
    """The neighbouring conventions under which the result (or its part `only`) is inside B+.

    Args:
        names: the fields to try; None: all. without: fields that are not of interest. refuted: see `explaining`.

    Conventions that resolve this problem to the same question are tried once; a fit must judge some element.
    """
    declared = bench.question(subject.convention)
    sweeping = _sweeping(subject.convention)
    candidates: dict[object, list[tuple[str, str, Convention]]] = {}
    for name, value, convention in _neighbours(subject.convention, names):
        if name in sweeping and name != "wide_inputs" and bench.problem.logits.size > _SMALL:
            continue
        question = bench.question(convention)
        answerable = question.refused is None and question.classes > 0  # without classes no exact answer exists
        if question.key != declared.key and answerable and _has_its_shape(bench.problem, question, outcome):
            candidates.setdefault(question.key, []).append((name, value, convention))
    for equivalent in candidates.values():
        name, value, convention = equivalent[0]
        if name in without:
            continue
        question = bench.question(convention)
        if refuted is not None and question.key in refuted:
            continue
        fits = _fits(bench, _following(subject, convention), question, outcome, only)
        if refuted is not None and name in sweeping and fits != "all":
            refuted.add(question.key)
        if fits is not None:
            yield Neighbour(name, value, fits == "all", tuple(f"{name}={value}" for name, value, _ in equivalent[1:]))


def _following(subject: Subject, convention: Convention) -> Subject:
    """The subject under a convention; what rounds float64 logits to float32 goes on in float32."""
    if convention.wide_inputs != "narrowed" or subject.convention.wide_inputs == "narrowed":
        return replace(subject, convention=convention)
    return replace(subject, convention=convention, precision={**subject.precision, "float64": IN_FLOAT32})


def _fits(
    bench: Bench, subject: Subject, question: Question, outcome: Answered, only: str | None
) -> Literal["all", "part"] | None:
    """Whether the result is right, or the part `only`; most candidates are refuted by the first part."""
    for part in assessing(bench, subject, question, outcome, first=only):
        fits = part.passes and not part.coarse
        if only in (None, part.part):
            if not fits or not part.judged.any():
                return None
        elif not fits:
            return "part"
    return "all"


def _has_its_shape(problem: Problem, question: Question, outcome: Answered) -> bool:
    """Whether the result has the shapes of the answer: a default reduction, say, decides the shape of the loss."""
    gradients = [gradient for gradient in (outcome.grad_logits, outcome.grad_targets) if gradient is not None]
    joined = question.reduction != "none"
    return outcome.loss.shape == (() if joined else problem.batch) and all(
        gradient.shape == problem.logits.shape for gradient in gradients
    )


def _neighbours(convention: Convention, names: Iterable[str] | None) -> Iterator[tuple[str, str, Convention]]:
    for name in names or FIELDS:
        for value in FIELDS[name].values:
            if value != getattr(convention, name):
                yield name, value, convention.but(**{name: value})


def refusing_field(bench: Bench, convention: Convention) -> str | None:
    """The field whose "error" choice would make an exception right; None: no field does."""
    for name in REFUSING:
        if getattr(convention, name) != "error" and bench.question(convention.but(**{name: "error"})).refused:
            return name
    return None
