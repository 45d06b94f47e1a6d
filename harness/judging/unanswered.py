"""Calls without a result: an exception, which may be right, or a call that never returned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.finding import Finding, Kind, Severity
from logitmus.core.observation import Crashed, Garbled, OutOfMemory, Raised, TimedOut
from logitmus.core.problem import ONCE
from logitmus.judging import severity
from logitmus.judging.case import Case
from logitmus.judging.neighbours import refusing_field


def unexpected_exception(case: Case, outcome: Raised) -> Finding | None:
    """The finding about an exception; None: the declared convention expects it, or no exact answer exists."""
    subject, convention = case.subject, case.subject.convention
    if case.question.refused is not None or not case.question.has_answer:
        return None
    observed = f"{outcome.type}: {outcome.message}"[:400]
    name = refusing_field(case.bench, convention)
    if name is None:
        unsupported = outcome.type in ("NotImplementedError", "UnimplementedError")
        weight = Severity.DIFFERENCE if unsupported else Severity.BUG
        cause = Cause.of("raised", outcome.type)
        return case.finding(Kind.CONTRACT, weight, cause, expected="an answer", observed=observed)
    if getattr(convention, name) == "wrap" and bool(np.isnan(case.question.forced).any()):
        return None  # a label is wrapped once at most: beyond that an exception is as right as NaN
    kind, weight = severity.of_contradiction(subject, name)
    if subject.held_to and getattr(PORTABLE, name) == "error":  # it refuses what its reference lets pass
        weight = Severity.NOTE
    cause, expected = Cause.convention(name, "error"), convention.describe(name)
    finding = case.finding(kind, weight, cause, expected=expected, observed=observed)
    return replace(finding, instead=Cause.of("raised", outcome.type))


def no_response(case: Case, outcome: Crashed | TimedOut | OutOfMemory | Garbled) -> Finding:
    """The finding about a call that did not return a result."""
    match outcome:
        case Crashed(status, stderr):
            kind, cause, observed, detail = Kind.CRASH, Cause.of("crashed", status), status, stderr[-600:]
        case TimedOut(seconds):
            calls = "" if case.problem.manner == ONCE else " to all calls of this problem together"
            kind, cause, detail = Kind.TIMEOUT, Cause("timeout"), ""
            observed = f"no answer within {seconds:g} s{calls}"
        case OutOfMemory(limit):
            observed = f"passed {limit / 2**30:.1f} GiB of memory"
            kind, cause, detail = Kind.CRASH, Cause("out_of_memory"), ""
        case Garbled(reason):
            kind, cause, observed, detail = Kind.CONTRACT, Cause("garbled"), reason, reason
    return case.finding(kind, Severity.BUG, cause, expected="an answer", observed=observed, detail=detail)
