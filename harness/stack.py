"""Stacks: rows do not know of each other, so problems that differ in nothing but their rows are assessed as one.

NumPy's cost for a handful of rows is that of its calls. A stack makes the answers, budgets and comparisons of many
problems together, the same arithmetic element by element as for each alone, and hands each problem its own rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np

from logitmus.assess import Assessment, Bench, assess
from logitmus.backend import Subject
from logitmus.observation import Answered, Outcome
from logitmus.problem import Array, Problem

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
        self._rows = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        self._bench = Bench(_together([problem for problem, _ in members]))
        self._outcome = _answers_together([outcome for _, outcome in members])
        self._assessed: dict[tuple[object, ...], list[Assessment]] = {}

    def assess(self, subject: Subject, member: int) -> list[Assessment] | None:
        """`assess` for one member, from the fast tier; None: some of its values need more precision than that."""
        key = (subject.convention, subject.precision[self._bench.problem.dtype])
        if key not in self._assessed:
            question = self._bench.question(subject.convention)
            refused = question.refused is not None
            self._assessed[key] = (
                [] if refused else assess(self._bench, subject, question, self._outcome, ladder=_FIRST_TIER)
            )
        parts = [part.cut(self._rows[member]) for part in self._assessed[key]]
        return None if not parts or any(part.undecided.any() for part in parts) else parts


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
    if problem.target_kind != "labels":
        return True
    labels = problem.targets
    valid = (labels >= 0) & (labels < problem.classes)
    return bool((valid if problem.ignore_index is None else valid | (labels == problem.ignore_index)).all())


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
