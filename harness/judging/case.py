"""A case: what a subject did with a problem, with all that the judge needs to say something of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from logitmus.core import causes
from logitmus.core.finding import Finding, Judgement, Kind, Severity, Verdict
from logitmus.core.floats import Array
from logitmus.core.observation import Answered, Crashed, Garbled, OutOfMemory, TimedOut
from logitmus.core.problem import ONCE, Problem
from logitmus.core.subject import Subject
from logitmus.judging.assessment import Assessment, Bench, assess
from logitmus.judging.batching import Stack
from logitmus.oracle.question import Question


@dataclass(frozen=True)
class Case:
    """One pair, and its place in a stack, if it is in one."""

    problem: Problem
    subject: Subject
    bench: Bench
    stack: Stack | None = None
    place: int = 0

    @cached_property
    def question(self) -> Question:
        """What it is asked under its declared convention."""
        return self.bench.question(self.subject.convention)

    def stacked(self, subject: Subject) -> Sequence[Assessment] | None:
        """`assess` from the stack, for what many of its problems are likely to be asked; None: it has to be alone."""
        return None if self.stack is None else self.stack.assess(subject, self.place)

    def assess(self, subject: Subject, outcome: Answered) -> Sequence[Assessment]:
        """`assess` from the stack, or alone."""
        parts = self.stacked(subject)
        if parts is None:
            parts = assess(self.bench, subject, self.bench.question(subject.convention), outcome)
        return parts

    def judgement(self, verdict: Verdict, *, findings: list[Finding] | None = None, **more: object) -> Judgement:
        ordered = tuple(sorted(findings or (), key=lambda f: f.severity.rank))
        return Judgement(
            subject=self.subject.id,
            problem=self.problem.id,
            family=self.problem.family,
            dtype=self.problem.dtype,
            verdict=verdict,
            findings=ordered,
            **more,  # type: ignore[arg-type]
        )

    def finding(self, kind: Kind, severity: Severity, cause: str, **more: object) -> Finding:
        fields: dict[str, object] = {"summary": causes.summary(cause), "part": "", **more}
        return Finding(
            kind=kind,
            severity=severity,
            subject=self.subject.id,
            problem=self.problem.id,
            family=self.problem.family,
            dtype=self.problem.dtype,
            cause=cause,
            **fields,  # type: ignore[arg-type]
        )

    def lost(self, outcome: Crashed | TimedOut | OutOfMemory | Garbled) -> Finding:
        match outcome:
            case Crashed(status, stderr):
                kind, cause, observed, detail = Kind.CRASH, f"crashed:{status}", status, stderr[-600:]
            case TimedOut(seconds):
                calls = "" if self.problem.manner == ONCE else " to all calls of this problem together"
                kind, cause, observed, detail = Kind.TIMEOUT, "timeout", f"no answer within {seconds:g} s{calls}", ""
            case OutOfMemory(limit):
                observed = f"passed {limit / 2**30:.1f} GiB of memory"
                kind, cause, detail = Kind.CRASH, "out_of_memory", ""
            case Garbled(reason):
                kind, cause, observed, detail = Kind.CONTRACT, "garbled", reason, reason
        return self.finding(kind, Severity.BUG, cause, expected="an answer", observed=observed, detail=detail)

    def worst_element(self, part: Assessment, where: Array, kind: Kind, severity: Severity, cause: str) -> Finding:
        """A finding about that of the elements `where` which uses most of its budget (the first that is no number)."""
        compared, enclosure = part.compared, part.exact
        shares = np.where(compared.numeric, part.shares, np.inf)
        score = np.where(where, shares, -1.0)
        index = tuple(map(int, np.unravel_index(int(score.argmax()), score.shape))) if score.shape else ()
        ulps, share = float(compared.cut(index).ulps()), float(part.shares[index])
        return self.finding(
            kind,
            severity,
            cause,
            part=part.part,
            detail=f"{int(where.sum())} of {where.size} values",
            expected=enclosure.describe(index),
            observed=causes.number(compared.r[index], compared.dtype),
            row=index[0] if index else None,
            index=index[1] if len(index) > 1 else None,
            ulps=None if np.isnan(ulps) else ulps,
            share=share if compared.numeric[index] else None,
        )
