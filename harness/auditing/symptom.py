"""What a bisection compares: the findings of a cause, a single finding, or the results of a problem."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final, Protocol, TypeVar

from logitmus.auditing.audit import AuditSettings
from logitmus.auditing.classification import Side, classify
from logitmus.auditing.transitions import Change, Transition
from logitmus.cases.suite import suite
from logitmus.core.catalogue import CAUSES
from logitmus.core.causes import Cause
from logitmus.core.convention import FIELDS
from logitmus.core.errors import LogitmusError, suggest
from logitmus.core.events import Judged
from logitmus.core.finding import Finding
from logitmus.core.problem import Problem, Purpose
from logitmus.engine.judge_batches import judge_problems, judged_subjects
from logitmus.engine.planning import by_signature
from logitmus.judging.judge import Judge
from logitmus.results.reproduction import find
from logitmus.storage.store import Store

T = TypeVar("T")
_IGNORED: Final = (Change.BITS, Change.WARNING, Change.NO_WARNING, Change.SLOWER, Change.FASTER)


class SymptomError(LogitmusError, ValueError):
    """A cause, a problem or a finding that cannot be compared; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What a run shows of a symptom.

    Attributes:
        words: in words. calls: of the compared functions. shown: whether it has the finding. sides: the results of a
            problem, by function (an id).
    """

    words: str
    calls: int
    shown: bool = False
    sides: Mapping[str, Side] = field(default_factory=dict)


class Symptom(Protocol):
    """What is compared between the first release and another one."""

    @property
    def words(self) -> str:
        """What is compared, in words."""
        ...

    @property
    def subjects(self) -> tuple[str, ...]:
        """Globs of the subjects that are run; empty: those of the package."""
        ...

    def settings(self, settings: AuditSettings) -> AuditSettings:
        """The same settings with the problems that have to be run."""
        ...

    @property
    def nothing(self) -> SymptomError:
        """The error where neither end has a call to compare."""
        ...

    def state(self, store: Store) -> State:
        """What a run shows."""
        ...

    def differs(self, first: State, other: State) -> bool:
        """Whether two runs differ."""
        ...

    def concerns(self, transition: Transition) -> bool:
        """Whether a transition from one run to another belongs to it."""
        ...


@dataclass(frozen=True, kw_only=True)
class OneProblem(AuditSettings):
    """Settings with a single problem."""

    problem: Problem

    def problems(self) -> Iterator[Problem]:
        """The problem."""
        return iter((self.problem,))


@dataclass(frozen=True)
class CauseShown:
    """Whether any finding has a cause that matches a glob.

    Raises:
        SymptomError: for a cause that no finding has.
    """

    cause: str
    subjects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        name, _, detail = self.cause.partition(":")
        if not any(fnmatchcase(known, name) for known in CAUSES):
            raise SymptomError(f"unknown cause {name!r}; {suggest(name, CAUSES)}")
        field = detail.partition("=")[0]
        if name == "convention" and "=" in detail and not any(fnmatchcase(known, field) for known in FIELDS):
            raise SymptomError(f"unknown field of a convention {field!r}; {suggest(field, FIELDS)}")

    @property
    def words(self) -> str:
        """What is compared, in words."""
        return f"whether any finding has the cause {self.cause}"

    def settings(self, settings: AuditSettings) -> AuditSettings:
        """The same settings: all of their problems are run."""
        return settings

    @property
    def nothing(self) -> SymptomError:
        """The error where no function was called."""
        return SymptomError("no function was called; does --subject match any?", "`logitmus backends` lists them")

    def state(self, store: Store) -> State:
        """Whether a run has such a finding."""
        shown = any(self._is_it(finding) for finding in _findings(store, store.problem_ids()))
        words = f"{'findings' if shown else 'no finding'} with the cause {self.cause}"
        return State(words=words, calls=len(store), shown=shown)

    def differs(self, first: State, other: State) -> bool:
        """Whether only one of the runs has such a finding."""
        return first.shown != other.shown

    def concerns(self, transition: Transition) -> bool:
        """Whether a finding with this cause appeared or vanished."""
        causes = [Cause(transition.cause)]
        if transition.change is Change.WRONG_OTHERWISE:
            causes.append(Cause(transition.before))
        if transition.change is Change.CONVENTION:
            causes.append(Cause.convention(transition.field, transition.before))
        return bool(transition.cause) and any(map(self._matches, causes))

    def _is_it(self, finding: Finding) -> bool:
        return any(map(self._matches, (finding.cause, *finding.alternatives)))

    def _matches(self, cause: Cause) -> bool:
        return fnmatchcase(cause, self.cause) or fnmatchcase(cause.name, self.cause)


@dataclass(frozen=True)
class FindingShown:
    """Whether a function (an id) shows a finding with one of these causes on a problem."""

    identity: str
    subject: str
    causes: tuple[Cause, ...]
    problem: Problem
    subjects: tuple[str, ...]

    @property
    def words(self) -> str:
        """What is compared, in words."""
        return f"whether {self.subject} shows {self.causes[0]} on the problem {self.problem.id}"

    def settings(self, settings: AuditSettings) -> AuditSettings:
        """The same settings with the problem alone."""
        return _alone(settings, self.problem)

    @property
    def nothing(self) -> SymptomError:
        """The error where the function was not called."""
        return SymptomError(f"{self.subject} was not called; does it belong to this package and its backend?")

    def state(self, store: Store) -> State:
        """Whether a run has the finding."""
        shown = any(
            finding.subject == self.subject and {finding.cause, *finding.alternatives}.intersection(self.causes)
            for finding in _findings(store, [self.problem.id])
        )
        words = f"{'the' if shown else 'no'} finding {self.causes[0]}"
        return State(words=words, calls=self.subject in store.raw_outcomes(self.problem.id), shown=shown)

    def differs(self, first: State, other: State) -> bool:
        """Whether only one of the runs has the finding."""
        return first.shown != other.shown

    def concerns(self, transition: Transition) -> bool:
        """Whether results changed, apart from bits, warnings and times."""
        return transition.change not in _IGNORED


@dataclass(frozen=True)
class ResultsOn:
    """The results of a problem, apart from bits within their error budgets and from warnings."""

    problem: Problem
    subjects: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What is compared, in words."""
        return f"the results of the problem {self.problem.id}, apart from bits within their error budgets"

    def settings(self, settings: AuditSettings) -> AuditSettings:
        """The same settings with the problem alone."""
        return _alone(settings, self.problem)

    @property
    def nothing(self) -> SymptomError:
        """The error where no function was called."""
        return SymptomError(
            f"no selected function takes the problem {self.problem.id}",
            "Is it a problem of this backend? --backend and --subject select other functions",
        )

    def state(self, store: Store) -> State:
        """The results of a run."""
        sides = _sides(store, self.problem)
        causes = sorted({finding.cause for side in sides.values() for finding in side.judgement.findings})
        words = f"findings with the causes {', '.join(causes)}" if causes else "no finding"
        return State(words=words, calls=len(sides), sides=sides)

    def differs(self, first: State, other: State) -> bool:
        """Whether any function shows a transition, or has a result in one of the runs only."""
        if first.sides.keys() != other.sides.keys():
            return True
        return any(
            shown.change not in _IGNORED
            for name, side in first.sides.items()
            for shown in classify(self.problem, side, other.sides[name])
        )

    def concerns(self, transition: Transition) -> bool:
        """Whether results changed, apart from bits, warnings and times."""
        return transition.change not in _IGNORED


