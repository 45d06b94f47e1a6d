"""Compare a run with an earlier run: what an upgrade changed, and which findings are new.

`Comparing` takes the events of the later run as they come (`run --against`, `judge --against`); `compare` makes these
events from the file (`logitmus compare`). So both agree on what is new:

- On a call that both runs made, a finding is new if the earlier run, judged by this version of Logitmus, does not show
  its class (`Finding.key`: subject, kind, severity, cause) on that very call.
- On a call that only the later run made, a finding is new if its class is: if the earlier run shows it on no call of
  the subject or, where it lacks the subject, of the backend. Thus a larger suite reports what it finds for the first
  time, and does not repeat on every further problem what is known.
- A call whose worker was lost, or that was not made for another reason, was not made: nothing is gone by that.

The earlier file is read problem by problem. Where the declaration of a subject and its bits are the same in both runs,
so is its judgement, and it is made once; the other results of the earlier run are judged in batches. Memory is
bounded by what changed, not by the size of the runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from logitmus.core.events import BackendFailed, BackendReady, Event, Judged
from logitmus.core.finding import Finding, Grade, Judgement
from logitmus.core.observation import NotRun
from logitmus.core.problem import Problem, Purpose
from logitmus.core.subject import SubjectId
from logitmus.engine.judge_batches import (
    TOGETHER,
    JudgedSubject,
    JudgeRequest,
    SupportsJudge,
    judge_problems,
    judge_requests,
    judged,
    judged_subjects,
)
from logitmus.engine.planning import by_signature
from logitmus.judging.judge import Judge
from logitmus.judging.outcome_difference import difference
from logitmus.results.environment_diff import environment_changes
from logitmus.results.run_changes import (
    BitsChange,
    Comparison,
    DeclarationChange,
    FindingChange,
    GradeChange,
)
from logitmus.storage.store import Store

_Key = tuple[str, str, str, str]
_Raw = tuple[str, bytes]
_NOT_MADE: Final = NotRun.__name__


Watch = Callable[[Judgement, Judgement], None]
"""Called with the judgements of each call of both runs: one judgement, twice, where the results are the same."""


def compare(
    before: Store, after: Store, *, judge: SupportsJudge | None = None, watch: Watch | None = None
) -> Comparison:
    """What changed between two runs; both are read problem by problem.

    Raises:
        StoreError: where a file is damaged.
    """
    judge = judge or Judge()
    comparing = Comparing(before, after, judge=judge, watch=watch)
    signatures: dict[tuple[object, ...], list[str]] = {}
    for identity in _reported(after):
        signatures.setdefault(after.problem(identity).signature, []).append(identity)
    for event in judge_problems(after, by_signature(signatures, after), judged_subjects(after), judge):
        comparing.observe(event)
    comparing.finish()
    return comparing.comparison()


class Comparing:
    """The comparison of a run with an earlier run, while the events of the later run pass.

    Both files must be open, and `after` must hold a result when the event with its judgement is observed.

    Attributes:
        before: the file of the earlier run.
    """

    def __init__(
        self, before: Store, after: Store, *, judge: SupportsJudge | None = None, watch: Watch | None = None
    ) -> None:
        self.before, self._after, self._watch = before, after, watch
        self._judge = judge or Judge()
        self._old = {entry.subject.id: entry for entry in judged_subjects(before)}
        self._backends = {SubjectId.parse(subject).backend for subject in self._old}
        self._changes = _Changes()
        self._at: tuple[str, Mapping[str, _Raw], Mapping[str, _Raw]] = ("", {}, {})
        self._pending: dict[str, dict[str, Judgement]] = {}
        # Findings on calls that only the later run made, until the earlier run is known to show their class.
        self._alone: dict[_Key, list[Finding]] = {}
        self._shown: set[_Key] = set()

    def observe(self, event: Event) -> list[Finding]:
        """Take in an event of the later run; return findings, of this or of earlier events, that turned out new."""
        new = self._take(event.problem, event.judgement) if isinstance(event, Judged) else []
        return new + self._flush() if len(self._pending) >= TOGETHER else new

    def finish(self) -> list[Finding]:
        """Judge what is left; return the last new findings."""
        new = self._flush()
        self._look_further()
        for findings in self._alone.values():
            self._changes.add_alone(findings)
            new += findings
        self._alone = {}
        return new

    def comparison(self) -> Comparison:
        """What changed; call it after `finish`."""
        old_ids, new_ids = set(_reported(self.before)), set(_reported(self._after))
        old, new = self._old, self._new
        return Comparison(
            before=str(self.before.path),
            after=str(self._after.path),
            problems=len(old_ids & new_ids),
            only_before=len(old_ids - new_ids),
            only_after=len(new_ids - old_ids),
            pairs=sum(self._changes.compared.values()),
            not_made=self._changes.not_made,
            environment=tuple(environment_changes(self.before, self._after)),
            backends_gone=tuple(sorted(_started(self.before) - (_started(self._after) - _failed(self._after)))),
            subjects_gone=tuple(sorted(old.keys() - new.keys())),
            subjects_new=tuple(sorted(new.keys() - old.keys())),
            declared=tuple(_declarations(old, new)),
            bits=self._changes.bits(),
            grades=self._changes.grades(),
            **self._changes.findings(),
        )

    @cached_property
    def _new(self) -> dict[str, JudgedSubject]:
        """The subjects of the later run, which its file holds before the first judgement."""
        return {entry.subject.id: entry for entry in judged_subjects(self._after)}

    def _take(self, problem: Problem, judgement: Judgement) -> list[Finding]:
        old, new = self._raw(problem.id)
        name = judgement.subject
        if not _made(new, name):
            self._changes.not_made += _made(old, name)
            return []
        if not _made(old, name):
            return self._take_alone(judgement)
        self._changes.compared[name] += 1
        if old[name] != new[name]:
            outcomes = self.before.outcome(*old[name]), self._after.outcome(*new[name])
            self._changes.add_bits(name, problem.id, *difference(*outcomes))
        if self._is_same(name, old, new):
            return self._pair(judgement, judgement)
        self._pending.setdefault(problem.id, {})[name] = judgement
        return []

    def _take_alone(self, judgement: Judgement) -> list[Finding]:
        """Take in the findings on a call that only the later run made."""
        if SubjectId.parse(judgement.subject).backend not in self._backends:
            self._changes.add_alone(judgement.findings)
            return list(judgement.findings)
        for finding in judgement.findings:
            if self._class(finding) not in self._shown:
                self._alone.setdefault(self._class(finding), []).append(finding)
        return []

    def _pair(self, before: Judgement, after: Judgement) -> list[Finding]:
        if self._watch is not None:
            self._watch(before, after)
        self._show(before)
        return self._changes.add(before, after)

    def _show(self, before: Judgement) -> None:
        """Take note of the classes that the earlier run shows."""
        for finding in before.findings:
            subject, kind, severity, cause = finding.key
            for scope in (subject, SubjectId.parse(subject).backend):
                self._shown.add((scope, kind, severity, cause))
                self._alone.pop((scope, kind, severity, cause), None)

    def _class(self, finding: Finding) -> _Key:
        """The class of a finding on a call that the earlier run lacks."""
        subject, kind, severity, cause = finding.key
        return (subject if subject in self._old else SubjectId.parse(subject).backend, kind, severity, cause)

    def _flush(self) -> list[Finding]:
        """Judge the pending results of the earlier run."""
        pending, self._pending = self._pending, {}
        requests = [JudgeRequest(problem, tuple(judgements)) for problem, judgements in pending.items()]
        return [
            finding
            for before in self._judged(requests)
            for finding in self._pair(before, pending[before.problem][before.subject])
        ]

    def _look_further(self) -> None:
        """Look for the classes that are left in the calls that only the earlier run made."""
        scopes = {of_class[0] for of_class in self._alone}
        wanted = [name for name in self._old if scopes & {name, SubjectId.parse(name).backend}]
        for before in self._judged(self._calls_alone(wanted) if wanted else ()):
            self._show(before)
            if not self._alone:
                return

    def _calls_alone(self, subjects: Iterable[str]) -> Iterator[JudgeRequest]:
        for problem in self.before.problem_ids():
            old, new = self._raw(problem)
            names = tuple(name for name in subjects if _made(old, name) and not _made(new, name))
            if names:
                yield JudgeRequest(problem, names)

    def _judged(self, requests: Iterable[JudgeRequest]) -> Iterator[Judgement]:
        """Judge results of the earlier run."""
        for problem, judgements in judge_requests(self.before, requests, self._old.values(), self._judge):
            for event in judged(problem, judgements):
                yield event.judgement

    def _raw(self, problem: str) -> tuple[Mapping[str, _Raw], Mapping[str, _Raw]]:
        """The results of both runs; the events of a problem come together."""
        if self._at[0] != problem:
            self._at = (problem, self.before.raw_outcomes(problem), self._after.raw_outcomes(problem))
        return self._at[1:]

    def _is_same(self, name: str, old: Mapping[str, _Raw], new: Mapping[str, _Raw]) -> bool:
        """Whether all is the same that the judgement depends on: bits and declaration, with the switch and without."""
        entry = self._new[name]
        plain = entry.subject.without_switch if entry.subject.has_switch else name
        return all(
            old.get(of) == new.get(of) and _declared(self._old, of) == _declared(self._new, of) for of in {name, plain}
        )


@dataclass(slots=True)
class _Changes:
    """The changes met so far."""

    not_made: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    worst: dict[str, tuple[int, str]] = field(default_factory=dict)
    other: dict[str, Counter[str]] = field(default_factory=dict)
    moved: dict[tuple[str, Grade | None, Grade | None], list[str]] = field(default_factory=dict)
    found: dict[_Key, _Found] = field(default_factory=dict)

    def add(self, before: Judgement, after: Judgement) -> list[Finding]:
        """Take in the judgements of a call of both runs; return the findings that are new."""
        if before.grade is not after.grade:
            self.moved.setdefault((after.subject, before.grade, after.grade), []).append(after.problem)
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
                    found.vanished.append(after.problem)
                case _:
                    found.appeared.append(after.problem)
        return [finding for finding in after.findings if finding.key not in old]

    def add_alone(self, findings: Iterable[Finding]) -> None:
        """Take in new findings on calls that only the later run made."""
        for finding in findings:
            found = self.found.setdefault(finding.key, _Found())
            found.last = found.last or finding
            found.added.append(finding.problem)

    def add_bits(self, name: str, problem: str, ulps: int, other: set[str]) -> None:
        """Take in how two results of a subject differ (`difference`)."""
        if not (ulps or other):
            return  # a warning or a message only
        self.changed[name] += 1
        self.other.setdefault(name, Counter()).update(other)
        if ulps > self.worst.get(name, (0, ""))[0]:
            self.worst[name] = (ulps, problem)

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
            if not (found.appeared or found.vanished or found.added):
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
    added: list[str] = field(default_factory=list)
    stayed: int = 0

    def change(self) -> FindingChange:
        example = self.last or self.first
        if example is None:
            raise ValueError("a key without a finding")
        return FindingChange(
            example=example,
            appeared=tuple(self.appeared),
            vanished=tuple(self.vanished),
            added=tuple(dict.fromkeys(self.added)),
            stayed=self.stayed,
        )


def _reported(store: Store) -> list[str]:
    """The problems (ids) of a run on which it reports findings: all but those of reduction."""
    return [identity for identity in store.problem_ids() if store.problem(identity).purpose is not Purpose.REDUCTION]


def _made(raw: Mapping[str, _Raw], subject: str) -> bool:
    return subject in raw and raw[subject][0] != _NOT_MADE


def _declared(subjects: Mapping[str, JudgedSubject], name: str) -> str:
    return subjects[name].declaration if name in subjects else ""


def _declarations(old: Mapping[str, JudgedSubject], new: Mapping[str, JudgedSubject]) -> Iterator[DeclarationChange]:
    for name in sorted(old.keys() & new.keys()):
        changed = old[name].subject.convention.differences(new[name].subject.convention)
        for of, (before, after) in changed.items():
            yield DeclarationChange(subject=name, field=of, before=before, after=after)


def _started(store: Store) -> set[str]:
    return {event.backend for event in store.backends() if isinstance(event, BackendReady)}


def _failed(store: Store) -> set[str]:
    """The backends that could not start, or not again in the middle of the run."""
    return {event.backend for event in store.backends() if isinstance(event, BackendFailed)}


def _rank(grade: Grade | None) -> int:
    return -1 if grade is None else grade.rank
