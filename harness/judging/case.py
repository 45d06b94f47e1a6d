"""A case: a result to be judged, with everything that the rules of the judge need to make findings of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.finding import Finding, Judgement, Kind, Severity, Verdict
from logitmus.core.floats import Array, decimal
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.judging.assessment import Assessment, Part, assess
from logitmus.judging.batching import Batch
from logitmus.judging.bench import Bench
from logitmus.oracle.question import Question


@dataclass(frozen=True)
class Case:
    """A subject and a problem, and the place of the result in its batch, if any."""

    problem: Problem
    subject: Subject
    bench: Bench
    batch: Batch | None = None
    place: int = 0

    @cached_property
    def question(self) -> Question:
        """The problem under the declared convention."""
        return self.bench.question(self.subject.convention)

    @property
    def refused(self) -> str | None:
        """Why the declared convention expects an exception; None: it expects a result."""
        return self.question.refused if self._batched is None else None  # no batch expects an exception

    @property
    def has_answer(self) -> bool:
        """Whether any exact value exists."""
        return self.question.has_answer if self._batched is None else self._batched[0].judges

    def parts(self, outcome: Answered) -> Sequence[Part]:
        """Every part of the result under the declared convention; from the batch if all of them pass.

        The diagnosis of a part that does not pass needs the problem's own answer.
        """
        batched = self._batched
        if batched is not None and all(part.passes for part in batched):
            return batched
        return assess(self.bench, self.subject, self.question, outcome)

    def assess(self, subject: Subject, outcome: Answered) -> Sequence[Part]:
        """Every part under another declaration: from the batch, as other problems of it need the same; or alone."""
        parts = self.from_batch(subject)
        if parts is None:
            parts = assess(self.bench, subject, self.bench.question(subject.convention), outcome)
        return parts

    def from_batch(self, subject: Subject) -> Sequence[Part] | None:
        """Every part under another declaration, from the batch; None: it has to be assessed alone."""
        return None if self.batch is None else self.batch.assess(subject, self.place)

    @cached_property
    def _batched(self) -> Sequence[Part] | None:
        return self.from_batch(self.subject)

    def judgement(self, verdict: Verdict, *, findings: Sequence[Finding] = (), **fields: object) -> Judgement:
        """A judgement of this case, its findings in order of severity."""
        return Judgement(
            subject=self.subject.id,
            problem=self.problem.id,
            family=self.problem.family,
            dtype=self.problem.dtype,
            verdict=verdict,
            findings=tuple(sorted(findings, key=lambda finding: finding.severity.rank)),
            **fields,  # type: ignore[arg-type]
        )

    def finding(self, kind: Kind, severity: Severity, cause: Cause, **fields: object) -> Finding:
        """A finding about this case."""
        fields = {"summary": catalogue.summary(cause), "part": "", **fields}
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

    def worst_element(self, part: Assessment, where: Array, kind: Kind, severity: Severity, cause: Cause) -> Finding:
        """A finding about the element of `where` that uses most of its budget (else the first special value)."""
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
            observed=decimal(compared.r[index], compared.dtype),
            row=index[0] if index else None,
            index=index[1] if len(index) > 1 else None,
            ulps=None if np.isnan(ulps) else ulps,
            share=share if compared.numeric[index] else None,
        )
