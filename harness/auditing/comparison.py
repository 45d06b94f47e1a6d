"""A step of an audit: two runs, compared call by call, as groups of transitions.

`results.run_diff.compare` judges both runs and pairs their calls; every pair passes through `_Collector`, which keeps
for each group its size and its smallest problem. Memory grows with the number of groups, not with the size of the runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from logitmus.auditing.advice import advice
from logitmus.auditing.call_times import TimeChange, Times, time_changes
from logitmus.auditing.classification import Shown, Side, classify, moved_ulps, serious
from logitmus.auditing.presence import Absent, absent, is_absent, lost_calls
from logitmus.auditing.results_in_words import values
from logitmus.auditing.transitions import Change, Example, Moved, Step, SubjectState, Transition
from logitmus.core.finding import Finding, Grade, Judgement, Severity
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.core.subject import SubjectId
from logitmus.engine.judge_batches import SupportsJudge
from logitmus.results import wording
from logitmus.results.run_changes import Comparison
from logitmus.results.run_diff import compare
from logitmus.storage.store import Store

Reason = Callable[[Finding], str]


def step(
    before: Store,
    after: Store,
    *,
    names: tuple[str, str] | None = None,
    requested: Collection[str] = (),
    reason: Reason = lambda _: "",
    rounds: Sequence[tuple[Times, Times]] | None = None,
    judge: SupportsJudge | None = None,
) -> Step:
    """What changes from one run to another.

    Args:
        names: of the runs; None: of their files.
        requested: the packages that the comparison is about, beside those of the frameworks.
        reason: why a finding of the later run is accepted; "": it is not.
        rounds: the times of calls that were made in turn; None: those that the files hold.

    Raises:
        StoreError: where a file is damaged.
    """
    collector = _Collector(before, after, reason)
    comparison = compare(before, after, judge=judge, watch=collector.add)
    old, new = names or (before.path.name, after.path.name)
    transitions = [*collector.transitions(), *_presence(collector), *_subjects(comparison), *_times(collector, rounds)]
    changed = [c for c in comparison.environment if c.own or (c.name in requested and c.where != "harness")]
    packages = tuple(dict.fromkeys((c.name, c.before or "", c.after or "") for c in changed))
    return Step(
        title=title(packages, old, new),
        before=old,
        after=new,
        packages=packages,
        comparison=comparison,
        transitions=tuple(sorted(transitions, key=_rank)),
        moved=collector.moved,
        states=collector.states(),
        lost=lost_calls(after),
        failing=tuple(_failing(collector)),
    )


def title(packages: Sequence[tuple[str, str, str]], before: str, after: str) -> str:
    """The packages that differ ("optax 0.2.3 to 0.2.8"); the names of the runs, if these are none or many."""
    changed = [f"{name} {old} to {new}" for name, old, new in packages if old and new]
    return ", ".join(changed) if 0 < len(changed) <= _PACKAGES_IN_TITLE else f"{before} to {after}"


_PACKAGES_IN_TITLE = 3


@dataclass(slots=True)
class _Group:
    """The calls with one kind of transition and one cause."""

    shown: Shown
    results: int = 0
    accepted: int = 0
    reasons: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    dtypes: set[str] = field(default_factory=set)
    families: set[str] = field(default_factory=set)
    smallest: tuple[object, ...] | None = None
    call: tuple[Problem, Side, Side] | None = None  # the smallest problem that shows it, with both results


class _Collector:
    """Groups the transitions of the calls of two runs."""

    def __init__(self, before: Store, after: Store, reason: Reason) -> None:
        self.before, self.after = before, after
        self.absent: tuple[Absent, Absent] = (absent(before), absent(after))
        self.moved = Moved()
        self._reason = reason
        self._subjects = before.subjects(), after.subjects()
        self._groups: dict[tuple[str, ...], _Group] = {}
        self._states: dict[str, tuple[_State, _State]] = {}
        self._raw: tuple[str, Mapping[str, tuple[str, bytes]]] = ("", {})  # of the last problem, in the later run

    def add(self, before: Judgement, after: Judgement) -> None:
        """Take in a call of both runs."""
        name, problem = after.subject, self.after.problem(after.problem)
        if any(is_absent(problem, name, side) for side in self.absent):
            return
        for state, judgement in zip(self._states.setdefault(name, (_State(), _State())), (before, after), strict=True):
            state.add(judgement)
        if self._returned(problem.id, name):
            self.moved = replace(self.moved, compared=self.moved.compared + 1)
        if before is after:
            return
        sides = [
            Side(store.outcome(*store.raw_outcomes(problem.id)[name]), judgement, subjects[name])
            for store, judgement, subjects in zip(
                (self.before, self.after), (before, after), self._subjects, strict=True
            )
        ]
        for shown in classify(problem, *sides):
            if shown.change is Change.BITS and not shown.field:
                self._move(problem, *sides)
            self._add(shown, problem, *sides)

    def _returned(self, problem: str, subject: str) -> bool:
        """Whether a call of the later run returned a result."""
        if self._raw[0] != problem:
            self._raw = (problem, self.after.raw_outcomes(problem))
        return self._raw[1][subject][0] == Answered.__name__

    def _move(self, problem: Problem, before: Side, after: Side) -> None:
        ulps = 0.0
        if isinstance(before.outcome, Answered) and isinstance(after.outcome, Answered):
            ulps = moved_ulps(before.outcome, after.outcome)
        moved = self.moved
        self.moved = replace(
            moved,
            changed=moved.changed + 1,
            ulps=max(moved.ulps, ulps),
            share=max(moved.share, before.judgement.share, after.judgement.share),
            problem=problem.id if ulps > moved.ulps else moved.problem,
        )

    def _add(self, shown: Shown, problem: Problem, before: Side, after: Side) -> None:
        subject = after.subject
        group = self._groups.setdefault((subject.backend, *shown.key), _Group(shown))
        group.results += 1
        group.subjects.add(subject.id)
        group.dtypes.add(problem.dtype)
        group.families.add(problem.family)
        if shown.appeared and shown.finding is not None:
            why = self._reason(shown.finding)
            group.accepted += bool(why)
            group.reasons |= {why} - {""}
        size = (
            not problem.has_valid_labels,
            problem.classes * max(problem.rows, 1),
            problem.dtype != "float32",
            len(problem.options),
            problem.id,
            subject.id,
        )
        if group.smallest is None or size < group.smallest:
            group.smallest, group.shown, group.call = size, shown, (problem, before, after)

    def _example(self, shown: Shown, problem: Problem, before: Side, after: Side) -> Example:
        store = self.after if shown.appeared else self.before
        found = shown.finding
        value = values(problem, before.outcome, after.outcome, found)
        if value.before == value.after:  # the finding is about a value that is the same in both
            found = None
            value = values(problem, before.outcome, after.outcome, None)
        return Example(
            problem=problem.id,
            input=wording.question(problem, value.row),
            subject=store.original(after.subject.id),
            before=value.before,
            after=value.after,
            expected=found.expected if found else value.exact(problem, after.subject.convention),
            place=value.place(problem),
            finding=replace(found, subject=store.original(found.subject)).id if found else "",
            run=str(store.path) if found else "",
        )

    def transitions(self) -> Iterator[Transition]:
        """The groups."""
        for (backend, *_), group in self._groups.items():
            shown = group.shown
            yield Transition(
                change=shown.change,
                what=shown.what,
                act=advice(shown),
                backend=backend,
                cause=shown.cause,
                field=shown.field,
                before=shown.before,
                after=shown.after,
                severity=shown.finding.severity if shown.finding else None,
                worse=shown.worse,
                subjects=tuple(sorted(group.subjects)),
                dtypes=tuple(sorted(group.dtypes)),
                families=tuple(sorted(group.families)),
                results=group.results,
                example=self._example(shown, *group.call) if group.call else None,
                accepted="; ".join(sorted(group.reasons)) if group.accepted == group.results else "",
            )

    def states(self) -> dict[str, tuple[SubjectState, SubjectState]]:
        """What both runs show of each subject, sorted by id."""
        return {name: (old.value(), new.value()) for name, (old, new) in sorted(self._states.items())}


@dataclass(slots=True)
class _State:
    grade: Grade | None = None
    share: float = 0.0
    wrong: int = 0
    calls: int = 0
    causes: set[str] = field(default_factory=set)

    def add(self, judgement: Judgement) -> None:
        self.calls += 1
        self.share = max(self.share, judgement.share)
        is_conventional = any(finding.cause.is_convention for finding in judgement.findings)
        if judgement.grade not in (None, Grade.COARSE) and not is_conventional:
            self.grade = max(filter(None, (self.grade, judgement.grade)), key=lambda grade: grade.rank)
        wrong = serious(judgement)
        self.wrong += bool(wrong)
        self.causes |= wrong.keys()

    def value(self) -> SubjectState:
        return SubjectState(
            grade=self.grade.value if self.grade else "",
            share=self.share,
            wrong=self.wrong,
            causes=tuple(sorted(self.causes)),
            calls=self.calls,
        )


def _presence(collector: _Collector) -> Iterator[Transition]:
    """Functions and options that one of the versions lacks."""
    old, new = collector.absent
    places: dict[tuple[Change, str, str, str, str], list[str]] = {}
    for (subject, option), why in [*old.items(), *new.items()]:
        place = (subject, option)
        if (place in old) == (place in new) or any((subject, "") in side for side in (old, new) if option):
            continue
        named = SubjectId.parse(subject)
        change = Change.GONE if place in new else Change.NEW
        places.setdefault((change, named.backend, named.function, option, why), []).append(subject)
    for (change, backend, function, option, why), subjects in places.items():
        of = f"the option {option} of {function}" if option else f"the function {function}"
        fails = "every call of it fails now" if change is Change.GONE else "before, every call of it failed"
        yield _named(change, f"{of}: {fails}: {why}", backend, subjects, field=option or function)


def _failing(collector: _Collector) -> Iterator[str]:
    """The functions of which every call fails in both runs, in words."""
    old, new = collector.absent
    places: dict[tuple[str, str, str], list[str]] = {}
    for (subject, option), why in new.items():
        if not option and (subject, "") in old:
            places.setdefault((SubjectId.parse(subject).backend, old[subject, ""], why), []).append(subject)
    for (_, before, after), subjects in places.items():
        why = after if before == after else f"{before}; now {after}"
        yield f"{wording.names(subjects)}: every call fails in both: {why}"


def _subjects(comparison: Comparison) -> Iterator[Transition]:
    """Functions, modes and devices that only one of the runs has."""
    for change, names in ((Change.GONE, comparison.subjects_gone), (Change.NEW, comparison.subjects_new)):
        by_backend: dict[str, list[str]] = {}
        for name in names:
            by_backend.setdefault(SubjectId.parse(name).backend, []).append(name)
        for backend, subjects in by_backend.items():
            if backend not in comparison.backends_gone:
                which = "earlier" if change is Change.GONE else "later"
                what = f"only the {which} run has {wording.functions(subjects)}"
                yield _named(change, what, backend, subjects, field="functions")


def _named(change: Change, what: str, backend: str, subjects: Sequence[str], *, field: str) -> Transition:
    shown = Shown(change=change, what=what)
    return Transition(
        change=change,
        what=what,
        act=advice(shown),
        backend=backend,
        field=field,
        worse=change is Change.GONE,
        subjects=tuple(sorted(subjects)),
    )


def _times(collector: _Collector, rounds: Sequence[tuple[Times, Times]] | None) -> Iterator[Transition]:
    groups: dict[tuple[Change, str], list[TimeChange]] = {}
    if rounds is None:
        rounds = [(collector.before.later_seconds(), collector.after.later_seconds())]
    for change in time_changes(rounds):
        if not any((change.subject, "") in side for side in collector.absent):
            kind = Change.SLOWER if change.ratio > 1 else Change.FASTER
            groups.setdefault((kind, SubjectId.parse(change.subject).backend), []).append(change)
    for (kind, backend), changes in groups.items():
        most = max(changes, key=lambda change: max(change.ratio, 1 / change.ratio))
        times = f"{_seconds(most.before)} before, {_seconds(most.after)} after"
        if kind is Change.SLOWER:
            what = f"a call takes {most.ratio:.2g} times as long ({most.low:.2g} to {most.high:.2g}; {times})"
        else:
            what = f"a call is {1 / most.ratio:.2g} times as fast ({1 / most.high:.2g} to {1 / most.low:.2g}; {times})"
        subjects = [change.subject for change in changes]
        found = _named(kind, what, backend, subjects, field="time")
        yield replace(found, worse=False)


def _seconds(value: float) -> str:
    """A time in a unit that fits: "15 ms"."""
    scale, unit = next((scale, unit) for scale, unit in _UNITS if value >= scale or unit == "ns")
    return f"{value / scale:.3g} {unit}"


_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def _rank(transition: Transition) -> tuple[object, ...]:
    severity = transition.severity.rank if transition.severity else len(Severity)
    return (
        bool(transition.accepted),
        not transition.worse,
        transition.change.rank,
        severity,
        -transition.results,
        transition.backend,
        transition.what,
    )
