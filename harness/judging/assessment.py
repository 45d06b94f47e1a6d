"""Assessment: a part of a result (loss or a gradient) compared with its exact values at a precision.

It says which elements are within which budget, and not why the others are outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import EllipsisType
from typing import Final, Literal, Protocol

import numpy as np

from logitmus.core.finding import Grade
from logitmus.core.floats import Array, dtype_name
from logitmus.core.observation import Answered
from logitmus.core.subject import Precision, Subject
from logitmus.judging.bench import Bench
from logitmus.judging.budget import Roundoffs
from logitmus.judging.comparison import Compared
from logitmus.oracle.answer import ARB_BITS, Answer
from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.question import Question

LADDER: Final = (None, *ARB_BITS)

Rows = slice | tuple[int, EllipsisType]  # rows of an answer; with the ellipsis, an array of a single value, shape ()

# The tests of a grade, by name; the cheap ones settle most results.
Mask = Literal["within", "clearly_accurate", "inside_a", "inside_b", "inside_c"]


@dataclass(frozen=True, slots=True)
class Scores:
    """One part of a result, summed up over its elements.

    Attributes:
        judges: whether any element is judged. coarse: whether the budget of any row would let any number pass.
        grade: the best budget that holds every judged element.
        share, ulps: the largest distance, as a share of B+ and in ulps. absorbed, undecided: the number of elements.
    """

    judges: bool
    coarse: bool
    grade: Grade
    share: float
    ulps: float
    absorbed: int
    undecided: int


class Part(Protocol):
    """One part of a result, assessed: by itself (`Assessment`) or in a batch of problems (`batching.BatchedPart`)."""

    @property
    def part(self) -> str:
        """The name: "loss", "grad_logits" or "grad_targets"."""

    @property
    def holds(self) -> bool:
        """Whether every element is inside B+ for certain, or not judged."""

    @property
    def passes(self) -> bool:
        """Whether it holds, or the budget is too coarse to judge."""

    @property
    def judges(self) -> bool:
        """Whether any element is judged."""

    @property
    def scores(self) -> Scores:
        """The part, summed up."""

    @property
    def elements(self) -> Assessment:
        """The part, element by element."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Assessment:
    """A part (loss or a gradient) of a result, compared with an answer at a precision.

    Everything but the verdicts on the elements is computed on demand: most of the precisions and conventions that a
    diagnosis tries need only `passes`.

    Attributes:
        within: elements inside B+ for certain (or not judged). judged: elements that count.
        undecided: elements on which the ends of the enclosure disagree at the highest precision.
        exact, compared: the exact values, and the distances from them. answer: the source of the exact values.
        rows: the rows of the answer that this assessment covers; None: all of them.
    """

    part: str
    within: Array
    judged: Array
    undecided: Array
    exact: Enclosure
    compared: Compared
    answer: Answer
    roundoffs: Roundoffs
    bench: Bench = field(repr=False)
    rows: Rows | None = None

    def cut(self, rows: Rows) -> Assessment:
        """The assessment of some rows; for an answer without a reduction."""
        return replace(
            self,
            within=self.within[rows],
            judged=self.judged[rows],
            undecided=self.undecided[rows],
            exact=self.exact.cut(rows),
            compared=self.compared.cut(rows),
            rows=rows,
        )

    @property
    def elements(self) -> Assessment:
        return self

    @property
    def holds(self) -> bool:
        return bool(self.within.all())

    @property
    def decided(self) -> bool:
        """Whether this precision of the oracle decided every element."""
        return not self.undecided.any()

    @property
    def judges(self) -> bool:
        return bool(self.judged.any())

    @property
    def passes(self) -> bool:
        return self.holds or self.coarse

    @property
    def failing(self) -> Array:
        return ~self.within & self.judged & ~self.undecided

    @cached_property
    def shares(self) -> Array:
        """|r - y| over the B+ budget."""
        compared = self.compared
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            share = compared.distance / self._allowed(Grade.B_PLUS)
        return np.where(compared.same | (compared.distance == 0), 0.0, share)

    @cached_property
    def share_rows(self) -> Array:
        """(R,): the worst share of B+ in each row, over finite elements; of a reduction, ()."""
        return _worst(self.shares, self.judged)

    @cached_property
    def ulps_rows(self) -> Array:
        """(R,): the worst distance in each row, over finite elements, in ulps of the exact value; or ()."""
        return _worst(self.compared.ulps(), self.judged & self.compared.numeric)

    @cached_property
    def absorbed_rows(self) -> Array:
        """(R,) or (): losses of 0 inside the budget, where the exact loss is not 0."""
        if self.part != "loss":
            return np.zeros(self.judged.shape[:1], bool)
        return np.asarray(self.compared.absorbed(self._allowed(Grade.B_PLUS)) & self.judged)

    @cached_property
    def coarse_rows(self) -> Array:
        """(R,): the budget would let any number pass: v S > 1/16, a divisor that may be 0, or no finite bound at all.

        A reduction is as coarse as any of its rows.
        """
        question = self.answer.question
        budget = self.bench.budget(self.answer, self.roundoffs, Grade.B_PLUS)
        boundless: Array = np.asarray(np.isinf(self._allowed(Grade.B_PLUS)) & self.judged)
        if boundless.ndim == 2:
            boundless = np.asarray(boundless.any(axis=1))
        elif boundless.ndim == 0 and self.rows is None:
            boundless = np.broadcast_to(boundless, question.rows)
        coarse = budget.coarse & question.kept & ~question.unjudged
        return (coarse if self.rows is None else coarse[self.rows]) | boundless | budget.ill_posed

    @cached_property
    def clearly_accurate(self) -> Array:
        """Well inside the part of A's budget that needs no work, 8u |y| + 2 th_u."""
        compared, r = self.compared, self.roundoffs
        with np.errstate(invalid="ignore", over="ignore"):
            close = compared.distance + compared.uncertainty <= 7 * r.u * np.abs(compared.y) + r.th_u
        return np.asarray(close | compared.same)

    @cached_property
    def inside_a(self) -> Array:
        return self._inside(Grade.A)

    @cached_property
    def inside_b(self) -> Array:
        return self._inside(Grade.B)

    @cached_property
    def inside_c(self) -> Array:
        return self._inside(Grade.C)

    @property
    def share(self) -> float:
        """The largest share of B+ that an element uses."""
        return float(self.share_rows.max(initial=0.0))

    @cached_property
    def scores(self) -> Scores:
        return Scores(
            judges=self.judges,
            coarse=self.coarse,
            grade=self.grade,
            share=self.share,
            ulps=float(self.ulps_rows.max(initial=0.0)),
            absorbed=int(self.absorbed_rows.sum()),
            undecided=int(self.undecided.sum()),
        )

    @cached_property
    def coarse(self) -> bool:
        """Whether the budget of any row would let any number pass."""
        return bool(self.coarse_rows.any())

    @cached_property
    def grade(self) -> Grade:
        """The best budget that holds every judged element."""
        return self._grade(self.judged)

    @cached_property
    def numeric_grade(self) -> Grade:
        """The best budget that holds every judged element that is a number."""
        return self._grade(self.judged & self.compared.numeric) if self.grade is Grade.F else self.grade

    def _grade(self, judged: Array) -> Grade:
        def holds(mask: Mask) -> bool:
            return bool((getattr(self, mask) | ~judged).all())

        return best_grade(holds)

    def _allowed(self, grade: Grade) -> Array:
        allowed: Array = getattr(self.bench.budget(self.answer, self.roundoffs, grade), self.part)
        return allowed if self.rows is None else allowed[self.rows]

    def _inside(self, grade: Grade) -> Array:
        surely, _ = self.compared.within(self._allowed(grade))
        return surely


