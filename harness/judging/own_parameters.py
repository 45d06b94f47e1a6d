"""Parameters that a function under check applies by itself, and its reference does not: a label smoothing, say.

`logitmus.checking` measures them before it tests the function (`Subject.promised`). The function is then judged by what
it computes: one difference is reported as one, and everything else that is wrong with it still shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.convention import Convention
from logitmus.core.finding import Finding, Kind
from logitmus.core.observation import Answered
from logitmus.core.parameters import PARAMETERS
from logitmus.core.subject import Precision, Subject
from logitmus.judging import severity
from logitmus.judging.assessment import Part
from logitmus.judging.case import Case


def as_promised(case: Case, outcome: Answered) -> Sequence[Part] | None:
    """The parts of a result that is what the reference promises, though not what the function does elsewhere: it may
    apply its parameters in some dtypes alone. None: it is not, or the function has no parameters of its own.
    """
    promised = case.subject.promised
    if promised is None or case.bench.question(promised).refused is not None:
        return None
    parts = case.assess(_held_to(case.subject, promised), outcome)
    return parts if all(part.passes for part in parts) else None


def applies_own_parameters(case: Case, outcome: Answered, parts: Sequence[Part]) -> Iterator[Finding]:
    """Each parameter without which this result, right as the function was measured to be, would be wrong.

    Where several do not matter one by one, but together, the first stands for them.
    """
    subject, promised = case.subject, case.subject.promised
    if promised is None or not all(part.passes for part in parts):
        return
    outside = _failing(case, outcome, promised)
    if outside is None:
        return
    causes = dict(_each_reverted(subject.convention, promised))
    # Without a single difference, the convention is what is promised.
    alone = len(causes) == 1
    needed = [cause for cause, convention in causes.items() if alone or _failing(case, outcome, convention)]
    held = replace(subject, convention=promised)
    for cause in needed or list(causes)[:1]:
        elements, (name, value) = outside.elements, cause.choice
        if cause.is_convention:
            kind, weight = severity.of_contradiction(held, name)
            found = case.worst_element(elements, elements.failing, kind, weight, cause)
            yield replace(found, summary=severity.contradiction(held, name, value))
        else:
            found = case.worst_element(elements, elements.failing, Kind.CONVENTION, catalogue.severity(cause), cause)
            promise = f"by {subject.held_to} it is {getattr(promised.parameters, name):.12g}"
            yield replace(found, detail=f"{promise}; {found.detail}")


def _each_reverted(own: Convention, promised: Convention) -> Iterator[tuple[Cause, Convention]]:
    """What differs, as causes, and for each the function's own convention with the promised value of it alone."""
    for name in PARAMETERS:
        value, wanted = getattr(own.parameters, name), getattr(promised.parameters, name)
        if value != wanted:
            yield Cause.parameter(name, value), replace(own, parameters=replace(own.parameters, **{name: wanted}))
    for name, (choice, other) in own.differences(promised).items():
        yield Cause.convention(name, choice), own.but(**{name: other})


def _failing(case: Case, outcome: Answered, convention: Convention) -> Part | None:
    """The first part of the result that is outside its budget under this convention."""
    question = case.bench.question(convention)
    if question.key == case.question.key or question.refused is not None:
        return None
    parts = case.assess(_held_to(case.subject, convention), outcome)
    return next((part for part in parts if not part.passes), None)


def _held_to(subject: Subject, convention: Convention) -> Subject:
    """The subject under another convention, and as precise as that: its own may narrow float64 inputs, say."""
    precision = dict(subject.precision)
    if subject.convention.wide_inputs == "narrowed" and convention.wide_inputs == "kept":
        precision["float64"] = Precision("float64", "float64", "float64")
    return replace(subject, convention=convention, precision=precision, promised=None)
