"""The effective precision of half-precision functions: which storage and arithmetic explain the result?

A coarser precision is only a wider budget, which holds the results of other faults, too. If a logsumexp that is formed
and then subtracted reproduces every value outside the declared budget, the finding has that cause as an alternative,
and the other results of the function decide (`engine.settling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Grade, Kind, Severity
from logitmus.core.observation import Answered
from logitmus.core.subject import Precision
from logitmus.judging import mechanisms
from logitmus.judging.assessment import Part
from logitmus.judging.case import Case

_HALF: Final = ("bfloat16", "float16")
_SUBTRACTED: Final = "logsumexp_formed_and_then_subtracted"


def coarser_precision(case: Case, outcome: Answered, parts: Sequence[Part]) -> list[Finding]:
    """The finest precision that explains a half-precision result, if it is coarser than float32.

    The finding shows the value that float32 storage and arithmetic explain least.
    """
    dtype, subject = case.problem.dtype, case.subject
    if dtype not in _HALF or subject.convention.inputs != "logits":
        return []
    declared = subject.precision[dtype]
    levels = [("float32", "float32"), (dtype, "float32"), (dtype, dtype)]  # (storage, arithmetic), finest first
    claimed = (declared.storage, declared.arithmetic)
    in_float32 = parts
    for rank, (storage, arithmetic) in enumerate(levels):
        at_level = parts
        if (storage, arithmetic) != claimed:
            level = Precision(declared.result, storage, arithmetic)
            at_level = case.assess(replace(subject, precision={dtype: level}), outcome)
        if rank == 0:
            in_float32 = at_level
        if all(part.holds for part in at_level):
            break
    else:
        return []
    coarser_than_claimed = claimed in levels and rank > levels.index(claimed)
    # A function that is checked against a reference need not be more precise than it.
    if rank == 0 or (subject.held_to and not coarser_than_claimed):
        return []
    kind = Kind.CLAIM if coarser_than_claimed and not subject.held_to else Kind.ACCURACY
    elements = [part.elements for part in in_float32]
    worst = max((e for e in elements if e.failing.any()), key=lambda e: e.share, default=parts[0].elements)
    where = worst.failing if worst.failing.any() else worst.judged
    cause = Cause.effective_precision(storage, arithmetic)
    found = case.worst_element(worst, where, kind, Severity.DIFFERENCE, cause)
    if explains_failures(case, [found]) and _is_subtraction(case, outcome, parts):
        found = replace(found, alternatives=(catalogue.of_mechanism(_SUBTRACTED),))
    return [found]


def explains_failures(case: Case, coarser: Sequence[Finding]) -> bool:
    """Whether a coarser precision than declared accounts for every value outside its budget."""
    return any(finding.kind is Kind.CLAIM or case.subject.held_to for finding in coarser)


def _is_subtraction(case: Case, outcome: Answered, parts: Sequence[Part]) -> bool:
    """Whether a logsumexp that is formed and then subtracted reproduces every value outside its budget."""
    failing = [part.elements for part in parts if not part.passes]
    return bool(failing) and all(
        part.numeric_grade is Grade.C
        and _SUBTRACTED in mechanisms.all_reproducing(case.problem, case.subject, outcome, part)
        for part in failing
    )
