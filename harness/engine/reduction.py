"""Reduction: find the simplest problem that still shows a finding, and what the finding depends on.

For each kind, severity and cause, the finding on the smallest problem is reduced, for a single subject of
each backend. All reductions are led side by side (`logitmus.engine.follow_up`). Each follows from its own judgements
alone: the run's file gives the same result without a framework.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.events import Examined, Judged
from logitmus.core.finding import Fault, Finding, Judgement, Kind, Severity, Verdict, smallness
from logitmus.core.problem import ONCE, Problem, Purpose
from logitmus.core.run_settings import Examination
from logitmus.core.subject import Subject, SubjectId
from logitmus.engine.follow_up import Responder, ask
from logitmus.engine.shrink import alone, shrink, without
from logitmus.judging.consistency import OWN_ARITHMETIC
from logitmus.judging.severity import is_characteristic

_AGAIN: Final = "again"
# A worker that dies is replaced, which takes seconds; a worker that hangs is waited for.
_MOST_CALLS: Final[Mapping[Kind, int]] = {Kind.TIMEOUT: 0, Kind.CRASH: 6}
_CALLS_DIVISOR: Final = {Severity.DIFFERENCE: 2}  # not a bug: half the calls will do
# A result must not depend on any of these; if it does, that is the bug.
_TIMING: Final = ("chance", "earlier_calls")
_OTHER_ROWS: Final = "other_rows"
_LAYOUT: Final = "memory_layout"
_FORBIDDEN: Final = (*_TIMING, _OTHER_ROWS, _LAYOUT)
_RIGHT: Final = (Verdict.PASS, Verdict.ABSORBED)

_Key = tuple[str, str, str, str, tuple[str, ...]]


class Example(NamedTuple):
    """A finding and a problem that shows it."""

    finding: Finding
    problem: Problem


class Reductions:
    """The findings to reduce: for each backend, kind, severity and cause, the finding on the smallest problem.

    Args:
        settings: those of the run. They limit the calls for each finding, and may name subjects (ids) of which each is
            reduced by itself; without names, a single subject of a backend stands for all that have the finding. What a
            subject shares with its reference is not reduced.
    """

    def __init__(self, settings: Examination) -> None:
        self.calls: int = settings.calls
        self._subjects = frozenset(settings.subjects)
        self._references = settings.references
        self._smallest: dict[_Key, Example] = {}
        self._problem: list[Judged] = []

    def observe(self, event: Judged) -> None:
        """Take in the findings of a judgement; those on a problem arrive together. Notes are not reduced."""
        if self._problem and self._problem[0].problem.id != event.problem.id:
            self._take_in()
        self._problem.append(event)

    def _take_in(self) -> None:
        """Keep the findings on a problem that no reference shows, where they are the smallest of their kind."""
        faults = {e.judgement.subject: {f.fault for f in e.judgement.findings} for e in self._problem}
        for event in self._problem:
            self._keep(event, faults.get(self._references.get(event.judgement.subject, ""), set()))
        self._problem.clear()

    def _keep(self, event: Judged, shared: Collection[Fault]) -> None:
        for finding in event.judgement.findings:
            if finding.severity is Severity.NOTE or finding.fault in shared:
                continue
            if self._subjects and finding.subject not in self._subjects:
                continue
            affected = finding.subject if self._subjects else SubjectId.parse(finding.subject).backend
            key = (affected, finding.kind.value, finding.severity.value, finding.cause, finding.alternatives)
            known = self._smallest.get(key)
            if known is None or smallness(finding, event.problem) < smallness(*known):
                self._smallest[key] = Example(finding, event.problem)

    def worst_first(self) -> list[Example]:
        """The findings to reduce, in an order that does not depend on the order of the events."""
        self._take_in()
        keys = sorted(self._smallest, key=lambda key: (self._smallest[key].finding.severity.rank, key))
        return [self._smallest[key] for key in keys]


def reduce_findings(responder: Responder, examples: Iterable[Example], calls: int) -> Iterator[Examined]:
    """Reduce each finding with at most about `calls` calls; yield the results in order, once all are done.

    A choice that a function declares and keeps is not reduced: there is nothing to look for.
    """
    reductions = []
    for example in examples:
        subject = responder.subjects.get(example.finding.subject)
        if subject is not None and calls and not is_characteristic(example.finding, subject):
            reductions.append(_reduce(example, subject, _allowed(example.finding, calls)))
    yield from responder.run_all(reductions)


def same(finding: Finding, judgement: Judgement) -> Finding | None:
    """Return the finding of `judgement` that agrees with `finding`, or None."""
    for candidate in judgement.findings:
        alike = (candidate.kind, candidate.severity, candidate.cause, candidate.part, candidate.effect) == (
            finding.kind,
            finding.severity,
            finding.cause,
            finding.part,
            finding.effect,
        )
        if alike and set(candidate.alternatives) <= set(finding.alternatives):
            return candidate
    return None


async def _reduce(example: Example, subject: Subject, calls: int) -> Examined:
    finding, problem = example
    if calls <= 0:
        return Examined(finding, finding, problem)

    # A result with a switch is judged beside the result without it.
    requested = (subject.id, subject.without_switch) if subject.has_switch else (subject.id,)

    async def judge(problems: Sequence[Problem]) -> list[Judgement]:
        smaller = [problem.but(family=Purpose.REDUCTION.value) for problem in problems]
        judgements = await ask([(problem, name) for problem in smaller for name in requested])
        return judgements[:: len(requested)]

    if finding.kind is Kind.INTEGRITY and problem.manner in OWN_ARITHMETIC:
        plain = problem.but(manner=ONCE)
        (judgement,) = await judge([plain])
        inherent = next((found for found in judgement.findings if _is_inherent(found, finding)), None)
        if inherent is not None:
            return Examined(finding, inherent, plain)
    repeated = problem.but(manner=_AGAIN)
    if finding.kind is not Kind.CRASH and problem.manner == ONCE and subject.why_not(repeated) is None:
        (judgement,) = await judge([repeated])
        changed = any(found.cause.name == "changes" for found in judgement.findings)
        if changed or judgement.verdict in _RIGHT:
            return _conclude(finding, example, ("chance" if changed else "earlier_calls",))

    known: dict[str, Judgement] = {}

    async def shows_finding(problems: Sequence[Problem]) -> list[bool]:
        judgements = await judge(problems)
        known.update((variant.id, judgement) for variant, judgement in zip(problems, judgements, strict=True))
        return [same(finding, judgement) is not None for judgement in judgements]

    smallest, _ = await shrink(problem, finding.row, calls, shows_finding)
    found = same(finding, known[smallest.id]) if smallest.id in known else finding
    assert found is not None  # noqa: S101  (the search ends on a problem that shows it)
    contrasts = dict(_contrasts(smallest, found.row))
    unknown = [contrast for contrast in contrasts.values() if contrast.id not in known]
    if unknown:
        await shows_finding(unknown)
    dependences = tuple(name for name, contrast in contrasts.items() if known[contrast.id].verdict in _RIGHT)
    if _LAYOUT in dependences:  # a row by itself has another layout, too: the layout alone explains both
        dependences = tuple(name for name in dependences if name != _OTHER_ROWS)
    return _conclude(finding, Example(found, smallest), dependences)


def _is_inherent(plain: Finding, finding: Finding) -> bool:
    """Whether a plain call has the bug, too: then it is not due to another way to differentiate."""
    return plain.kind in (Kind.ACCURACY, Kind.SPECIAL) and plain.severity.rank <= finding.severity.rank


def _allowed(finding: Finding, calls: int) -> int:
    return min(calls // _CALLS_DIVISOR.get(finding.severity, 1), _MOST_CALLS.get(finding.kind, calls))


def _contrasts(problem: Problem, row: int | None) -> Iterator[tuple[str, Problem]]:
    """Yield the problem without each property that the result may depend on, and the property's name."""
    if problem.rows > 1 and row is not None and problem.reduction == "none":
        yield _OTHER_ROWS, alone(problem, row)
    for name, variant in without(problem):
        yield {"layout": _LAYOUT}.get(name, name), variant


def _conclude(original: Finding, smallest: Example, dependences: tuple[str, ...]) -> Examined:
    """Turn the finding into an integrity finding if the result depends on something that it must not depend on.

    Other roundings beside other rows, or in another layout, are legitimate: there, only a bug is converted.
    """
    finding, forbidden = smallest.finding, next((name for name in _FORBIDDEN if name in dependences), None)
    severe = forbidden in _TIMING or finding.severity is Severity.BUG
    if forbidden is not None and severe and finding.kind in (Kind.ACCURACY, Kind.SPECIAL):
        cause = Cause.depends_on(forbidden)
        detail = "; ".join(filter(None, (finding.summary, finding.detail)))
        finding = replace(
            finding, kind=Kind.INTEGRITY, cause=cause, summary=catalogue.summary(cause), detail=detail, alternatives=()
        )
    return Examined(original, finding, smallest.problem, dependences)
