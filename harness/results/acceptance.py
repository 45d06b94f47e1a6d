"""Acceptance: which findings of a run the expectations accept, and which expectations the run still needs.

An expectation that nothing matches hides nothing today and may hide a fault tomorrow, so it is reported as *stale*. But
one file serves many jobs, each with its own backends, versions and problems. An expectation is therefore stale only if
the run could have shown the finding: its subjects were called, under its conditions, with problems of its families and
its profile. Otherwise it was *not tested*, which is neither good nor bad.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from logitmus.cases.suite import FAMILIES
from logitmus.core.errors import suggest
from logitmus.core.events import BackendReady, Event, Examined, Judged, RunFinished, RunStarted
from logitmus.core.finding import Finding, Verdict
from logitmus.core.problem import Purpose
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import PROFILES
from logitmus.results.expectations import Expectation

_Class = tuple[object, ...]
_Place = tuple[str, str, str]  # the family, the dtype, and the problem (an id) where an expectation names one


def _unknown_family(expectation: Expectation) -> str:
    """That no family has the name that an expectation gives, in words; "" if one has, or none is given.

    Not an error of the file: families come and go with versions of Logitmus, and one file may serve several.
    """
    globs = (expectation.family,) if isinstance(expectation.family, str) else expectation.family or ()
    known = [family.name for family in FAMILIES] + [purpose.value for purpose in Purpose]
    unknown = [glob for glob in globs if not any(fnmatchcase(name, glob) for name in known)]
    return f"no family is called {unknown[0]!r}; {suggest(unknown[0], known, most=3)}" if unknown else ""


def _class(finding: Finding) -> _Class:
    return (*finding.key, finding.alternatives)


@dataclass(frozen=True)
class Unused:
    """An expectation that no finding of a run needed.

    Attributes:
        stale: whether it should be removed. why: "matches nothing", or why it could not be tested.
    """

    expectation: Expectation
    stale: bool
    why: str


@dataclass
class Acceptance:
    """Which findings of a run are accepted, and which expectations earned their place.

    Args:
        expectations: in the order of the file; the first that covers a finding accepts it.
        today: the day with which `until` is compared.
        file: the file that holds them; None: there is none.
    """

    expectations: Sequence[Expectation]
    today: datetime.date = field(default_factory=datetime.date.today)
    file: Path | None = None
    _accepted: int = field(default=0, init=False)
    _decided: dict[_Class, dict[_Place, Expectation | None]] = field(default_factory=dict, init=False)
    _used: set[int] = field(default_factory=set, init=False)  # by their place
    _settings: RunSettings = field(default_factory=RunSettings, init=False)
    _environments: dict[str, Mapping[str, Any]] = field(default_factory=dict, init=False)
    _tested: set[tuple[str, ...]] = field(default_factory=set, init=False)
    _reduced: dict[str, str] = field(default_factory=dict, init=False)  # problems (ids), by those made of them
    _by_problem: bool = field(default=False, init=False)
    _interrupted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._by_problem = any(expectation.problem for expectation in self.expectations)

    def observe(self, event: Event) -> None:
        """Take note of what a run tested; its findings are counted by `add`."""
        match event:
            case RunStarted(settings=settings):
                self._settings = settings
            case RunFinished(interrupted=interrupted):
                self._interrupted = interrupted
            case BackendReady():
                self._environments.update((subject.id, event.environment) for subject in event.subjects)
            case Judged(problem, judgement) if self.expectations and judgement.verdict is not Verdict.NOT_RUN:
                identity = problem.id if self._by_problem else ""
                self._tested.add((judgement.subject, judgement.family, judgement.dtype, identity))
            case Examined(of, problem=problem) if problem.id != of.problem:
                self._reduced[problem.id] = of.problem
            case _:
                pass

    def count(self, finding: Finding) -> str:
        """Count a finding; return why it is accepted, "" where it is not."""
        accepting = self.add(finding)
        return "" if accepting is None else accepting.reason

    def add(self, finding: Finding) -> Expectation | None:
        """Count a finding; return the expectation that accepts it, if any."""
        accepting = self.accepting(finding)
        self._accepted += accepting is not None
        return accepting

    def accepting(self, finding: Finding) -> Expectation | None:
        """The expectation that accepts a finding, if any."""
        of_class = self._decided.setdefault(_class(finding), {})
        place = (finding.family, finding.dtype, finding.problem if self._by_problem else "")
        if place not in of_class:
            of_class[place] = self._accepted_by(finding)
        return of_class[place]

    def reason(self, finding: Finding, family: str = "") -> str:
        """Why all findings of the class of this one are accepted; "" where some are not, or none was counted.

        Args:
            family: only those on problems of this family; "": on all problems.
        """
        places = self._decided.get(_class(finding), {})
        accepting = [expectation for (of, _, _), expectation in places.items() if family in ("", of)]
        reasons = dict.fromkeys(expectation.reason for expectation in accepting if expectation is not None)
        return "" if None in accepting else "; ".join(reasons)

    @property
    def accepted(self) -> int:
        """The number of findings that an expectation accepts."""
        return self._accepted

    @property
    def expired(self) -> tuple[Expectation, ...]:
        """The expectations past their last day."""
        return tuple(expectation for expectation in self.expectations if self._is_over(expectation))

    def unused(self) -> Iterator[Unused]:
        """The expectations that no finding needed."""
        for place, expectation in enumerate(self.expectations):
            if place not in self._used:
                why = self._why_not_tested(expectation)
                yield Unused(expectation, stale=not why, why=why or "matches nothing")

    @property
    def stale(self) -> tuple[Expectation, ...]:
        """The expectations that a finding of this run should have needed, and none did: remove them."""
        return tuple(entry.expectation for entry in self.unused() if entry.stale)

    def _why_not_tested(self, expectation: Expectation) -> str:
        subjects = [subject for subject in self._environments if expectation.includes(subject)]
        if not subjects:
            return "no subject of this run matches"
        if not any(self._holds(expectation, subject) for subject in subjects):
            return "its conditions do not hold here"
        tested = [entry for entry in self._tested if expectation.concerns(*entry)]
        if not tested:
            return _unknown_family(expectation) or self._reduction(expectation) or "none of its problems was used"
        if self._interrupted:
            return "the run was interrupted"
        chosen = self._settings
        selected = () if chosen.devices or chosen.check else chosen.subjects
        if (chosen.subjects or chosen.devices or chosen.check) and not expectation.is_within(selected):
            return "matches no finding of the selected subjects"
        if chosen.shard and not expectation.problem:
            return f"matches no finding of shard {chosen.shard}"
        whole = expectation.problem or (expectation.family and expectation.when.dtype)
        if not whole and (chosen.families or (chosen.dtypes and not expectation.when.dtype)):
            return "matches no finding on the selected problems"
        if not expectation.problem and PROFILES.index(chosen.profile) < PROFILES.index(expectation.profile):
            return f"the profile {chosen.profile} may be too small to show it"
        return ""

    def _reduction(self, expectation: Expectation) -> str:
        """That the problem of an expectation is the reduced input of a finding, in words; "" if it is not."""
        given = expectation.problem
        of = next((of for reduced, of in self._reduced.items() if given and reduced.startswith(given)), None)
        return f"its problem is a reduced input; the finding is of the problem {of}" if of else ""

    def _holds(self, expectation: Expectation, subject: str) -> bool:
        return expectation.when.holds_in(self._environments.get(subject, {}))

    def _accepted_by(self, finding: Finding) -> Expectation | None:
        covering = {
            place: expectation
            for place, expectation in enumerate(self.expectations)
            if expectation.covers(finding) and self._holds(expectation, finding.subject)
        }
        self._used.update(covering)
        return next((expectation for expectation in covering.values() if not self._is_over(expectation)), None)

    def _is_over(self, expectation: Expectation) -> bool:
        return expectation.until is not None and expectation.until < self.today
