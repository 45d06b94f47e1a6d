"""Settling: other results of a subject decide between the causes that explain a finding equally well.

One problem often fits several conventions. At the end of a run the subject's other results are known, and three of
their kinds decide: a finding that only one of these conventions explains; a probe with the result that the declared
convention predicts, which refutes every convention that predicts another; and results in which a claim about the
arithmetic of all results is absent (`refutation`). The decision changes a finding's cause, kind, severity and id, so it
is made once, here, and not by the reports: they and `logitmus repro` read the same events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.events import BackendReady, Event, Examined, Judged, Settled
from logitmus.core.finding import Finding, Grade, Judgement, Kind, smallness
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.engine import refutation
from logitmus.engine.disambiguation import Ambiguities, candidates
from logitmus.engine.refutation import Refutations
from logitmus.judging import severity

_Key = tuple[str, str, str, Cause, tuple[Cause, ...]]


class Settlement:
    """Reads the events of a run; `settled` follows the last of them."""

    def __init__(self) -> None:
        self._subjects: dict[str, Subject] = {}
        self._ambiguities = Ambiguities()
        self._smallest: dict[_Key, tuple[Finding, Problem]] = {}
        self._examined: dict[_Key, Examined] = {}
        self._claimed: dict[_Key, dict[str, Grade | None]] = {}
        self._refutations = Refutations()

    def add(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case BackendReady():
                self._subjects.update((subject.id, subject) for subject in event.subjects)
            case Judged(problem, judgement):
                self._add_judgement(problem, judgement)
            case Examined(of):
                self._examined[_by_backend(of)] = event
            case _:
                pass

    def watching(self, events: Iterable[Event]) -> Iterator[Event]:
        """The same events, each taken in."""
        for event in events:
            self.add(event)
            yield event

    def settled(self) -> Iterator[Settled]:
        """The decisions, in an order that does not depend on the order of the events."""
        for key in sorted(self._smallest):
            finding, problem = self._smallest[key]
            examined = self._examined.get(_by_backend(finding)) or Examined(finding, finding, problem)
            certain, named = None, None
            if self._is_refuted(key, finding.cause) and examined.finding.cause == finding.cause:
                named = self._without_its_cause(key, examined)
                certain = named.cause
            elif finding.alternatives:
                certain, named = self._certain(finding), self._named(finding, examined)
            if certain is not None or named is not None:
                yield Settled(finding, certain, named, examined.problem, examined.dependences)

    def _add_judgement(self, problem: Problem, judgement: Judgement) -> None:
        self._ambiguities.add(judgement, problem)
        self._refutations.add(problem, judgement)
        for finding in judgement.findings:
            key = (*finding.key, finding.alternatives)
            if refutation.is_claim(finding.cause):
                worst = self._claimed.setdefault(key, {})
                worst[judgement.dtype] = _worse(worst.get(judgement.dtype), judgement.grade)
            if finding.alternatives or key in self._claimed:
                known = self._smallest.get(key)
                if known is None or smallness(finding, problem) < smallness(*known):
                    self._smallest[key] = finding, problem

    def _certain(self, finding: Finding) -> Cause | None:
        """The candidate that other findings of the subject name alone, as a cause of this finding."""
        certain = self._ambiguities.resolved(finding.subject, candidates(finding))
        return certain.named(finding.cause.name) if certain is not None and certain.is_convention else certain

    def _named(self, finding: Finding, examined: Examined) -> Finding | None:
        """The finding, as examined, with the only convention that is not refuted; None: there are several, or none."""
        subject, fitting = self._subjects.get(finding.subject), candidates(finding)
        if subject is None or finding.cause.name != "convention":
            return None
        left = self._ambiguities.not_refuted(subject, fitting)
        if len(left) != 1:
            return None
        (cause,) = left
        field, value = cause.choice
        kind, weight = severity.of_contradiction(subject, field)
        summary = severity.contradiction(subject, field, value)
        return replace(examined.finding, kind=kind, severity=weight, cause=cause, summary=summary, alternatives=())

    def _is_refuted(self, key: _Key, cause: Cause) -> bool:
        """Whether the cause is a claim that the results in every dtype of these findings refute."""
        if not refutation.is_claim(cause):
            return False
        subject, dtypes = self._subjects.get(key[0]), self._claimed.get(key, {})
        return (
            subject is not None
            and bool(dtypes)
            and all(self._refutations.refuted(subject, dtype, cause) for dtype in dtypes)
        )

    def _without_its_cause(self, key: _Key, examined: Examined) -> Finding:
        """The finding, as examined, with the first alternative of its refuted cause, or unexplained."""
        finding = examined.finding
        if finding.instead is not None and not self._is_refuted(key, finding.instead):
            kind = Kind.CONTRACT if finding.instead.name == "raised" else Kind.ACCURACY
            return _renamed(finding, kind, finding.instead)
        if finding.alternatives and not refutation.is_of_gradients(finding.cause):  # else all fit by the same chance
            cause, *others = finding.alternatives
            if not cause.is_choice:
                return replace(_renamed(finding, Kind.ACCURACY, cause), alternatives=tuple(others))
            field, value = cause.choice
            kind, weight = severity.of_contradiction(self._subjects[key[0]], field)
            summary = severity.contradiction(self._subjects[key[0]], field, value)
            return replace(
                finding, kind=kind, severity=weight, cause=cause, summary=summary, alternatives=tuple(others)
            )
        return _renamed(finding, Kind.ACCURACY, refutation.in_place_of(reduce(_worse, self._claimed[key].values())))


def _renamed(finding: Finding, kind: Kind, cause: Cause) -> Finding:
    severity = catalogue.severity(cause)
    return replace(finding, kind=kind, severity=severity, cause=cause, summary=catalogue.summary(cause))


def _worse(first: Grade | None, second: Grade | None) -> Grade | None:
    return max((grade for grade in (first, second) if grade is not None), key=lambda grade: grade.rank, default=None)


def _by_backend(finding: Finding) -> _Key:
    """One finding is examined for all subjects of a backend."""
    return (finding.subject.split(":", 1)[0], *finding.key[1:], finding.alternatives)
