"""Assessment: one part of a result (loss or a gradient) beside one answer at one precision.

The middle of the judge: what is within which budget, without yet asking why not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np

from logitmus.core.convention import Convention
from logitmus.core.finding import Grade
from logitmus.core.floats import Array, dtype_name
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.core.relevance import concerned
from logitmus.core.subject import Precision, Subject
from logitmus.judging.budget import Budget, Roundoffs
from logitmus.judging.comparison import Compared, compare
from logitmus.oracle.answer import ARB_BITS, FAST, WIDE, Answer, answer
from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.question import Question, ask
from logitmus.oracle.softmax import Softmaxes

LADDER: Final = (None, *ARB_BITS)


@dataclass(eq=False)
class Bench:
    """What the judge knows about one problem: its questions, answers and budgets, each made once."""

    problem: Problem
    _questions: dict[tuple[str, ...], Question] = field(default_factory=dict)
    _answers: dict[tuple[object, ...], Answer] = field(default_factory=dict)
    _softmaxes: Softmaxes = field(default_factory=Softmaxes)
    _budgets: dict[tuple[object, ...], Budget] = field(default_factory=dict)
    _compared: dict[tuple[object, ...], tuple[Array, Compared]] = field(default_factory=dict)

    def question(self, convention: Convention) -> Question:
        choices = self._concerned(convention)
        if choices not in self._questions:
            self._questions[choices] = ask(self.problem, convention)
        return self._questions[choices]

    @cached_property
    def _concerned(self) -> Callable[[Convention], tuple[str, ...]]:
        return concerned(self.problem)

    def answer(self, question: Question, bits: int | None = None) -> Answer:
        """Float64 logits always need more than float64: their budgets are as narrow as that tier's own error."""
        wanted = bits or (WIDE if self.problem.dtype == "float64" else FAST)
        key = (question.key, wanted)
        if key not in self._answers:
            self._answers[key] = answer(question, bits=wanted, softmaxes=self._softmaxes)
        return self._answers[key]

    def compared(self, result: Array, exact: Answer, part: str, *, flushing: bool) -> Compared:
        """One part beside its exact values; kept, for it is asked for at several precisions."""
        key = (id(result), exact.question.key, exact.bits, part, flushing)
        if key not in self._compared:
            enclosure = getattr(exact, part)
            made = compare(result.reshape(enclosure.shape), enclosure, dtype_name(result), flushing=flushing)
            self._compared[key] = result, made  # with the result, so that its id stays its own
        return self._compared[key][1]

    def budget(self, exact: Answer, roundoffs: Roundoffs, grade: Grade) -> Budget:
        key = (exact.question.key, exact.bits, roundoffs, grade)
        if key not in self._budgets:
            self._budgets[key] = Budget(exact, roundoffs, grade)
        return self._budgets[key]


