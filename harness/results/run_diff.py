"""Compare two runs: what an upgrade changed, as values; `logitmus.reports.terminal.run_diff` prints them.

Only calls of both runs are compared: a finding on a problem that the other run does not contain is not "new".
Where a subject's declaration and its bits are the same in both runs, so is its judgement, and it is made once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Self

from logitmus.core.events import BackendReady
from logitmus.core.finding import Finding, Grade, Judgement
from logitmus.core.observation import Outcome
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.engine.judge_batches import SupportsJudge
from logitmus.judging.judge import Judge
from logitmus.judging.outcome_difference import difference
from logitmus.judging.switches import Result, beside_default
from logitmus.storage.store import Store
from logitmus.worker.environment import normalized

_Key = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class EnvironmentChange:
    """One fact that differs. where: "harness" or a backend; name: "torch", "python"; None: absent in that run."""

    where: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True)
class FindingChange:
    """A group of findings (`Finding.key`), on the problems of both runs.

    Attributes:
        example: the first finding of that key, of the run that has it (the later run where both have it).
        appeared, vanished: ids of the problems on which only the later, only the earlier run has it.
        stayed: the number of problems on which both have it.
    """

    example: Finding
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    stayed: int = 0


@dataclass(frozen=True, kw_only=True)
class BitsChange:
    """How the results of a subject differ.

    Attributes:
        compared: its problems in both runs. changed: how many of them differ in bits or outcome.
        max_ulps: the largest integer-ordered distance over all values that are numbers in both runs, in ulps of
            the result's dtype; worst: the problem where it was met ("" where no such value changed).
        other: changes that are no distance, by kind ("answered -> raised", "dtype", "shape", "number -> NaN"):
            the number of problems.
    """

    subject: str
    compared: int
    changed: int
    max_ulps: int = 0
    worst: str = ""
    other: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class GradeChange:
    """`problems` problems moved from grade `before` to grade `after` (None: nothing was judged). example: a problem."""

    subject: str
    before: Grade | None
    after: Grade | None
    problems: int
    example: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What changed from the run `before` to the run `after` (file names). All tuples are sorted, worst first.

    Attributes:
        problems: in both runs; only_before, only_after: the numbers in a single run.
        pairs: (problem, subject) pairs in both runs.
        subjects_gone, subjects_new: ids.
        new, gone: findings of a single run. changed: findings of both runs, on other problems.
        bits, grades: the changes of each subject that has any.
    """

    before: str
    after: str
    problems: int
    only_before: int
    only_after: int
    pairs: int
    environment: tuple[EnvironmentChange, ...] = ()
    subjects_gone: tuple[str, ...] = ()
    subjects_new: tuple[str, ...] = ()
    new: tuple[FindingChange, ...] = ()
    gone: tuple[FindingChange, ...] = ()
    changed: tuple[FindingChange, ...] = ()
    bits: tuple[BitsChange, ...] = ()
    grades: tuple[GradeChange, ...] = ()

    @property
    def same(self) -> bool:
        """Whether all results of both runs are the same (versions may differ)."""
        return not (self.new or self.gone or self.changed or self.bits or self.grades)