def problem_of_suite(wanted: str, settings: AuditSettings) -> Problem:
    """The problem of the settings, or else of the default profile, whose id begins with `wanted`.

    Raises:
        SymptomError: where there is none, or several.
    """
    for problems in (settings.problems(), suite(seed=settings.seed)):
        found = {problem.id: problem for problem in problems if problem.id.startswith(wanted.lower())}
        if found:
            return _single(wanted, found)
    raise SymptomError(
        f"no problem of the profiles {settings.profile} and default has an id that begins with {wanted!r}",
        "Name the run file that has the problem: --run FILE",
    )


def problem_of_run(wanted: str, store: Store) -> Problem:
    """The problem of a run whose id begins with `wanted`.

    Raises:
        SymptomError: where there is none, or several.
    """
    found = {identity: identity for identity in store.problem_ids() if identity.startswith(wanted.lower())}
    if not found:
        raise SymptomError(f"{store.path} has no problem whose id begins with {wanted!r}", "Is it the right run file?")
    return store.problem(_single(wanted, found))


def _single(wanted: str, found: Mapping[str, T]) -> T:
    if len(found) > 1 or not wanted:
        listed = ", ".join(sorted(found)[:4])
        raise SymptomError(
            f"{len(found)} problems have ids that begin with {wanted!r}: {listed}, ...", "Give more of it"
        )
    return next(iter(found.values()))


