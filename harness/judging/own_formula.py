"""Results of a function that was measured to compute another formula than its reference (`Subject.model`).

What the formula predicts is one difference, however many results show it. To what it does not predict no convention and
no mechanism is fitted: these are changes of the reference's formula, which the function does not compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Kind
from logitmus.core.observation import Answered
from logitmus.judging.assessment import Part
from logitmus.judging.case import Case
from logitmus.judging.diagnosis import WITHOUT_A_FORMULA, Failure, explained
from logitmus.oracle.model_prediction import predicted
from logitmus.oracle.model_record import from_text

_CAUSE: Final = Cause("other_formula")


def by_its_formula(case: Case, outcome: Answered, parts: Sequence[Part]) -> Iterator[Finding]:
    """A finding about the first values outside their budgets that the formula predicts, and one about each cause of
    those that it does not.
    """
    model = from_text(case.subject.model)
    is_named = False
    for part in parts:
        if part.passes:
            continue
        failing = part.elements.failing
        where = failing & predicted(model, case.problem, part.part, getattr(outcome, part.part)).reshape(failing.shape)
        if where.any() and not is_named:
            is_named = True
            found = case.worst_element(part.elements, where, Kind.CONVENTION, catalogue.severity(_CAUSE), _CAUSE)
            yield replace(found, summary=f"{found.summary}: {model.phrase()}")
        failure = Failure(case, outcome, part.elements, parts[0])
        yield from explained(failure, failing & ~where, WITHOUT_A_FORMULA)
