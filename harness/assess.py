"""Assessment: one part of a result (loss or a gradient) beside one answer at one precision.

The middle of the judge: what is within which budget, without yet asking why not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from logitmus.backend import Precision, Subject
from logitmus.budget import Budget, Roundoffs
from logitmus.convention import Convention
from logitmus.finding import Grade
from logitmus.observation import Answered
from logitmus.oracle import ARB_BITS, FAST, Answer, answer
from logitmus.problem import Array, Problem
from logitmus.question import Question, ask
from logitmus.verdict import Compared, compare


@dataclass(eq=False)
class Bench:
    """What the judge knows about one problem: its questions, answers and budgets, each made once."""

    problem: Problem
    _questions: dict[Convention, Question] = field(default_factory=dict)
    _answers: dict[tuple[object, ...], Answer] = field(default_factory=dict)
    _budgets: dict[tuple[object, ...], Budget] = field(default_factory=dict)

    def question(self, convention: Convention) -> Question:
        if convention not in self._questions:
            self._questions[convention] = ask(self.problem, convention)
        return self._questions[convention]

    def answer(self, question: Question, bits: int | None = None) -> Answer:
        """Float64 logits always go to Arb: their budgets are as narrow as the float64 tier's own error."""
        wanted = bits or (ARB_BITS[0] if self.problem.dtype == "float64" else FAST)
        key = (question.key, wanted)
        if key not in self._answers:
            self._answers[key] = answer(question, bits=wanted)
        return self._answers[key]

    def budget(self, exact: Answer, roundoffs: Roundoffs, grade: Grade) -> Budget:
        key = (exact.question.key, exact.bits, roundoffs, grade)
        if key not in self._budgets:
            self._budgets[key] = Budget(exact, roundoffs, grade)
        return self._budgets[key]


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """One part (loss or a gradient) of an observation beside one answer at one precision.

    Attributes:
        within: elements inside B+ for sure (or not judged). judged: elements that count.
        undecided: elements on which the ends of the enclosure disagree at the highest precision.
        grade: the best budget that holds every judged element; numeric_grade: every one that is a number.
        share, ulps: the worst over finite elements. shares: |r - y| over the B+ budget, elementwise.
        coarse: the budget would let any number pass. answer, compared: the evidence.
    """

    part: str
    within: Array
    judged: Array
    undecided: Array
    grade: Grade
    numeric_grade: Grade
    absorbed: int
    share: float
    ulps: float
    shares: Array
    coarse: bool
    answer: Answer
    compared: Compared

    @property
    def passes(self) -> bool:
        return bool(self.within.all()) or self.coarse

    @property
    def failing(self) -> Array:
        return ~self.within & self.judged & ~self.undecided


def assess_part(
    bench: Bench, question: Question, part: str, result: Array, precision: Precision, *, flushes: bool
) -> Assessment:
    """Judge one part of a result (canonical shape) against the answer to `question` at `precision`."""
    dtype = result.dtype.name
    roundoffs = Roundoffs.of(replace(precision, result=dtype), flushes=flushes)
    ladder = [None, *(ARB_BITS[1:] if bench.problem.dtype == "float64" else ARB_BITS)]
    for bits in ladder:
        exact = bench.answer(question, bits)
        enclosure = getattr(exact, part)
        compared = compare(result.reshape(enclosure.shape), enclosure, dtype, flushing=flushes)
        judged = _judged(question, part, enclosure.shape)
        if part == "grad_targets":
            judged = judged & ~_no_product(exact)
        budget = bench.budget(exact, roundoffs, Grade.B_PLUS)
        surely, possibly = compared.within(getattr(budget, part))
        undecided = (surely != possibly) & judged
        if not undecided.any():
            break
    shares = _shares(compared, getattr(budget, part))
    grade = _grade(bench, exact, roundoffs, compared, judged, surely, part)
    numeric = judged & compared.numeric
    return Assessment(
        part=part,
        within=surely | ~judged,
        judged=judged,
        undecided=undecided,
        grade=grade,
        numeric_grade=_grade(bench, exact, roundoffs, compared, numeric, surely, part) if grade is Grade.F else grade,
        absorbed=int((compared.absorbed(getattr(budget, part)) & judged).sum()) if part == "loss" else 0,
        share=_worst(shares, judged),
        shares=shares,
        ulps=_worst(compared.ulps(), judged & compared.numeric),
        coarse=_coarse(budget, question, getattr(budget, part)[judged]),
        answer=exact,
        compared=compared,
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


def _coarse(budget: Budget, question: Question, allowed: Array) -> bool:
    """The budget would let any number pass: v S > 1/16, a divisor that may be 0, or no finite bound at all."""
    kept = question.kept & ~question.unjudged
    return bool((budget.coarse & kept).any()) or budget.ill_posed or bool(np.isinf(allowed).any())


def _grade(
    bench: Bench, exact: Answer, roundoffs: Roundoffs, compared: Compared, judged: Array, b_plus: Array, part: str
) -> Grade:
    holds = bool((b_plus | ~judged).all())
    if holds and _clearly_accurate(compared, roundoffs, judged):
        return Grade.A
    for grade in (Grade.A,) if holds else (Grade.B, Grade.C):
        surely, _ = compared.within(getattr(bench.budget(exact, roundoffs, grade), part))
        if bool((surely | ~judged).all()):
            return grade
    return Grade.B_PLUS if holds else Grade.F


def _clearly_accurate(compared: Compared, roundoffs: Roundoffs, judged: Array) -> bool:
    """Well inside the part of A's budget that needs no work, 8u |y| + 2 th_u."""
    with np.errstate(invalid="ignore", over="ignore"):
        close = compared.distance + compared.uncertainty <= 7 * roundoffs.u * np.abs(compared.y) + roundoffs.th_u
    return bool((close | compared.same | ~judged).all())


def _shares(compared: Compared, budget: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        share = compared.distance / budget
    return np.where(compared.same | (compared.distance == 0), 0.0, share)


def _worst(values: Array, counted: Array) -> float:
    counted = counted & np.isfinite(values)
    return float(values[counted].max()) if counted.any() else 0.0


def assess(bench: Bench, subject: Subject, question: Question, outcome: Answered) -> list[Assessment]:
    """Every part that came back, judged at the declared precision."""
    precision = subject.precision[bench.problem.dtype]
    return [
        assess_part(bench, question, name, result, precision, flushes=subject.flushes_subnormals)
        for name, result in present_parts(subject, outcome)
    ]


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
