"""Consistency: results of repeated calls, and of other ways to differentiate, compared with the plain call.

A result that differs from the plain call's where it should be the same is a fault of its own, however accurate it is.
Findings about the changed values are its effects, and are reported as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.computed_logits import COMPUTED
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict, part_name
from logitmus.core.observation import Answered, Raised
from logitmus.core.problem import Problem

# Findings about values, which a result that differs from the plain call's explains; it does not explain a convention.
_EFFECTS: Final = (Kind.ACCURACY, Kind.SPECIAL, Kind.INTEGRITY)
# These compute by other formulas: different bits are no fault, as long as they are accurate.
OWN_ARITHMETIC: Final = ("forward_mode", "second_order", *COMPUTED)
# A function may raise an exception here.
_REFUSABLE: Final = ("backward_twice", "second_order")
NO_SECOND_ORDER: Final = Cause("raises:second_order")


def beside_plain(problem: Problem, outcome: Answered | Raised, judgement: Judgement) -> Judgement:
    """The judgement of an outcome, with findings about its differences from the plain call before it."""
    if isinstance(outcome, Raised):
        return (
            _with_findings(judgement, [_raises(problem, outcome, judgement)]) if outcome.answered_before else judgement
        )
    if not outcome.changed:
        return judgement
    effects = [finding for finding in judgement.findings if _is_effect(finding, outcome, judgement)]
    if not effects and problem.manner in OWN_ARITHMETIC:
        return judgement
    others = [finding for finding in judgement.findings if finding not in effects]
    return _with_findings(judgement, [_changes(problem, outcome, judgement, effects), *others])


def _is_effect(finding: Finding, outcome: Answered, judgement: Judgement) -> bool:
    """Whether a finding is about a changed part that is outside its budget."""
    outside = judgement.grade is not None and judgement.grade.rank > Grade.B_PLUS.rank
    return (
        outside
        and finding.part in outcome.changed
        and finding.kind in _EFFECTS
        and finding.severity is not Severity.NOTE
    )


def _changes(problem: Problem, outcome: Answered, judgement: Judgement, effects: Sequence[Finding]) -> Finding:
    """The finding that the result changed: a bug if it is now wrong. It shows the worst effect."""
    parts = " and ".join(part_name(part) for part in outcome.changed)
    verb = "differ" if len(outcome.changed) > 1 else "differs"
    message = f"the {parts} {verb} from the plain call's"
    if not effects:
        detail = f"{message}, inside the budget"
        return _finding(problem, judgement, Severity.DIFFERENCE, Cause.of("changes", problem.manner), detail=detail)
    shown = effects[0]
    found = _finding(
        problem,
        judgement,
        Severity.BUG,
        Cause.of("changes", problem.manner),
        detail="; ".join(filter(None, (message, f"{part_name(shown.part)}: {shown.summary}", shown.detail))),
        expected=shown.expected,
        observed=shown.observed,
    )
    return replace(found, row=shown.row, index=shown.index, ulps=shown.ulps, share=shown.share)


def _raises(problem: Problem, outcome: Raised, judgement: Judgement) -> Finding:
    """The finding that a function raised an exception after a plain call that returned."""
    severity = Severity.DIFFERENCE if problem.manner in _REFUSABLE else Severity.BUG
    return _finding(
        problem,
        judgement,
        severity,
        Cause.of("raises", problem.manner),
        expected="the result of the plain call",
        observed=f"{outcome.type}: {outcome.message}"[:400],
    )


def _finding(
    problem: Problem,
    judgement: Judgement,
    severity: Severity,
    cause: Cause,
    *,
    detail: str = "",
    expected: str = "the result of the plain call",
    observed: str = "a different result",
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
        summary=catalogue.summary(cause),
        detail=detail,
        expected=expected,
        observed=observed,
    )


def _with_findings(judgement: Judgement, findings: Sequence[Finding]) -> Judgement:
    ordered = tuple(sorted(findings, key=lambda finding: finding.severity.rank))
    return replace(judgement, verdict=Verdict.FINDING, findings=ordered)
