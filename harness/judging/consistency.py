"""Integrity: what a judgement says of a problem that was asked more than once, or differentiated in another way.

An answer that is not that of the plain call, where it ought to be the same, is a fault of its own, whatever the
numbers look like: the findings about them are put down to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from logitmus.core import causes
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.observation import Answered, Raised
from logitmus.core.problem import Problem

# What the numbers show, and what an answer that differs from the plain one explains; a convention is no such thing.
_EFFECTS: Final = (Kind.ACCURACY, Kind.SPECIAL, Kind.INTEGRITY)
# Its arithmetic is another one: other bits are no fault, as long as they are right.
OWN_ARITHMETIC: Final = ("forward_mode", "second_order")
# A function may refuse it, as long as it says so.
_REFUSABLE: Final = ("backward_twice", "second_order")
NO_SECOND_ORDER: Final = "raises:second_order"


def beside_plain(problem: Problem, outcome: Answered | Raised, judgement: Judgement) -> Judgement:
    """The judgement of an outcome, with what is to be said of it beside the plain call that came first."""
    if isinstance(outcome, Raised):
        return _told(judgement, [_raises(problem, outcome, judgement)]) if outcome.answered_before else judgement
    if not outcome.changed:
        return judgement
    effects = [finding for finding in judgement.findings if _is_effect(finding, outcome, judgement)]
    if not effects and problem.manner in OWN_ARITHMETIC:
        return judgement
    others = [finding for finding in judgement.findings if finding not in effects]
    return _told(judgement, [_changes(problem, outcome, judgement, effects), *others])


def _is_effect(finding: Finding, outcome: Answered, judgement: Judgement) -> bool:
    """Whether it tells of a changed part that is outside its budget."""
    outside = judgement.grade is not None and judgement.grade.rank > Grade.B_PLUS.rank
    return (
        outside
        and finding.part in outcome.changed
        and finding.kind in _EFFECTS
        and finding.severity is not Severity.NOTE
    )


def _changes(problem: Problem, outcome: Answered, judgement: Judgement, effects: Sequence[Finding]) -> Finding:
    """It gave another answer: a bug where that is a wrong one. The worst of its effects is shown."""
    parts = " and ".join(causes.part_name(part) for part in outcome.changed)
    verb = "differ" if len(outcome.changed) > 1 else "differs"
    said = f"the {parts} {verb} from the plain call's"
    if not effects:
        detail = f"{said}, inside the budget"
        return _finding(problem, judgement, Severity.DIFFERENCE, f"changes:{problem.manner}", detail=detail)
    shown = effects[0]
    found = _finding(
        problem,
        judgement,
        Severity.BUG,
        f"changes:{problem.manner}",
        detail="; ".join(filter(None, (said, f"{causes.part_name(shown.part)}: {shown.summary}", shown.detail))),
        expected=shown.expected,
        observed=shown.observed,
    )
    return replace(found, row=shown.row, index=shown.index, ulps=shown.ulps, share=shown.share)


def _raises(problem: Problem, outcome: Raised, judgement: Judgement) -> Finding:
    """It answered the plain call, and then raised."""
    severity = Severity.DIFFERENCE if problem.manner in _REFUSABLE else Severity.BUG
    return _finding(
        problem,
        judgement,
        severity,
        f"raises:{problem.manner}",
        expected="the answer of the plain call",
        observed=f"{outcome.type}: {outcome.message}"[:400],
    )


def _finding(
    problem: Problem,
    judgement: Judgement,
    severity: Severity,
    cause: str,
    *,
    detail: str = "",
    expected: str = "the answer of the plain call",
    observed: str = "another one",
) -> Finding:
    return Finding(
        kind=Kind.INTEGRITY,
        severity=severity,
        subject=judgement.subject,
        problem=problem.id,
        family=problem.family,
        dtype=problem.dtype,
        part="",
        cause=cause,
        summary=causes.summary(cause),
        detail=detail,
        expected=expected,
        observed=observed,
    )


def _told(judgement: Judgement, findings: Sequence[Finding]) -> Judgement:
    ordered = tuple(sorted(findings, key=lambda finding: finding.severity.rank))
    return replace(judgement, verdict=Verdict.FINDING, findings=ordered)