def best_grade(holds: Callable[[Mask], bool]) -> Grade:
    """The best budget that holds every element that counts.

    Args:
        holds: whether every such element is in this mask of an `Assessment`; the cheap masks are tried first.
    """
    if holds("within"):
        return Grade.A if holds("clearly_accurate") or holds("inside_a") else Grade.B_PLUS
    return Grade.B if holds("inside_b") else Grade.C if holds("inside_c") else Grade.F


def assess_part(
    bench: Bench,
    question: Question,
    part: str,
    result: Array,
    precision: Precision,
    *,
    flushes: bool,
    ladder: Sequence[int | None] = LADDER,
) -> Assessment:
    """Assess a part of a result (canonical shape) against the answer to `question` at `precision`.

    Args:
        ladder: the oracle's precisions to try until every element is decided; None is the fast tier.
    """
    dtype = dtype_name(result)
    actual = precision if precision.result == dtype else replace(precision, result=dtype)
    roundoffs = Roundoffs.of(actual, flushes=flushes)
    for bits in ladder:
        exact = bench.answer(question, bits)
        compared = bench.compared(result, exact, part, flushing=flushes)
        judged = _judged(question, part, compared.y.shape)
        if part == "grad_targets":
            judged = judged & ~_no_product(exact)
        surely, possibly = compared.within(getattr(bench.budget(exact, roundoffs, Grade.B_PLUS), part))
        undecided = (surely != possibly) & judged
        if not undecided.any():
            break
    return Assessment(
        part=part,
        within=surely | ~judged,
        judged=judged,
        undecided=undecided,
        exact=getattr(exact, part),
        answer=exact,
        compared=compared,
        roundoffs=roundoffs,
        bench=bench,
    )