def finding_of_run(wanted: str, store: Store) -> tuple[FindingShown, str]:
    """The finding of a run whose id begins with `wanted`, and the name of its backend.

    Raises:
        ReproError: where there is no such finding, or several.
        SymptomError: where the finding is of a user's own function, or follows from several results.
    """
    shown, backend = find(store, wanted)
    subject = store.subjects()[shown.finding.subject]
    if backend.backend != subject.backend and store.settings.function is not None:
        raise SymptomError(
            f"{shown.finding.id} is a finding of {subject.function}, a function of your own, which bisect does not run",
            "`logitmus audit --check FUNCTION` compares several releases",
        )
    causes = tuple(dict.fromkeys((shown.finding.cause, shown.of.cause)))
    names = tuple(dict.fromkeys((subject.id, subject.without_switch)))  # the effect of a switch needs both
    for identity in dict.fromkeys((shown.problem.id, shown.of.problem)):
        problem = store.problem(identity)
        if problem.purpose is not Purpose.SUITE:  # only problems of the suite are compared
            problem = replace(problem, family=shown.of.family)
        symptom = FindingShown(shown.finding.id, subject.id, causes, problem, tuple(map(glob.escape, names)))
        if symptom.state(store).shown:
            return symptom, subject.backend
    raise SymptomError(
        f"the finding {shown.finding.id} follows from several results, and no problem shows it alone",
        f"Use --cause {shown.finding.cause}",
    )


def _alone(settings: AuditSettings, problem: Problem) -> OneProblem:
    return OneProblem(
        problem=problem,
        subjects=settings.subjects,
        devices=settings.devices,
        seed=settings.seed,
        limits=settings.limits,
        jobs=settings.jobs,
        times=False,
    )


def _judged(store: Store, problems: Iterable[str]) -> Iterator[Judged]:
    signatures: dict[tuple[object, ...], list[str]] = {}
    for identity in problems:
        signatures.setdefault(store.problem(identity).signature, []).append(identity)
    return judge_problems(store, by_signature(signatures, store), judged_subjects(store), Judge())


def _findings(store: Store, problems: Iterable[str]) -> Iterator[Finding]:
    for event in _judged(store, problems):
        yield from event.judgement.findings


def _sides(store: Store, problem: Problem) -> dict[str, Side]:
    """The calls of a run with a problem, by subject (an id)."""
    outcomes, subjects = store.outcomes(problem.id), store.subjects()
    return {
        event.judgement.subject: Side(
            outcomes[event.judgement.subject], event.judgement, subjects[event.judgement.subject]
        )
        for event in _judged(store, [problem.id])
        if event.judgement.subject in outcomes
    }
