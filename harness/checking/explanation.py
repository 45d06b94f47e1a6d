"""What the function under check computes: the problems of a model, asked in the session of the check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from logitmus.checking.session import CheckSession
from logitmus.conventions.explain_function import FunctionExplanation, converse, explain_function
from logitmus.conventions.row_results import LEADS
from logitmus.core.observation import NotRun, Outcome
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.subject import Subject
from logitmus.execution.pool import Observed


def explanations(session: CheckSession) -> dict[TargetKind, FunctionExplanation]:
    """The explanation of the function, by the kind of targets."""
    found: dict[TargetKind, FunctionExplanation] = {}
    for kind, subject in session.subjects.items():
        dtypes = [dtype for dtype in LEADS if dtype in subject.offer.dtypes]
        found[kind] = explain_function(converse(partial(ask, session, subject), kind, dtypes))
    return found


def ask(session: CheckSession, subject: Subject, problems: Sequence[Problem]) -> Iterator[tuple[Problem, Outcome]]:
    """The outcome of each problem; what the subject does not offer is not run."""
    pairs = []
    for problem in problems:
        reason = subject.why_not(problem)
        if reason is None:
            pairs.append((problem, subject.id))
        else:
            yield problem, NotRun(reason)
    for event in session.workers.ask(pairs):
        if isinstance(event, Observed):
            yield event.problem, event.observation.outcome
