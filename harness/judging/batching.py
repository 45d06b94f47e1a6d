"""Batches: problems that differ only in their rows are assessed together.

So are single rows whose loss is a sum or a mean, which are all that a function without another reduction gets.

For a handful of rows, NumPy's cost is the number of calls. A batch computes the answers, budgets and comparisons of
many problems together, with the same arithmetic element by element as for each alone, and sums them up for each problem
(`Scores`). The elements of a problem are cut out only where a rule of the judge looks at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, NamedTuple

import numpy as np

from logitmus.core.floats import Array
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.subject import Subject
from logitmus.judging.assessment import Assessment, Mask, Part, Scores, assess, best_grade
from logitmus.judging.bench import Bench
from logitmus.oracle.question import Question

_FIRST_TIER: Final = (None,)


class Call(NamedTuple):
    """A problem, the subject that was called with it, and the outcome."""

    problem: Problem
    subject: Subject
    outcome: Outcome


class Batch:
    """The results of subjects with the same declaration on problems that differ only in their rows."""

    def __init__(self, members: Sequence[tuple[Problem, Answered]]) -> None:
        ends = list(accumulate(problem.rows for problem, _ in members))
        self._rows = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        self._bench = Bench(_joined_problem([problem for problem, _ in members]))
        self._outcome = _joined_result([outcome for _, outcome in members])
        first, _ = members[0]
        self._single = None if first.reduction == "none" else Bench(first)
        self._assessed: dict[tuple[object, ...], list[_WholePart]] = {}

    def assess(self, subject: Subject, place: int) -> Sequence[Part] | None:
        """`assess` for the problem at `place`, from the fast tier; None: it has to be assessed alone.

        That is so if some of its values need more precision, if the convention expects an exception, or if it divides
        the mean of a single row by another number than 1.
        """
        question = self._bench.question(subject.convention)
        of_single = None if self._single is None else self._single.question(subject.convention)
        key = (question.key, of_single and of_single.key, subject.precision[self._bench.problem.dtype])
        if key not in self._assessed:
            self._assessed[key] = []
            if question.refused is None and (of_single is None or _is_its_row(of_single, question)):
                question = replace(question, single_rows=of_single is not None)
                parts = assess(self._bench, subject, question, self._outcome, ladder=_FIRST_TIER)
                self._assessed[key] = [_WholePart(part, self._rows) for part in parts]
        whole = self._assessed[key]
        if not whole or not all(part.decided[place] for part in whole):
            return None
        return [BatchedPart(part, place) for part in whole]


def _is_its_row(of_single: Question, joined: Question) -> bool:
    """Whether a reduction of each single row is the value of that row."""
    return of_single.reduction != "none" and of_single.denominator == 1 and bool(joined.kept.all())


class _WholePart:
    """One part of a whole batch, and its totals for each problem: lists, in the order of the problems."""

    def __init__(self, assessment: Assessment, rows: Sequence[slice]) -> None:
        self.assessment = assessment
        self.rows = rows
        self._starts = [problem.start for problem in rows]
        self._inside: dict[Mask, list[bool]] = {}

    @cached_property
    def decided(self) -> list[bool]:
        return self._totals(np.logical_and, ~self.assessment.undecided)

    @cached_property
    def judges(self) -> list[bool]:
        return self._totals(np.logical_or, self.assessment.judged)

    @cached_property
    def coarse(self) -> list[bool]:
        return self._totals(np.logical_or, self.assessment.coarse_rows)

    @cached_property
    def holds(self) -> list[bool]:
        return self.inside("within")

    @cached_property
    def shares(self) -> list[float]:
        return self._totals(np.maximum, self.assessment.share_rows)

    @cached_property
    def ulps(self) -> list[float]:
        return self._totals(np.maximum, self.assessment.ulps_rows)

    @cached_property
    def absorbed(self) -> list[int]:
        return self._totals(np.add, self.assessment.absorbed_rows.astype(np.int64))

    def cut(self, place: int) -> Assessment:
        """The assessment of a problem; of a single row, whose loss is reduced, an array of shape ()."""
        rows = self.rows[place]
        single = self.assessment.answer.question.single_rows and self.assessment.part == "loss"
        return self.assessment.cut((rows.start, ...) if single else rows)

    def scores(self, place: int) -> Scores:
        """The totals of a problem."""
        return Scores(
            judges=self.judges[place],
            coarse=self.coarse[place],
            grade=best_grade(lambda mask: self.inside(mask)[place]),
            share=self.shares[place],
            ulps=self.ulps[place],
            absorbed=self.absorbed[place],
            undecided=0,  # else the problem is assessed alone
        )

    def inside(self, mask: Mask) -> list[bool]:
        """Whether every element that counts is in this mask."""
        if mask not in self._inside:
            array = getattr(self.assessment, mask)
            self._inside[mask] = self._totals(np.logical_and, array | ~self.assessment.judged)
        return self._inside[mask]

    def _totals(self, operation: np.ufunc, values: Array) -> list[Any]:
        by_row = values if values.ndim == 1 else operation.reduce(values, axis=1)
        return operation.reduceat(by_row, self._starts).tolist()


@dataclass(frozen=True, eq=False)
class BatchedPart:
    """A part of the result on a problem of a batch."""

    whole: _WholePart
    place: int

    @property
    def part(self) -> str:
        return self.whole.assessment.part

    @property
    def holds(self) -> bool:
        return self.whole.holds[self.place]

    @property
    def passes(self) -> bool:
        return self.holds or self.whole.coarse[self.place]

    @property
    def judges(self) -> bool:
        return self.whole.judges[self.place]

    @cached_property
    def scores(self) -> Scores:
        return self.whole.scores(self.place)

    @cached_property
    def elements(self) -> Assessment:
        return self.whole.cut(self.place)


def batches(calls: Sequence[Call]) -> dict[int, tuple[Batch, int]]:
    """The batch that a call belongs to, and its place there, by the position in `calls`."""
    groups: dict[tuple[object, ...], list[tuple[int, Problem, Answered]]] = {}
    for n, (problem, subject, outcome) in enumerate(calls):
        if isinstance(outcome, Answered) and _can_be_joined(problem, outcome):
            groups.setdefault(_common(problem, subject, outcome), []).append((n, problem, outcome))
    found: dict[int, tuple[Batch, int]] = {}
    for members in groups.values():
        if len(members) > 1:
            batch = Batch([(problem, outcome) for _, problem, outcome in members])
            found.update((n, (batch, place)) for place, (n, _, _) in enumerate(members))
    return found


def _can_be_joined(problem: Problem, outcome: Answered) -> bool:
    """Whether its rows are independent, its labels valid (else an exception may be right) and its shapes correct."""
    if len(problem.batch) != 1 or not problem.rows or not problem.classes:
        return False
    reduced = problem.reduction != "none"
    if reduced and (problem.rows > 1 or problem.weight is not None):
        return False
    if outcome.loss.shape != (() if reduced else problem.batch) or any(
        gradient is not None and gradient.shape != problem.logits.shape
        for gradient in (outcome.grad_logits, outcome.grad_targets)
    ):
        return False
    return problem.has_valid_labels


def _common(problem: Problem, subject: Subject, outcome: Answered) -> tuple[object, ...]:
    """What all problems of a batch have in common."""
    return (
        problem.dtype,
        problem.classes,
        problem.reduction,
        problem.target_kind,
        problem.ignore_index,
        problem.label_smoothing,
        None if problem.weight is None else problem.weight.tobytes(),
        subject.convention,
        subject.precision[problem.dtype],
        subject.flushes_subnormals,
        outcome.loss.dtype,
        None if outcome.grad_logits is None else outcome.grad_logits.dtype,
        None if outcome.grad_targets is None else outcome.grad_targets.dtype,
    )


def _joined_problem(problems: Sequence[Problem]) -> Problem:
    """One problem with the rows of all."""
    first = problems[0]
    labels = first.target_kind == TargetKind.LABELS
    ones = np.ones(1, first.logits.dtype)
    return Problem(
        logits=np.concatenate([p.logits for p in problems]),
        targets=np.concatenate([p.targets.astype(np.int64) if labels else p.targets for p in problems]),
        weight=first.weight,
        ignore_index=first.ignore_index,
        label_smoothing=first.label_smoothing,
        cotangent=np.concatenate(
            [np.broadcast_to(ones if p.cotangent is None else p.cotangent, p.batch) for p in problems]
        ),
    )


def _joined_result(outcomes: Sequence[Answered]) -> Answered:
    """One result with the rows of all; whether there are gradients is common to them."""
    return Answered(
        np.concatenate([outcome.loss.reshape(-1) for outcome in outcomes]),
        _joined([outcome.grad_logits for outcome in outcomes]),
        _joined([outcome.grad_targets for outcome in outcomes]),
    )


def _joined(results: Sequence[Array | None]) -> Array | None:
    present = [result for result in results if result is not None]
    return np.concatenate(present) if present else None
