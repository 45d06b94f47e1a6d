"""A first look at a function: whether it returns anything that can be judged.

Some functions always raise, are never finite, or return the same or random numbers whatever their inputs. Two dozen
small calls show that within seconds, and hundreds of problems would show nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from logitmus.cases import function_rows
from logitmus.checking.explanation import ask
from logitmus.checking.session import CheckSession
from logitmus.conventions.row_results import LEADS, NOT_REPEATABLE, Observed, never_answered, nothing_to_explain
from logitmus.core.observation import Answered, Crashed, Outcome, OutOfMemory, TimedOut
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.execution.started import Stage

_PROBLEMS: Final = 24
_REPEATED: Final = 8
_LOST: Final = (Crashed, TimedOut, OutOfMemory)


@dataclass(frozen=True)
class FirstLook:
    """What a few calls show.

    Attributes:
        hopeless: what the function does on every call, if that leaves nothing to judge, as a sentence; "": there is.
        answers: whether it returns at all; else it always raises. lost: whether it crashed or hung.
    """

    hopeless: str = ""
    answers: bool = True
    lost: bool = False


def first_look(session: CheckSession) -> FirstLook:
    """What the function does on every call, whatever the inputs and the kind of targets."""
    found = [_look(session.workers, subject) for subject in session.subjects.values()]
    if any(look.lost for look in found):
        return FirstLook(lost=True)
    return found[0] if found and all(look.hopeless for look in found) else FirstLook()


def _look(workers: Stage, subject: Subject) -> FirstLook:
    seen: list[tuple[Problem, Outcome]] = []
    for dtype in (dtype for dtype in LEADS if dtype in subject.offer.dtypes):
        problems = function_rows.problems(dtype, subject.offer.targets, stage=1)[:_PROBLEMS]
        first = list(ask(workers, subject, problems[:1]))
        if any(isinstance(outcome, _LOST) for _, outcome in first):
            return FirstLook(lost=True)  # what crashes or hangs is not called more often than necessary
        first += ask(workers, subject, problems[1:])
        if any(isinstance(outcome, _LOST) for _, outcome in first):
            return FirstLook(lost=True)
        if any(isinstance(outcome, Answered) for _, outcome in first):
            return _of_answers(workers, subject, Observed.of(first, dtype))
        seen += first
    return FirstLook(never_answered(seen), answers=False) if seen else FirstLook()


def _of_answers(workers: Stage, subject: Subject, observed: Observed) -> FirstLook:
    sentence = nothing_to_explain(observed)
    if sentence == NOT_REPEATABLE:
        once = [
            (problem, outcome)
            for problem, outcome in observed.given
            if function_rows.role(problem) == function_rows.PLAIN
        ]
        again = list(ask(workers, subject, [problem for problem, _ in once[:_REPEATED]]))
        sentence = sentence if _is_random(once[:_REPEATED], again) else ""
    return FirstLook(sentence)


def _is_random(once: Sequence[tuple[Problem, Outcome]], again: Sequence[tuple[Problem, Outcome]]) -> bool:
    """Whether the results of the same row differ as much as those of different rows: rounding does not do that."""
    pairs = [
        (float(a.loss.ravel()[0]), float(b.loss.ravel()[0]))
        for (_, a), (_, b) in zip(once, again, strict=True)
        if isinstance(a, Answered) and isinstance(b, Answered) and a.loss.size and b.loss.size
    ]
    if len(pairs) < 2:
        return False
    first, second = np.array(pairs).T
    return bool(np.abs(first - second).max() > np.ptp(first) / 4)
