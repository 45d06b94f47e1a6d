"""Diagnosis: why an observation misses the exact answer. Neighbouring conventions, classes of special values, and
mechanisms by emulation; what none of them explains is said to be unexplained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from logitmus.core.convention import FIELDS, PORTABLE, Convention
from logitmus.core.finding import Grade, Severity
from logitmus.core.floats import Array, format_of
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.judging import mechanisms
from logitmus.judging.assessment import Assessment, Bench, assess, assessing
from logitmus.judging.comparison import Compared
from logitmus.oracle.question import Question

# What a value that is not an error says silently about an invalid question.
_SILENT = frozenset({"wrap", "clamp", "zero", "garbage"})


# Fields that change every number. A lone part (a gradient of zeros, say) fits them too easily; and who takes logits
# for probabilities does so on small problems too, so that large ones need not pay for Arb.
_SWEEPING = frozenset({"inputs", "log_base", "probability_clip", "probability_scale"})
_SMALL = 1024
# Fields in which the portable value is what the definition says, or its limit, and any other falls short of it.
_DEFINED = (
    "ignored_row",
    "zero_times_infinity",
    "infinite_logits",
    "overflowing_shift",
    "soft_target_gradient",
    "target_gradient",
    "wide_inputs",
    "wide_labels",
)


@dataclass(frozen=True)
class Flip:
    """One field changed, under which the observation is right.

    Attributes:
        name, value: the field and what it is changed to. fits_all: whether every part is right, not only one.
        alike: other changes, as "name=value", that ask the very same question of this problem.
    """

    name: str
    value: str
    fits_all: bool
    alike: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


@dataclass(frozen=True)
class Explanation:
    """The change that explains an observation, and the others that do so too: this problem cannot tell them apart."""

    flip: Flip
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Defined:
    """An observation that is right by the definition: the first field that matters, and all parts, assessed so."""

    flip: str
    parts: list[Assessment]


def by_the_definition(bench: Bench, subject: Subject, outcome: Answered) -> Defined | None:
    """What a function gives that is held to another and does better: the definition's value where that one's is not."""
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


def fitting_flips(
    bench: Bench,
    subject: Subject,
    outcome: Answered,
    names: Iterable[str] | None,
    *,
    only: str | None = None,
) -> Iterator[Flip]:
    """The conventions one field away under which the observation (or one part of it) is inside B+.

    Conventions that ask the same question of this problem are tried once; a fit must judge something.
    """
    mine = bench.question(subject.convention)
    questions: dict[object, list[tuple[str, str, Convention]]] = {}
    for name, value, convention in _neighbours(subject.convention, names):
        if name in _SWEEPING and bench.problem.logits.size > _SMALL:
            continue
        question = bench.question(convention)
        answerable = question.refused is None and question.classes > 0  # without classes no exact answer exists
        if question.key != mine.key and answerable and _of_its_shape(bench.problem, question, outcome):
            questions.setdefault(question.key, []).append((name, value, convention))
    for same in questions.values():
        name, value, convention = same[0]
        question = bench.question(convention)
        fits = _fits(bench, replace(subject, convention=convention), question, outcome, only)
        if fits is not None:
            yield Flip(name, value, fits == "all", tuple(f"{name}={value}" for name, value, _ in same[1:]))


def _fits(
    bench: Bench, subject: Subject, question: Question, outcome: Answered, only: str | None
) -> Literal["all", "part"] | None:
    """Whether the observation is right, or that part of it; most candidates fall with the first part."""
    for part in assessing(bench, subject, question, outcome, first=only):
        fits = part.passes and not part.coarse
        if only in (None, part.part):
            if not fits or not part.judged.any():
                return None
        elif not fits:
            return "part"
    return "all"


def _of_its_shape(problem: Problem, question: Question, outcome: Answered) -> bool:
    """Whether there is anything to compare: a default reduction, for one, decides the shape of the loss."""
    gradients = [g for g in (outcome.grad_logits, outcome.grad_targets) if g is not None]
    joined = question.reduction != "none"
    return outcome.loss.shape == (() if joined else problem.batch) and all(
        g.shape == problem.logits.shape for g in gradients
    )


def neighbouring_convention(bench: Bench, subject: Subject, outcome: Answered, part: Assessment) -> Explanation | None:
    """The convention one field away that explains a failing part: the whole observation if one does, else the part.

    What changes every number is not told by infinities and NaN alone: other faults make those, too.
    """
    flips = list(fitting_flips(bench, subject, outcome, None, only=part.part))
    if not np.isfinite(part.compared.r[part.failing]).any():
        flips = [flip for flip in flips if flip.name not in _SWEEPING]
    whole = [flip for flip in flips if flip.fits_all]
    return explanation(whole or [flip for flip in flips if flip.name not in _SWEEPING])


def explanation(flips: Sequence[Flip]) -> Explanation | None:
    """The first change that fits, beside all others."""
    if not flips:
        return None
    first, *more = flips
    others = [*first.alike, *(text for flip in more for text in (str(flip), *flip.alike))]
    return Explanation(first, tuple(others))


def _neighbours(convention: Convention, names: Iterable[str] | None) -> Iterator[tuple[str, str, Convention]]:
    for name in names or FIELDS:
        for value in FIELDS[name].values:
            if value != getattr(convention, name):
                yield name, value, convention.but(**{name: value})


def refusing_field(bench: Bench, convention: Convention) -> tuple[str, str] | None:
    """The field whose "error" choice would make the exception right; None: no such field."""
    for name in ("label_out_of_range", "label_negative", "all_ignored_mean", "empty_batch_mean"):
        if getattr(convention, name) != "error" and bench.question(convention.but(**{name: "error"})).refused:
            return name, "error"
    return None


def difference_severity(name: str, value: str) -> Severity:
    """A plausible number for an invalid question is a hazard; any other choice is a difference."""
    silent = (name.startswith("label_") and value in _SILENT) or (name, value) == ("wide_labels", "narrowed")
    return Severity.HAZARD if silent else Severity.DIFFERENCE


def special_classes(compared: Compared) -> list[tuple[str, Array]]:
    """The classes of special values, each with where it holds."""
    r, y = compared.r, compared.y
    f = format_of(compared.dtype)
    infinite, finite = np.isinf(r), np.isfinite(r)
    return [
        ("invented", np.isnan(y) & ~np.isnan(r)),
        ("lost", np.isnan(r) & ~np.isnan(y)),
        ("wrong_infinity", infinite & np.isinf(y) & (np.sign(r) != np.sign(y))),
        ("spurious_overflow", infinite & np.isfinite(y)),
        ("missed_infinity", finite & np.isinf(y)),
        ("saturated", (np.abs(r) == f.largest) & (np.abs(y) >= f.omega)),
        ("spurious_underflow", (r == 0) & (y != 0) & (np.abs(y) < f.smallest_normal / f.u)),
    ]


def accuracy_cause(problem: Problem, subject: Subject, outcome: Answered, part: Assessment) -> tuple[str, Severity]:
    """Why numbers are outside B+: a mechanism confirmed by emulation, a grade, or unexplained."""
    name = mechanisms.reproducing(problem, subject, outcome, part)
    if part.numeric_grade is Grade.B:
        if name in mechanisms.WEAK_SUMS:
            return "weak_sum", Severity.NOTE
        return "unexplained_within_b", Severity.DIFFERENCE
    if part.numeric_grade is Grade.C and name is None:
        return "unexplained_within_c", Severity.BUG
    if part.numeric_grade is Grade.C and name in mechanisms.SUBTRACTING:
        return "separate_logsumexp", Severity.BUG
    return (f"mechanism:{name}" if name else "unexplained"), Severity.BUG