def _judged(question: Question, part: str, shape: tuple[int, ...]) -> Array:
    rows = ~question.unjudged
    if part != "loss":
        if question.fixed is not None:  # no convention defines the gradient of the mean of no rows
            rows = np.zeros_like(rows)
        rows = rows & (question.forced == 1.0)
        if question.open_infinities:
            return rows[:, None] & ~(np.isposinf(question.x) & question.kept[:, None])
        return np.broadcast_to(rows[:, None], shape)
    if shape == ():
        return np.array(not question.unjudged.any())
    return rows


def _no_product(exact: Answer) -> Array:
    """(R, K): where a cotangent or weight of 0 meets an infinite -log p: no convention defines the product."""
    question = exact.question
    special: Array = exact.workspace.lost | np.isposinf(question.x).any(axis=1)
    infinite: Array = np.isneginf(question.log_inputs) | special[:, None]
    weight = np.ones(question.classes) if question.weight is None else question.weight
    return np.asarray(infinite & ((question.upstream[:, None] == 0) | (weight == 0)[None, :]))


def _worst(values: Array, counted: Array) -> Array:
    """The largest finite counted value, along the last of two axes."""
    worst = np.where(counted & np.isfinite(values), values, 0.0)
    return np.asarray(worst.max(axis=1, initial=0.0) if worst.ndim == 2 else worst)


def assess(
    bench: Bench,
    subject: Subject,
    question: Question,
    outcome: Answered,
    *,
    ladder: Sequence[int | None] = LADDER,
) -> list[Assessment]:
    """Every part that was returned, assessed at the declared precision."""
    return list(assessing(bench, subject, question, outcome, ladder=ladder))


def assessing(
    bench: Bench,
    subject: Subject,
    question: Question,
    outcome: Answered,
    *,
    ladder: Sequence[int | None] = LADDER,
    first: str | None = None,
) -> Iterator[Assessment]:
    """`assess`, part by part on demand, with the part named `first` before the others."""
    precision, flushes = subject.precision[bench.problem.dtype], subject.flushes_subnormals
    for name, result in sorted(present_parts(subject, outcome), key=lambda part: part[0] != first):
        yield assess_part(bench, question, name, result, precision, flushes=flushes, ladder=ladder)


def present_parts(subject: Subject, outcome: Answered) -> list[tuple[str, Array]]:
    """The parts that were returned, without a target gradient that the convention declares absent."""
    results = {"loss": outcome.loss, "grad_logits": outcome.grad_logits, "grad_targets": outcome.grad_targets}
    if subject.convention.target_gradient == "none":
        results["grad_targets"] = None
    return [(name, _narrowed(subject, result)) for name, result in results.items() if result is not None]


def _narrowed(subject: Subject, result: Array) -> Array:
    """The result; as float32 where float64 inputs are declared to be narrowed, whatever its dtype."""
    if subject.convention.wide_inputs == "kept" or result.dtype != np.float64:
        return result
    with np.errstate(over="ignore"):
        return result.astype(np.float32)
