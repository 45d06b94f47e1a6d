"""Proposals: expectations that would accept the findings of a run, as general as the run shows, and no more.

The findings of a backend with one kind and one cause become one expectation. It names all subjects of the backend by a
glob only where all that were called with such problems show the finding, and it names dtypes and families where only
some of them do. A run of selected subjects knows no others: it can confirm the globs that selected them, and no wider
ones.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from logitmus.core.causes import Cause
from logitmus.core.events import BackendReady, Event, Examined, Judged, RunStarted, Settled
from logitmus.core.finding import Finding, Kind, Severity, Verdict
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import Subject, SubjectId
from logitmus.results.acceptance import Acceptance
from logitmus.results.expectations import Conditions, Expectation, Globs
from logitmus.results.groups import is_characteristic

_MOST_FAMILIES: Final = 3  # a cause that shows in more families does not depend on the problem


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
    """The findings of a backend with the same kind and cause."""

    summary: str
    severity: Severity
    results: int = 0
    places: set[tuple[str, str, str]] = field(default_factory=set)  # subject, family, dtype
    findings: set[str] = field(default_factory=set)


def proposals(
    events: Iterable[Event],
    accepted: Acceptance,
    severity: Severity,
    included: Callable[[Finding], bool] = lambda _: True,
) -> list[Proposal]:
    """The expectations that would accept all findings of a run that count and are not accepted, the worst first.

    Args:
        accepted: the expectations that exist; it takes in the events.
        severity: of the findings that count, at least. included: which of them are to be accepted.

    Returns:
        Proposals without a reason.
    """
    classes: dict[tuple[str, Kind, Cause], _Class] = {}
    tested: set[tuple[str, str, str]] = set()
    subjects: dict[str, Subject] = {}
    settings = RunSettings()
    for event in events:
        accepted.observe(event)
        match event:
            case RunStarted():
                settings = event.settings
            case BackendReady(subjects=ready):
                subjects.update((subject.id, subject) for subject in ready)
            case Judged(_, judgement) if judgement.verdict is not Verdict.NOT_RUN:
                place = (judgement.subject, judgement.family, judgement.dtype)
                tested.add(place)
                for finding in judgement.findings:
                    counts = accepted.add(finding) is None and finding.severity.rank <= severity.rank
                    declared = is_characteristic(finding, subjects.get(finding.subject))
                    if counts and not declared and included(finding):
                        _count(classes, finding, place)
            case Examined(of, finding) | Settled(of, _, Finding() as finding):
                named = classes.get(_class_of(of))
                if named is not None:
                    named.findings.add(finding.id)  # the reports show this one
            case _:
                pass
    found = [
        Proposal(
            _expectation(kind, cause, of_class, tested, settings),
            of_class.summary,
            of_class.severity,
            of_class.results,
            frozenset(of_class.findings),
        )
        for (_, kind, cause), of_class in classes.items()
    ]
    return sorted(found, key=lambda proposal: (proposal.severity.rank, str(proposal.expectation)))


def _count(classes: dict[tuple[str, Kind, Cause], _Class], finding: Finding, place: tuple[str, str, str]) -> None:
    of_class = classes.setdefault(_class_of(finding), _Class(finding.summary, finding.severity))
    of_class.severity = min(of_class.severity, finding.severity, key=lambda severity: severity.rank)
    of_class.results += 1
    of_class.places.add(place)
    of_class.findings.add(finding.id)


def _class_of(finding: Finding) -> tuple[str, Kind, Cause]:
    return SubjectId.parse(finding.subject).backend, finding.kind, finding.cause


def _expectation(
    kind: Kind, cause: Cause, of_class: _Class, tested: set[tuple[str, str, str]], settings: RunSettings
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
        kind=kind,
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
