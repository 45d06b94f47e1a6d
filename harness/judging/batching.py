"""Stacks: rows do not know of each other, so problems that differ in nothing but their rows are assessed as one.

NumPy's cost for a handful of rows is that of its calls. A stack makes the answers, budgets and comparisons of many
problems together, the same arithmetic element by element as for each alone, and hands each problem its own rows. What
is said of a problem in one word is made for all of them at once, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, NamedTuple

import numpy as np

from logitmus.core.finding import Grade
from logitmus.core.floats import Array
from logitmus.core.observation import Answered, Outcome
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.judging.assessment import Assessment, Bench, assess, graded

_FIRST_TIER: Final = (None,)


class Call(NamedTuple):
    """What `subject` did with `problem`."""

    problem: Problem
    subject: Subject
    outcome: Outcome


class Stack:
    """What subjects of one declaration answered to problems that can be stacked."""

    def __init__(self, members: Sequence[tuple[Problem, Answered]]) -> None:
        ends = list(accumulate(problem.rows for problem, _ in members))
        self._places = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        self._bench = Bench(_together([problem for problem, _ in members]))
        self._outcome = _answers_together([outcome for _, outcome in members])
        self._assessed: dict[tuple[object, ...], list[_Members]] = {}

    def assess(self, subject: Subject, member: int) -> Sequence[Assessment] | None:
        """`assess` for one member, from the fast tier; None: some of its values need more precision than that.

        An exception that is right for any member keeps all of them from being assessed here.
        """
        question = self._bench.question(subject.convention)
        key = (question.key, subject.precision[self._bench.problem.dtype])
        if key not in self._assessed:
            parts = (
                assess(self._bench, subject, question, self._outcome, ladder=_FIRST_TIER)
                if question.refused is None
                else []
            )
            self._assessed[key] = [_Members(part, self._places) for part in parts]
        found = [_Member(members, member) for members in self._assessed[key]]
        return found if found and all(part.decided for part in found) else None


class _Members:
    """One part of a whole stack, and what is said of each member in one word: lists, by the member's place."""

    def __init__(self, whole: Assessment, places: Sequence[slice]) -> None:
        self.whole = whole
        self.places = places
        self._starts = [place.start for place in places]
        self._inside: dict[str, list[bool]] = {}

    @cached_property
    def decided(self) -> list[bool]:
        return self._each(np.logical_and, ~self.whole.undecided)

    @cached_property
    def judges(self) -> list[bool]:
        return self._each(np.logical_or, self.whole.judged)

    @cached_property
    def coarse(self) -> list[bool]:
        return self._each(np.logical_or, self.whole.coarse_rows)

    @cached_property
    def share(self) -> list[float]:
        return self._each(np.maximum, self.whole.share_rows)

    @cached_property
    def ulps(self) -> list[float]:
        return self._each(np.maximum, self.whole.ulps_rows)

    @cached_property
    def absorbed(self) -> list[int]:
        return self._each(np.add, self.whole.absorbed_rows.astype(np.int64))

    def inside(self, name: str) -> list[bool]:
        """Whether all that counts is inside the budget of that name (`assess.graded`)."""
        if name not in self._inside:
            self._inside[name] = self._each(np.logical_and, getattr(self.whole, name) | ~self.whole.judged)
        return self._inside[name]

    def _each(self, together: np.ufunc, values: Array) -> list[Any]:
        by_row = values if values.ndim == 1 else together.reduce(values, axis=1)
        return together.reduceat(by_row, self._starts).tolist()


def _rows_of(name: str) -> Any:
    """Of a member: its own rows of something that the whole stack has."""

    def get(self: _Member) -> Any:
        value, rows = getattr(self.members.whole, name), self.members.places[self.place]
        return value[rows] if isinstance(value, np.ndarray) else value.cut(rows)

    return cached_property(get)


def _word_of(name: str) -> Any:
    """Of a member: its own of the words that were found for all."""
    return property(lambda self: getattr(self.members, name)[self.place])


class _Member(Assessment):
    """The assessment of one member, as if it had been asked alone; its rows are cut out when they are looked at."""

    members: _Members
    place: int

    def __init__(self, members: _Members, place: int) -> None:
        of = members.whole
        vars(self).update(  # it is frozen, as all assessments are
            part=of.part, answer=of.answer, roundoffs=of.roundoffs, bench=of.bench, members=members, place=place
        )

    within = _rows_of("within")
    judged = _rows_of("judged")
    undecided = _rows_of("undecided")
    exact = _rows_of("exact")
    compared = _rows_of("compared")
    shares = _rows_of("shares")
    share_rows = _rows_of("share_rows")
    ulps_rows = _rows_of("ulps_rows")
    absorbed_rows = _rows_of("absorbed_rows")
    coarse_rows = _rows_of("coarse_rows")
    clearly_accurate = _rows_of("clearly_accurate")
    inside_a = _rows_of("inside_a")
    inside_b = _rows_of("inside_b")
    inside_c = _rows_of("inside_c")

    decided = _word_of("decided")
    judges = _word_of("judges")
    coarse = _word_of("coarse")
    share = _word_of("share")
    ulps = _word_of("ulps")
    absorbed = _word_of("absorbed")

    @property
    def holds(self) -> bool:
        return self.members.inside("within")[self.place]

    @cached_property
    def grade(self) -> Grade:
        return graded(lambda name: self.members.inside(name)[self.place])


def stacks(calls: Sequence[Call]) -> dict[int, tuple[Stack, int]]:
    """By position in `calls`: the stack that a call belongs to, and its place there."""
    groups: dict[tuple[object, ...], list[tuple[int, Problem, Answered]]] = {}
    for n, (problem, subject, outcome) in enumerate(calls):
        if isinstance(outcome, Answered) and _stackable(problem, outcome):
            groups.setdefault(_common(problem, subject, outcome), []).append((n, problem, outcome))
    found: dict[int, tuple[Stack, int]] = {}
    for members in groups.values():
        if len(members) > 1:
            stack = Stack([(problem, outcome) for _, problem, outcome in members])
            found.update((n, (stack, place)) for place, (n, _, _) in enumerate(members))
    return found


def _stackable(problem: Problem, outcome: Answered) -> bool:
    """Rows of their own, labels in range (else an exception may be right, for this problem alone), shapes that fit."""
    if problem.reduction != "none" or len(problem.batch) != 1 or not problem.rows or not problem.classes:
        return False
    if outcome.loss.shape != problem.batch or any(
        gradient is not None and gradient.shape != problem.logits.shape
        for gradient in (outcome.grad_logits, outcome.grad_targets)
    ):
        return False
    return problem.has_valid_labels


def _common(problem: Problem, subject: Subject, outcome: Answered) -> tuple[object, ...]:
    """What the members of a stack have in common."""
    return (
        problem.dtype,
        problem.classes,
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


def _together(problems: Sequence[Problem]) -> Problem:
    """One problem with the rows of all."""
    first = problems[0]
    labels = first.target_kind == "labels"
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


def _answers_together(outcomes: Sequence[Answered]) -> Answered:
    def joined(results: Sequence[Array | None]) -> Array | None:
        there = [result for result in results if result is not None]
        return np.concatenate(there) if there else None

    return Answered(
        np.concatenate([outcome.loss for outcome in outcomes]),
        joined([outcome.grad_logits for outcome in outcomes]),
        joined([outcome.grad_targets for outcome in outcomes]),
    )