def compare(before: Store, after: Store, *, judge: SupportsJudge | None = None) -> Comparison:
    """What changed between two runs; both are read problem by problem.

    Raises:
        StoreError: where a file is damaged.
    """
    judge = judge or Judge()
    old_ids, new_ids = before.problem_ids(), set(after.problem_ids())
    common = [identity for identity in old_ids if identity in new_ids]
    old_subjects, new_subjects = before.subjects(), after.subjects()
    changes = _Changes()
    for identity in common:
        old_raw, new_raw = before.raw_outcomes(identity), after.raw_outcomes(identity)
        problem = before.problem(identity)
        for name in sorted(old_raw.keys() & new_raw.keys()):
            old = _Side.of(old_subjects, name, before, old_raw)
            new = _Side.of(new_subjects, name, after, new_raw)
            changes.add(problem, old, new, judge)
    return Comparison(
        before=str(before.path),
        after=str(after.path),
        problems=len(common),
        only_before=len(old_ids) - len(common),
        only_after=len(new_ids) - len(common),
        pairs=sum(changes.compared.values()),
        environment=tuple(_environment_changes(before, after)),
        subjects_gone=tuple(sorted(old_subjects.keys() - new_subjects.keys())),
        subjects_new=tuple(sorted(new_subjects.keys() - old_subjects.keys())),
        bits=changes.bits(),
        grades=changes.grades(),
        **changes.findings(),
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """The result of a subject on a problem in a run.

    plain: of a subject with a switch, the result without it, if the run has it.
    """

    subject: Subject
    store: Store
    raw: tuple[str, bytes]
    plain: _Side | None = None

    @classmethod
    def of(cls, subjects: Mapping[str, Subject], name: str, store: Store, raw: Mapping[str, tuple[str, bytes]]) -> Self:
        """The result of the subject of this name."""
        subject = subjects[name]
        has_plain = subject.has_switch and subject.without_switch in raw
        plain = cls.of(subjects, subject.without_switch, store, raw) if has_plain else None
        return cls(subject, store, raw[name], plain)

    def outcome(self) -> Outcome:
        return self.store.outcome(*self.raw)

    def judgement(self, problem: Problem, judge: SupportsJudge) -> Judgement:
        """As the report of the run has it."""
        judgement = judge.judge(problem, self.subject, self.outcome())
        if self.plain is None:
            return judgement
        plain = Result(self.plain.outcome(), self.plain.judgement(problem, judge))
        return beside_default(problem, self.subject, Result(self.outcome(), judgement), plain)

    def same(self, other: _Side) -> bool:
        """Whether another run has this result, and the result without the switch, to the bit."""
        if self.plain is None or other.plain is None:
            return self.plain is other.plain and (self.raw, self.subject) == (other.raw, other.subject)
        return (self.raw, self.subject) == (other.raw, other.subject) and self.plain.same(other.plain)


@dataclass(slots=True)
class _Changes:
    """The changes met so far."""

    compared: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    worst: dict[str, tuple[int, str]] = field(default_factory=dict)
    other: dict[str, Counter[str]] = field(default_factory=dict)
    moved: dict[tuple[str, Grade | None, Grade | None], list[str]] = field(default_factory=dict)
    found: dict[_Key, _Found] = field(default_factory=dict)

    def add(self, problem: Problem, old: _Side, new: _Side, judge: SupportsJudge) -> None:
        name = old.subject.id
        self.compared[name] += 1
        if old.raw != new.raw:
            self._add_bits(name, problem.id, old.outcome(), new.outcome())
        after = new.judgement(problem, judge)
        before = after if old.same(new) else old.judgement(problem, judge)
        if before.grade is not after.grade:
            self.moved.setdefault((name, before.grade, after.grade), []).append(problem.id)
        self._add_findings(problem.id, before, after)

    def _add_bits(self, name: str, problem: str, old: Outcome, new: Outcome) -> None:
        ulps, other = difference(old, new)
        if not (ulps or other):
            return  # a warning or a message only
        self.changed[name] += 1
        self.other.setdefault(name, Counter()).update(other)
        if ulps > self.worst.get(name, (0, ""))[0]:
            self.worst[name] = (ulps, problem)

    def _add_findings(self, problem: str, before: Judgement, after: Judgement) -> None:
        old, new = ({finding.key: finding for finding in reversed(side.findings)} for side in (before, after))
        for key in old.keys() | new.keys():
            found = self.found.setdefault(key, _Found())
            if key in new:
                found.last = found.last or new[key]
            if key in old:
                found.first = found.first or old[key]
            match key in old, key in new:
                case True, True:
                    found.stayed += 1
                case True, False:
                    found.vanished.append(problem)
                case _:
                    found.appeared.append(problem)

    def bits(self) -> tuple[BitsChange, ...]:
        changes = [
            BitsChange(
                subject=name,
                compared=self.compared[name],
                changed=count,
                max_ulps=self.worst.get(name, (0, ""))[0],
                worst=self.worst.get(name, (0, ""))[1],
                other=dict(sorted(self.other[name].items())),
            )
            for name, count in self.changed.items()
        ]
        return tuple(sorted(changes, key=lambda c: (-sum(c.other.values()), -c.max_ulps, c.subject)))

    def grades(self) -> tuple[GradeChange, ...]:
        changes = [
            GradeChange(subject=name, before=old, after=new, problems=len(problems), example=problems[0])
            for (name, old, new), problems in self.moved.items()
        ]
        return tuple(sorted(changes, key=lambda c: (_rank(c.before) - _rank(c.after), c.subject, _rank(c.after))))

    def findings(self) -> dict[str, tuple[FindingChange, ...]]:
        """By the names of `Comparison`: new, gone, changed."""
        kinds: dict[str, list[FindingChange]] = {"new": [], "gone": [], "changed": []}
        for _, found in sorted(self.found.items()):
            if not (found.appeared or found.vanished):
                continue
            kind = "changed" if found.first and found.last else "new" if found.last else "gone"
            kinds[kind].append(found.change())
        return {kind: tuple(sorted(changes, key=lambda c: c.example.severity.rank)) for kind, changes in kinds.items()}


@dataclass(slots=True)
class _Found:
    """One key on the way to a `FindingChange`."""

    first: Finding | None = None
    last: Finding | None = None
    appeared: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    stayed: int = 0

    def change(self) -> FindingChange:
        example = self.last or self.first
        if example is None:
            raise ValueError("a key without a finding")
        return FindingChange(
            example=example, appeared=tuple(self.appeared), vanished=tuple(self.vanished), stayed=self.stayed
        )


def _rank(grade: Grade | None) -> int:
    return -1 if grade is None else grade.rank


def _environment_changes(before: Store, after: Store) -> Iterator[EnvironmentChange]:
    sides = [_environments(store) for store in (before, after)]
    for where in sorted(sides[0].keys() & sides[1].keys(), key=lambda name: (name != "harness", name)):
        old, new = (side[where] for side in sides)
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                yield EnvironmentChange(where=where, name=name, before=old.get(name), after=new.get(name))


def _environments(store: Store) -> dict[str, dict[str, str]]:
    """Backend (or "harness") -> the facts of its environment, flat; packages under their own names."""
    backends = {event.backend: event.environment for event in store.backends() if isinstance(event, BackendReady)}
    return {where: dict(_facts(facts)) for where, facts in chain([("harness", store.environment)], backends.items())}


def _facts(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, part in value.items():
        if isinstance(part, Mapping):
            if name == "packages":  # files of older versions have the spelling of each release
                yield from ((normalized(package), str(version)) for package, version in part.items())
            else:
                yield from _facts(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(part)