@dataclass(frozen=True, kw_only=True, eq=False)
class Assessment:
    """One part (loss or a gradient) of an observation beside one answer at one precision.

    What every reader needs is there from the start; the rest is computed when asked for, as most precisions and
    conventions that are tried are only asked whether they fit.

    Attributes:
        within: elements inside B+ for sure (or not judged). judged: elements that count.
        undecided: elements on which the ends of the enclosure disagree at the highest precision.
        exact, compared: the evidence. answer: where the exact values come from.
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

    @property
    def holds(self) -> bool:
        """Whether every element is inside B+ for sure, or not judged."""
        return bool(self.within.all())

    @property
    def decided(self) -> bool:
        """Whether this precision of the oracle decided every element."""
        return not self.undecided.any()

    @property
    def judges(self) -> bool:
        """Whether any element is judged."""
        return bool(self.judged.any())

    @property
    def passes(self) -> bool:
        return self.holds or self.coarse

    @property
    def failing(self) -> Array:
        return ~self.within & self.judged & ~self.undecided

    # --- elementwise, or by row ----------------------------------------------------------------------------------

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
        """(R,) or (): losses that are 0 where the exact one is not, inside the budget."""
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
        if boundless.ndim != 1:
            boundless = (
                np.asarray(boundless.any(axis=1)) if boundless.ndim else np.broadcast_to(boundless, question.rows)
            )
        return (budget.coarse & question.kept & ~question.unjudged) | boundless | budget.ill_posed

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

    # --- in one word ---------------------------------------------------------------------------------------------

    @property
    def share(self) -> float:
        return float(self.share_rows.max(initial=0.0))

    @property
    def ulps(self) -> float:
        return float(self.ulps_rows.max(initial=0.0))

    @property
    def absorbed(self) -> int:
        return int(self.absorbed_rows.sum())

    @cached_property
    def coarse(self) -> bool:
        """Whether any row is."""
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
        def holds(name: str) -> bool:
            return bool((getattr(self, name) | ~judged).all())

        return graded(holds)

    def _allowed(self, grade: Grade) -> Array:
        allowed: Array = getattr(self.bench.budget(self.answer, self.roundoffs, grade), self.part)
        return allowed

    def _inside(self, grade: Grade) -> Array:
        surely, _ = self.compared.within(self._allowed(grade))
        return surely


def graded(holds: Callable[[str], bool]) -> Grade:
    """The best budget that holds all that counts; `holds` is asked of arrays of an `Assessment`, cheap ones first."""
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
    """Judge one part of a result (canonical shape) against the answer to `question` at `precision`.

    Args:
        ladder: the oracle's precisions to try until every element is decided; None is the fast tier.
    """
    dtype = dtype_name(result)
    kept = precision if precision.result == dtype else replace(precision, result=dtype)
    roundoffs = Roundoffs.of(kept, flushes=flushes)
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
        if question.fixed is not None:  # the mean of nothing has no gradient that a convention names
            rows = np.zeros_like(rows)
        rows = rows & (question.forced == 1.0)
        if question.open_infinities:
            return rows[:, None] & ~np.isposinf(question.x)
        return np.broadcast_to(rows[:, None], shape)
    if shape == ():
        return np.array(not question.unjudged.any())
    return rows


def _no_product(exact: Answer) -> Array:
    """(R, K): where a cotangent or weight of 0 meets an infinite -log p; nobody says what their product is."""
    question = exact.question
    special: Array = exact.workspace.lost | np.isposinf(question.x).any(axis=1)
    infinite: Array = np.isneginf(question.log_inputs) | special[:, None]
    weight = np.ones(question.classes) if question.weight is None else question.weight
    return np.asarray(infinite & ((question.upstream[:, None] == 0) | (weight == 0)[None, :]))


def _worst(values: Array, counted: Array) -> Array:
    """The largest finite one of those counted, along the last of two axes."""
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
    """Every part that came back, judged at the declared precision."""
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
    """The same one by one, for who may need no more than the first; the part called `first` before the others."""
    precision, flushes = subject.precision[bench.problem.dtype], subject.flushes_subnormals
    for name, result in sorted(present_parts(subject, outcome), key=lambda part: part[0] != first):
        yield assess_part(bench, question, name, result, precision, flushes=flushes, ladder=ladder)


def present_parts(subject: Subject, outcome: Answered) -> list[tuple[str, Array]]:
    """The parts that came back, but for a gradient that the convention says there is none of."""
    results = {"loss": outcome.loss, "grad_logits": outcome.grad_logits, "grad_targets": outcome.grad_targets}
    if subject.convention.target_gradient == "none":
        results["grad_targets"] = None
    return [(name, _narrowed(subject, result)) for name, result in results.items() if result is not None]


def _narrowed(subject: Subject, result: Array) -> Array:
    """A gradient that was computed in float32 and handed back as float64 is judged as the float32 that it is."""
    if subject.convention.wide_inputs == "kept" or result.dtype != np.float64:
        return result
    with np.errstate(over="ignore"):
        return result.astype(np.float32)
