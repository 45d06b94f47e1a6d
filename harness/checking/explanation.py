"""What a function under check computes: the problems of a model, asked of its worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from logitmus.checking import reference
from logitmus.checking.session import CheckSession
from logitmus.conventions.ask_function import ask_and_explain
from logitmus.conventions.explain_function import FunctionExplanation
from logitmus.conventions.model_parameters import inputs_of, is_another_formula, parameters_of
from logitmus.conventions.row_results import LEADS
from logitmus.core.causes import Cause
from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.observation import Crashed, NotRun, Outcome, OutOfMemory, TimedOut
from logitmus.core.problem import Problem, TargetKind
from logitmus.core.subject import Subject
from logitmus.execution.pool import Observed
from logitmus.execution.started import Stage
from logitmus.oracle.model_record import to_text

Asking = Callable[[Stage, Subject, Sequence[Problem]], Iterable[tuple[Problem, Outcome]]]


def explanations(session: CheckSession) -> dict[TargetKind, FunctionExplanation]:
    """The explanation of the function, by the kind of targets.

    Raises:
        LostWorkerError: if the function crashes or hangs; the session's workers are then gone.
    """
    return {kind: explanation(session.workers, subject, _ask_alive) for kind, subject in session.subjects.items()}


def as_measured(explained: FunctionExplanation, subject: Subject) -> Subject:
    """The subject, judged by what it computes, if that is not what it should: by parameters, or by another formula.

    What takes probabilities, or their logarithms, is then given no other numbers (`Subject.why_not`).

    An uncertain model changes nothing: where another fits as well, where it does not hold for all dtypes, results or
    batches, or where the logits were halves, whose results say few bits. One that holds for all dtypes but float64 is
    certain enough: in that dtype, what it does not predict remains to be explained.
    """
    model = explained.model
    uncertain = explained.alternatives or (explained.qualifier and not explained.but_float64)
    if model is None or uncertain or not model.batch.reduction:
        return subject
    if FLOAT_DTYPES[model.precisions.logits].itemsize < FLOAT_DTYPES["float32"].itemsize:
        return subject
    inputs = inputs_of(model)
    parameters = parameters_of(model, subject.convention)
    if not parameters and is_another_formula(model):
        return replace(subject, model=to_text(model), convention=subject.convention.but(inputs=inputs))
    if inputs != subject.convention.inputs:  # what else it differs in may be beyond parameters
        parameters = {"inputs": inputs, **parameters}
    return reference.with_parameters(subject, parameters) if parameters else subject


def explanation(workers: Stage, subject: Subject, asking: Asking | None = None) -> FunctionExplanation:
    """The explanation of a subject of these workers, from problems in the first dtype that it takes."""
    dtypes = [dtype for dtype in LEADS if dtype in subject.offer.dtypes]
    return ask_and_explain(partial(asking or ask, workers, subject), subject.offer.targets, dtypes)


def deviations(explained: FunctionExplanation, subject: Subject) -> tuple[Cause, ...]:
    """The parts of a model that the convention of the subject does not have, as causes `computes:part=choice`."""
    promised = {f"reduction={subject.convention.default_reduction}"}
    if subject.convention.ignore_default == "-100":
        promised |= {"label_-100=left_out", "label_-100=zero"}
    return tuple(Cause.of("computes", part.id) for part in explained.components if part.id not in promised)


_FATES: Final = {
    "zero": "counts as a loss of 0, in the divisor of the mean, too",
    "wrap": "is counted from the other end",
    "clamp": "is taken for the nearest class",
    "nan": "is NaN",
}


def unjudged_labels(explained: FunctionExplanation, subject: Subject) -> str:
    """What a function without `ignore_index` does with the label that its reference ignores, if not that; else "".

    Such labels are part of no problem for it: without these words the check would pass over what its model says.
    """
    convention, model = subject.convention, explained.model
    if model is None or convention.ignore_default == "none" or "ignore_index" in subject.offer.options:
        return ""
    fate = model.batch.unusual.get(int(convention.ignore_default), "")
    alike = fate == "zero" and (model.batch.reduction != "mean" or convention.mean_denominator == "rows")
    if fate not in _FATES or alike:
        return ""
    return (
        f"a row labelled {convention.ignore_default} {_FATES[fate]}; {subject.held_to} leaves it out. This is not "
        "judged, because the function has no parameter ignore_index"
    )


class LostWorkerError(LogitmusError):
    """The function crashed or hung while it was asked for a model, at `problem`."""

    exit_code = Exit.INTERNAL_ERROR

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"no answer to {problem!r}")
        self.problem = problem


def ask(workers: Stage, subject: Subject, problems: Sequence[Problem]) -> Iterator[tuple[Problem, Outcome]]:
    """The outcome of each problem; what the subject does not offer is not run."""
    pairs = []
    for problem in problems:
        reason = subject.why_not(problem)
        if reason is None:
            pairs.append((problem, subject.id))
        else:
            yield problem, NotRun(reason)
    for event in workers.ask(pairs):
        if isinstance(event, Observed):
            yield event.problem, event.observation.outcome


def _ask_alive(workers: Stage, subject: Subject, problems: Sequence[Problem]) -> Iterator[tuple[Problem, Outcome]]:
    """The same; at the first crash or hang the workers are ended."""
    for problem, outcome in ask(workers, subject, problems):
        if isinstance(outcome, Crashed | TimedOut | OutOfMemory):
            raise LostWorkerError(problem)
        yield problem, outcome
