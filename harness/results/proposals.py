"""Proposals: expectations that would accept the findings of a run, as general as the run shows, and no more.

The findings of a backend with one kind and one cause become one expectation. It names all subjects of the backend by a
glob only where all that were called with such problems show the finding, and it names dtypes and families where only
some of them do. A run of selected subjects knows no others: it can confirm the globs that selected them, and no wider
ones.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.events import BackendReady, Event, Examined, Judged, RunStarted, Settled
from logitmus.core.finding import Finding, Kind, Severity, Verdict
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import Subject, SubjectId
from logitmus.judging.severity import is_characteristic
from logitmus.results.acceptance import Acceptance
from logitmus.results.expectations import Conditions, Expectation, Globs
from logitmus.results.groups import Key, fold

_MOST_FAMILIES: Final = 3  # a cause that shows in more families does not depend on the problem

_Key = tuple[tuple[str, str, str, Cause], tuple[Cause, ...]]  # of the findings on which a run settles together


@dataclass(frozen=True)
class Proposal:
    """An expectation that accepts a class of findings.

    Attributes:
        summary: the finding in words. severity: the worst. results: how many findings it accepts.
        findings: their ids, and those under which reports show them.
    """

    expectation: Expectation
    summary: str
    severity: Severity
    results: int
    findings: frozenset[str]


@dataclass
class _Class:
    """The findings of a backend with the same cause.

    An entry covers a finding by each cause that explains it as well, and these may be of several kinds.
    """

    summary: str
    severity: Severity
    results: int = 0
    kinds: set[Kind] = field(default_factory=set)
    places: set[tuple[str, str, str]] = field(default_factory=set)  # subject, family, dtype
    findings: set[str] = field(default_factory=set)

    def count(self, finding: Finding, shown: Collection[str]) -> None:
        """Count a finding, which reports show under these ids."""
        self.severity = min(self.severity, finding.severity, key=lambda severity: severity.rank)
        self.results += 1
        self.kinds.add(finding.kind)
        self.places.add((finding.subject, finding.family, finding.dtype))
        self.findings |= {finding.id, *shown}


@dataclass
class _Gathered:
    """What the events of a run show, as far as proposals need it.

    Attributes:
        counting: the findings that count and are not accepted, by what a run settles on together.
        shown: the ids under which reports show the findings of a group. certain: the cause that the run settled on.
        tested: subject, family and dtype of each call.
    """

    accepted: Acceptance
    severity: Severity
    settings: RunSettings = field(default_factory=RunSettings)
    counting: dict[_Key, list[Finding]] = field(default_factory=dict)
    shown: dict[Key, set[str]] = field(default_factory=dict)
    certain: dict[_Key, Cause] = field(default_factory=dict)
    tested: set[tuple[str, str, str]] = field(default_factory=set)
    _subjects: dict[str, Subject] = field(default_factory=dict)

    def observe(self, event: Event) -> None:
        """Take in an event."""
        self.accepted.observe(event)
        match event:
            case RunStarted():
                self.settings = event.settings
            case BackendReady(subjects=ready):
                self._subjects.update((subject.id, subject) for subject in ready)
            case Judged(_, judgement) if judgement.verdict is not Verdict.NOT_RUN:
                self.tested.add((judgement.subject, judgement.family, judgement.dtype))
                for finding in judgement.findings:
                    self._add(finding)
            case Examined(of, finding):
                self.shown.setdefault(fold(of), set()).add(finding.id)
            case Settled(of, cause, named):
                if named is not None:
                    self.shown.setdefault(fold(of), set()).add(named.id)
                if cause in of.alternatives:
                    self.certain[_key(of)] = cause
            case _:
                pass

    def _add(self, finding: Finding) -> None:
        counts = self.accepted.add(finding) is None and finding.severity.rank <= self.severity.rank
        if counts and not is_characteristic(finding, self._subjects.get(finding.subject)):
            self.counting.setdefault(_key(finding), []).append(finding)

    def classes(self, included: Callable[[Finding], bool]) -> dict[tuple[str, Kind, Cause], _Class]:
        """The findings by backend, kind and cause; those that a run settled on another cause are with that cause."""
        classes: dict[tuple[str, Kind, Cause], _Class] = {}
        for key in sorted(self.counting, key=lambda key: key in self.certain):
            cause = self.certain.get(key, key[0][-1])
            for finding in self.counting[key]:
                if included(replace(finding, cause=cause)):
                    backend, kind, summary = SubjectId.parse(finding.subject).backend, finding.kind, finding.summary
                    if key in self.certain:
                        kind = next((known for of, known, name in classes if (of, name) == (backend, cause)), kind)
                        summary = catalogue.summary(cause)
                    of_class = classes.setdefault((backend, kind, cause), _Class(summary, finding.severity))
                    of_class.count(finding, self.shown.get(fold(finding), set()))
        return classes


def proposals(
    events: Iterable[Event],
    accepted: Acceptance,
    severity: Severity,
    included: Callable[[Finding], bool] = lambda _: True,
) -> list[Proposal]:
    """The expectations that would accept all findings of a run that count and are not accepted, the worst first.

    Args:
        accepted: the expectations that exist; it takes in the events.
        severity: of the findings that count, at least. included: which of them are to be accepted, by the cause that
            the run settled on.

    Returns:
        Proposals without a reason.
    """
    gathered = _Gathered(accepted, severity)
    for event in events:
        gathered.observe(event)
    found = [
        Proposal(
            _expectation(cause, of_class, gathered.tested, gathered.settings),
            of_class.summary,
            of_class.severity,
            of_class.results,
            frozenset(of_class.findings),
        )
        for (_, _, cause), of_class in gathered.classes(included).items()
    ]
    return sorted(found, key=lambda proposal: (proposal.severity.rank, str(proposal.expectation)))


def _key(finding: Finding) -> _Key:
    return finding.key, finding.alternatives


def _expectation(
    cause: Cause, of_class: _Class, tested: set[tuple[str, str, str]], settings: RunSettings
) -> Expectation:
    subjects = {subject for subject, _, _ in of_class.places}
    families = {family for _, family, _ in of_class.places}
    dtypes = {dtype for _, _, dtype in of_class.places}
    backend = SubjectId.parse(min(subjects)).backend
    alike = {
        (subject, dtype)
        for subject, family, dtype in tested
        if family in families and SubjectId.parse(subject).backend == backend
    }
    every_dtype = dtypes == {dtype for subject, dtype in alike if subject in subjects}
    when = Conditions() if every_dtype else Conditions(dtype=_one_or_all(d for d in FLOAT_DTYPES if d in dtypes))
    return Expectation(
        subject=_subjects(subjects, {subject for subject, dtype in alike if dtype in dtypes}, settings),
        cause=str(cause),
        kind=next(iter(of_class.kinds)) if len(of_class.kinds) == 1 else None,
        reason="",
        family=_one_or_all(sorted(families)) if len(families) <= _MOST_FAMILIES else None,
        profile=settings.profile,  # type: ignore[arg-type]  # a name of `PROFILES`
        when=when,
    )


def _one_or_all(names: Iterable[str]) -> Globs:
    names = tuple(names)
    return names[0] if len(names) == 1 else names


def _subjects(shown: set[str], tested: set[str], settings: RunSettings) -> Globs:
    """The most general glob that matches these of the tested subjects and no others; without one, their ids."""
    if len(shown) > 1:
        for glob in settings.subjects or _globs(shown, settings):
            if {subject for subject in tested if _probe(glob).includes(subject)} == shown:
                return glob
    return _one_or_all(sorted(shown))


def _globs(subjects: set[str], settings: RunSettings) -> Iterator[str]:
    """Globs over the subjects of a backend, the most general first; none wider than what a run tested."""
    if settings.check:
        return
    named = [SubjectId.parse(subject) for subject in sorted(subjects)]
    first = named[0]
    if not settings.devices:
        yield f"{first.backend}:*"
    if len({name.device for name in named}) == 1:
        yield f"{first.backend}:*@{first.device}"
    if settings.devices:
        return
    if len({name.modes for name in named}) == 1 and first.modes:
        yield f"{first.backend}:*+{'+'.join(first.modes)}@*"
    if len({name.function for name in named}) == 1:
        yield f"{first.backend}:{first.function}[+@]*"


def _probe(glob: str) -> Expectation:
    return Expectation(subject=glob, cause="*", reason="")


def with_reason(proposal: Proposal, reason: str, *, link: str = "", until: datetime.date | None = None) -> Expectation:
    """The expectation of a proposal, completed."""
    return msgspec.structs.replace(proposal.expectation, reason=reason, link=link, until=until)
