"""Switches: a result with a setting of the process, compared with the result of the same call without it.

Both are judged by themselves, each under its own declaration. A fault that only the result with the switch has is the
switch's: one fault has many symptoms, so the worst of them is reported, with both results. A difference inside both
budgets is none. A fault that both have is the function's, and is reported once, for the function without the switch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Judgement, Kind, Severity, Verdict
from logitmus.core.floats import FLOAT_DTYPES, Array, decimal, dtype_name
from logitmus.core.observation import Answered, Crashed, Garbled, NotRun, Outcome, OutOfMemory, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject

_SHOWN: Final = 6  # values of a result that is shown whole
# Claims about every result of a function, which a single result does not prove (`engine.refutation`).
_OF_ALL_RESULTS: Final = ("effective_precision", "separate_logsumexp")
# Faults of a result's form, whatever its values.
_OF_FORM: Final = ("shape", "dtype", "no_gradient", "garbled")


class Result(NamedTuple):
    """A result and its judgement."""

    outcome: Outcome
    judgement: Judgement


def beside_default(problem: Problem, subject: Subject, switched: Result, plain: Result) -> Judgement:
    """The judgement of a result with a switch: its findings that the result without the switch lacks.

    They are put down to the switch, but for what the switch is declared to change.
    """
    if plain.judgement.verdict is Verdict.NOT_RUN:
        return switched.judgement
    shared = {finding.fault for finding in plain.judgement.findings}
    kept: list[Finding] = []
    changes: list[Finding] = []
    for finding in switched.judgement.findings:
        if finding.fault not in shared:
            expected = finding.severity is Severity.NOTE or _is_declared(finding, subject)
            (kept if expected else changes).append(finding)
    if not changes:
        return replace(switched.judgement, findings=tuple(kept))
    worst, cause = changes[0], Cause.of("switch", subject.variant)
    finding = replace(
        worst,
        cause=cause,
        summary=catalogue.summary(cause),
        alternatives=(),
        effect=None if worst.alternatives or worst.cause.name in _OF_ALL_RESULTS else worst.cause,
        without=_shown(problem, plain.outcome, worst),
    )
    ordered = sorted([finding, *kept], key=lambda finding: finding.severity.rank)
    return replace(switched.judgement, findings=tuple(ordered))


def _is_declared(finding: Finding, subject: Subject) -> bool:
    """Whether it is a choice, of the convention or of the precision, that is declared for the switch, and kept."""
    cause = finding.cause
    if cause.name == "effective_precision":
        return finding.kind is not Kind.CLAIM
    return cause.is_convention and getattr(subject.convention, cause.field or "") == cause.value


def _shown(problem: Problem, outcome: Outcome, finding: Finding) -> str:
    """The outcome in words: the value that the finding is about, or what there is in its place."""
    match outcome:
        case Answered():
            result = getattr(outcome, finding.part or "loss")
            return "no gradient" if result is None else _value(problem, result, finding)
        case Raised(name, message):
            return f"{name}: {message}"[:400]
        case TimedOut():
            return "no answer in time"
        case Crashed() | OutOfMemory() | Garbled() | NotRun():
            return "no result"


def _value(problem: Problem, result: Array, finding: Finding) -> str:
    place = finding.row or 0
    if finding.index is not None:
        place = place * problem.classes + finding.index
    dtype, flat = dtype_name(result), result.reshape(-1)
    if finding.cause.name in _OF_FORM or dtype not in FLOAT_DTYPES or place >= flat.size:
        return f"{dtype}{list(result.shape)}"
    if finding.row is None and flat.size > 1:
        return np.array2string(flat[:_SHOWN].astype(np.float64), precision=6)
    return decimal(float(flat[place]), dtype)
