"""What a run says against one of its subjects, and what it does not hold against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from logitmus.core.events import Event, Judged, RunFinished
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.subject import Subject
from logitmus.judging.consistency import NO_SECOND_ORDER
from logitmus.results.expectations import Acceptance
from logitmus.results.groups import Group
from logitmus.results.summary import Summary

_Key = tuple[Kind, str, str]
_NONE: Final[Collection[_Key]] = frozenset()


class Tally:
    """Reads the events of a check.

    Not held against a function are notes, numbers within the grade that was asked for, that it refuses to be
    differentiated twice, what is accepted, and what the function beside it does on the same problem for the same cause;
    or in the same dtype, where it could not be asked that problem.

    Attributes:
        answered: whether it came back with numbers at all.
        below: by dtype, the smallest problem without a finding on which the grade that was asked for is not reached.

    Args:
        subjects: what is checked.
        beside: by id of a subject that is checked, the one beside it, if there is one.
        require: the grade asked for; None: what the judge says counts.
        accepted: the findings that the user has accepted.
    """

    def __init__(
        self,
        subjects: Iterable[Subject],
        beside: Mapping[str, Subject],
        require: Grade | None = None,
        accepted: Acceptance | None = None,
    ) -> None:
        self._subjects = {subject.id: subject for subject in subjects}
        self._beside = {identity: beside[identity].id if identity in beside else "" for identity in self._subjects}
        self.require = require
        self._accepted = accepted or Acceptance(())
        self._against, self._excused = Summary(), Summary()
        self._problem: list[Judged] = []
        self._identity = ""
        self._pending: list[Judged] = []
        self._model_does: dict[str, set[_Key]] = {}
        self.grades: dict[str, Grade] = {}
        self.model_grades: dict[str, Grade] = {}
        self.asked = 0
        self.below: dict[str, Judged] = {}
        self.answered = False
        self.not_asked: Counter[str] = Counter()

    def add(self, event: Event) -> bool:
        """Take one event in; whether it, or what it completes, speaks against the function."""
        if isinstance(event, Judged):
            found = event.problem.id != self._identity and self._judge()
            self._identity = event.problem.id
            self._problem.append(event)
            return found
        found = self._judge()
        if isinstance(event, RunFinished):
            for late in self._pending:
                found |= self._hold(late, self._model_does.get(late.judgement.dtype, _NONE))
            self._pending = []
        self._against.add(event)
        self._excused.add(event)
        return found

    @property
    def groups(self) -> tuple[Group, ...]:
        found = tuple(self._against.groups())
        # What raises whatever it is asked chooses nothing: not even to refuse an empty batch.
        return found if self.answered else tuple(one for one in found if not _chooses_to_raise(one.finding)) or found

    @property
    def excused(self) -> tuple[Group, ...]:
        return tuple(self._excused.groups())

    def _judge(self) -> bool:
        """The judgements of one problem, which come together."""
        judged, self._problem = self._problem, []
        by_subject = {event.judgement.subject: event for event in judged}
        found = False
        for subject, model in self._beside.items():
            if model in by_subject:
                other = by_subject[model].judgement
                _grade(self.model_grades, other)
                self._model_does.setdefault(other.dtype, set()).update(map(_key, other.findings))
            if subject not in by_subject:
                continue
            event = by_subject[subject]
            if event.judgement.verdict is Verdict.NOT_RUN:
                if self._subjects[subject].why_not(event.problem) is None:
                    self.not_asked[event.judgement.reason] += 1
                continue
            self.asked += 1
            self.answered |= _answers(event.judgement)
            _grade(self.grades, event.judgement)
            if not model:
                found |= self._hold(event, _NONE)
            elif by_subject[model].judgement.verdict is Verdict.NOT_RUN:
                self._pending.append(event)
            else:
                found |= self._hold(event, set(map(_key, by_subject[model].judgement.findings)))
        return found

    def _hold(self, event: Judged, same: Collection[_Key]) -> bool:
        judgement = event.judgement
        counts = [f for f in judgement.findings if self._counts(f, judgement) and _key(f) not in same]
        rest = [finding for finding in judgement.findings if finding not in counts]
        self._against.add(replace(event, judgement=replace(judgement, findings=tuple(counts))))
        self._excused.add(replace(event, judgement=replace(judgement, findings=tuple(rest))))
        below = self._below(judgement)
        if below and not counts:
            known = self.below.setdefault(judgement.dtype, event)
            self.below[judgement.dtype] = min(known, event, key=_smallness)
        return bool(counts) or below

    def _counts(self, finding: Finding, judgement: Judgement) -> bool:
        if finding.severity is Severity.NOTE or finding.cause == NO_SECOND_ORDER:
            return False
        if self._accepted.add(finding) is not None:
            return False
        graded = self.require is not None and judgement.grade not in (None, Grade.COARSE)
        return not (graded and finding.kind is Kind.ACCURACY and not self._below(judgement))

    def _below(self, judgement: Judgement) -> bool:
        if self.require is None or judgement.grade in (None, Grade.COARSE):
            return False
        return judgement.grade.rank > self.require.rank


def _smallness(event: Judged) -> tuple[int, int, str, str]:
    problem = event.problem
    return problem.classes * problem.rows, len(problem.options), problem.id, event.judgement.subject


def _key(finding: Finding) -> _Key:
    return finding.kind, finding.cause, finding.part


def _answers(judgement: Judgement) -> bool:
    """Whether it came back with numbers."""
    raised = any(one.cause.startswith("raised:") or _chooses_to_raise(one) for one in judgement.findings)
    return judgement.grade is not None and not raised


def _chooses_to_raise(finding: Finding) -> bool:
    return finding.cause.startswith("convention:") and finding.cause.endswith("=error")


def _grade(grades: dict[str, Grade], judgement: Judgement) -> None:
    """Keep the worst, of how precisely it computes: where it errs otherwise, other kinds of findings say so."""
    grade = judgement.grade
    kinds = {finding.kind for finding in judgement.findings if finding.cause != "negative_zero"}
    if grade not in (None, Grade.COARSE) and (not kinds or Kind.ACCURACY in kinds):
        grades[judgement.dtype] = max(grades.get(judgement.dtype, grade), grade, key=lambda one: one.rank)
