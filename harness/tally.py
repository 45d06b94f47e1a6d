"""What a run says against one of its subjects, and what it does not hold against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from logitmus.events import Event, Judged
from logitmus.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.reports.summary import Group, Summary

_NONE: Final[Collection[tuple[Kind, str, str]]] = frozenset()


class Tally:
    """Reads the events of a check.

    Not held against a function are notes, numbers within the grade that was asked for, and what the function beside
    it does on the same problem for the same cause.

    Args:
        beside: by id of each subject that is checked, that of the one beside it; "": nothing is.
        require: the grade asked for; None: what the judge says counts.
    """

    def __init__(self, beside: Mapping[str, str], require: Grade | None) -> None:
        self._beside = beside
        self.require = require
        self._against, self._excused = Summary(), Summary()
        self._problem: list[Judged] = []
        self._identity = ""
        self.grades: dict[str, Grade] = {}
        self.model_grades: dict[str, Grade] = {}
        self.asked = 0
        self.not_asked: Counter[str] = Counter()

    def add(self, event: Event) -> bool:
        """Take one event in; whether it, or what it completes, speaks against the function."""
        if isinstance(event, Judged):
            found = event.problem.id != self._identity and self._judge()
            self._identity = event.problem.id
            self._problem.append(event)
            return found
        found = self._judge()
        self._against.add(event)
        self._excused.add(event)
        return found

    @property
    def groups(self) -> tuple[Group, ...]:
        return tuple(self._against.groups())

    @property
    def excused(self) -> tuple[Group, ...]:
        return tuple(self._excused.groups())

    def _judge(self) -> bool:
        """The judgements of one problem, which come together."""
        judged, self._problem = self._problem, []
        by_subject = {event.judgement.subject: event for event in judged}
        found = False
        for subject, model in self._beside.items():
            other = by_subject.get(model)
            if other is not None:
                _grade(self.model_grades, other.judgement)
            if subject in by_subject:
                found |= self._hold(by_subject[subject], None if other is None else other.judgement)
        return found

    def _hold(self, event: Judged, model: Judgement | None) -> bool:
        judgement = event.judgement
        if judgement.verdict is Verdict.NOT_RUN:
            self.not_asked[judgement.reason] += 1
            return False
        self.asked += 1
        _grade(self.grades, judgement)
        same = {_key(finding) for finding in model.findings} if model is not None else _NONE
        counts = [f for f in judgement.findings if self._counts(f, judgement) and _key(f) not in same]
        rest = [finding for finding in judgement.findings if finding not in counts]
        self._against.add(replace(event, judgement=replace(judgement, findings=tuple(counts))))
        self._excused.add(replace(event, judgement=replace(judgement, findings=tuple(rest))))
        return bool(counts) or self._below(judgement)

    def _counts(self, finding: Finding, judgement: Judgement) -> bool:
        if finding.severity is Severity.NOTE:
            return False
        graded = self.require is not None and judgement.grade not in (None, Grade.COARSE)
        return not (graded and finding.kind is Kind.ACCURACY and not self._below(judgement))

    def _below(self, judgement: Judgement) -> bool:
        if self.require is None or judgement.grade in (None, Grade.COARSE):
            return False
        return judgement.grade.rank > self.require.rank


def _key(finding: Finding) -> tuple[Kind, str, str]:
    return finding.kind, finding.cause, finding.part


def _grade(grades: dict[str, Grade], judgement: Judgement) -> None:
    """Keep the worst, of how precisely it computes: where it errs otherwise, other kinds of findings say so."""
    grade = judgement.grade
    kinds = {finding.kind for finding in judgement.findings if finding.cause != "negative_zero"}
    if grade not in (None, Grade.COARSE) and (not kinds or Kind.ACCURACY in kinds):
        grades[judgement.dtype] = max(grades.get(judgement.dtype, grade), grade, key=lambda one: one.rank)
