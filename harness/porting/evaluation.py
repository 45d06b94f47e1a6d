"""Evaluation of a few subjects: by running them, or by predicting their results from their declarations.

Both have the same interface, so that the search for differences does not depend on the kind of evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from logitmus.cases.suite import suite
from logitmus.conventions.card import Card
from logitmus.conventions.measure import measure
from logitmus.core.backend import Usage
from logitmus.core.events import BackendFailed
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.subject import Subject
from logitmus.execution import registry
from logitmus.execution.ask_backend import InquiryError
from logitmus.execution.pool import Observed, Pool
from logitmus.execution.registry import BackendSpec
from logitmus.oracle.answer import WIDE, answer
from logitmus.oracle.resolve import resolve

Call = tuple[Subject, Problem]
FAMILY: Final = "convention-probes"


@dataclass(frozen=True)
class Evaluation:
    """Subjects, and how to evaluate them.

    Attributes:
        subjects: all that can be evaluated. measured: whether they are run.
        put: calls -> their results, in the same order.
    """

    subjects: tuple[Subject, ...]
    put: Callable[[Sequence[Call]], list[Outcome]]
    measured: bool

    def cards(self, subjects: Sequence[Subject]) -> list[Card]:
        """The measured convention of each."""
        probes = list(suite("default", families=[FAMILY]))
        outcomes = iter(self.put([(subject, probe) for subject in subjects for probe in probes]))
        return [measure(subject, [(probe, next(outcomes)) for probe in probes]) for subject in subjects]


@contextmanager
def started(specs: Sequence[BackendSpec]) -> Iterator[Evaluation]:
    """Subjects that run in workers.

    Raises:
        InquiryError: a backend cannot run.
    """
    with Pool(specs) as pool:
        subjects: list[Subject] = []
        for event in pool.describe():
            if isinstance(event, BackendFailed):
                raise InquiryError(f"{event.backend}: {event.reason}", event.hint)
            subjects += (subject for subject in event.subjects if not subject.has_switch)
        yield Evaluation(tuple(subjects), lambda calls: _put(pool, calls), measured=True)


def _put(pool: Pool, calls: Sequence[Call]) -> list[Outcome]:
    """Make each call once, even if it is listed repeatedly."""
    wanted = {(subject.id, problem.id): (subject.why_not(problem), problem) for subject, problem in calls}

    found: dict[tuple[str, str], Outcome] = {
        key: NotRun(reason) for key, (reason, _) in wanted.items() if reason is not None
    }
    for event in pool.ask((problem, subject) for (subject, _), (reason, problem) in wanted.items() if reason is None):
        if isinstance(event, Observed):
            found[event.observation.subject, event.problem.id] = event.observation.outcome
        elif isinstance(event, BackendFailed):
            raise InquiryError(f"{event.backend}: {event.reason}", event.hint)
    return [found[subject.id, problem.id] for subject, problem in calls]


def as_declared(specs: Sequence[BackendSpec], devices: Sequence[str]) -> Evaluation:
    """Subjects that are not run: the result is the exact answer under the declared convention.

    Built-in backends only: no framework is imported to describe them.
    """
    subjects = tuple(
        replace(subject, backend=spec.name)
        for spec in specs
        if (backend := registry.backend_of(spec)) is not None
        for subject in backend.subjects(devices)
        if not subject.has_switch
    )
    return Evaluation(subjects, lambda calls: [predicted(*call) for call in calls], measured=False)


def usage_of(subject: Subject, specs: Sequence[BackendSpec]) -> Usage:
    """How the function is called in code; empty if only its worker knows."""
    for spec in specs:
        backend = registry.backend_of(spec) if spec.name == subject.backend else None
        for function in backend.functions if backend is not None else ():
            if function.name == subject.function:
                return function.usage
    return Usage()


def predicted(subject: Subject, problem: Problem) -> Outcome:
    """What a subject that keeps its convention does, correctly rounded."""
    reason = subject.why_not(problem)
    if reason is not None:
        return NotRun(reason)
    question = resolve(problem, subject.convention)
    if question.refused is not None:
        return Raised("", question.refused)
    if question.rows and bool(question.unjudged.any()):
        return NotRun("no rule that can be stated")
    dtype = subject.precision[problem.dtype].result
    exact = answer(question, bits=WIDE)
    dense = problem.target_kind == TargetKind.PROBABILITIES
    return Answered(
        exact.loss.rounded(dtype).reshape(problem.batch if question.reduction == "none" else ()),
        exact.grad_logits.rounded(dtype).reshape(problem.logits.shape),
        exact.grad_targets.rounded(dtype).reshape(problem.logits.shape) if dense else None,
    )
