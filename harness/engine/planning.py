"""Planning: which problem is run on which subject, in which order, and what a run's file already holds of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain

from logitmus.core.events import BackendReady
from logitmus.core.problem import ONCE, Problem, Purpose
from logitmus.core.subject import PROFILES, Subject
from logitmus.engine.added_problems import without_follow_ups
from logitmus.execution.pool import Ask, Ready
from logitmus.storage.store import Store, StoreError
from logitmus.worker.environment import changed_version


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The subjects to test: those that match any of the globs, on any of the devices; empty: no restriction.

    profile: leaves out the subjects that declare a larger one, unless globs name subjects; "": none.
    """

    subjects: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    profile: str = ""

    def includes(self, subject: Subject) -> bool:
        """Whether `subject` is tested."""
        if self.devices and not any(fnmatchcase(subject.device, glob) for glob in self.devices):
            return False
        if self.subjects:
            return any(fnmatchcase(subject.id, glob) for glob in self.subjects)
        return not self.profile or PROFILES.index(subject.least_profile) <= PROFILES.index(self.profile)


@dataclass(slots=True)
class Work:
    """Calls to make, and the progress of each backend.

    Attributes:
        backends: the backend's label by subject id.
        subjects: the subjects (ids) that still lack a result, by problem id, in the order of the calls.
        missing: the number of results that each problem still lacks.
        calls: the number of calls of each backend in all. done: how many of these have a result in the file.
    """

    backends: Mapping[str, str]
    subjects: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def add(self, problem: str, subjects: tuple[str, ...]) -> None:
        """Plan calls of these subjects on a problem (its id)."""
        if subjects:
            self.subjects[problem] = subjects
            self.missing[problem] = len(subjects)

    def asks(self, store: Store, environment: Sequence[Subject]) -> Iterator[Ask]:
        """Yield the calls of the subjects of an environment; each problem is read from the file when it is due."""
        own = {subject.id for subject in environment}
        with store.reader() as reader:
            for identity, subjects in self.subjects.items():
                mine = tuple(subject for subject in subjects if subject in own)
                if mine:
                    yield Ask(reader.problem(identity), mine)


def add_problems(problems: Iterable[Problem], store: Store) -> list[str]:
    """Store the problems, or those of the file's shard; return their ids in the order of the calls.

    Raises:
        StoreError: if the file holds other problems.
    """
    stored, shard = store.problem_ids(), store.settings.shard
    signatures: dict[tuple[object, ...], list[str]] = {}
    places: dict[str, int] = {}  # in the whole suite, by id

    def placed() -> Iterator[tuple[int, Problem]]:
        for problem in problems:
            place = places.setdefault(problem.id, len(places) + 1)
            if shard is None or shard.includes(problem):
                signatures.setdefault(problem.signature, []).append(problem.id)
                yield place, problem

    if stored:
        distinct = list(dict.fromkeys(problem.id for _, problem in placed()))
        same, added = stored[: len(distinct)] == distinct, stored[len(distinct) :]
        if not same or any(store.problem(identity).purpose is Purpose.SUITE for identity in added):
            hint = "Resume with the settings that the run was started with, or name another file"
            message = f"holds {len(stored)} problems that differ from the {len(distinct)} requested"
            raise StoreError(store.path, message, hint)
    else:
        store.place_problems(placed())
    return by_signature(signatures, store)


def by_signature(signatures: Mapping[tuple[object, ...], Sequence[str]], store: Store) -> list[str]:
    """Order problem ids by signature: compilations are shared, and problems are judged in stacks.

    Problems with a call mode other than plain come last: what a framework loads for them takes long, and the
    judges have work to do then.
    """
    groups = sorted(signatures.values(), key=lambda group: store.problem(group[0]).manner != ONCE)
    return list(dict.fromkeys(chain.from_iterable(groups)))


def register(ready: Ready, selection: Selection, store: Store) -> dict[str, str]:
    """Store a backend that has started; return its label by the id of each selected subject.

    Raises:
        StoreError: if the file holds results of other versions of it.
    """
    selected = tuple(subject for subject in ready.subjects if selection.includes(subject))
    _check_versions(store, ready)
    store.add_backend(BackendReady(ready.spec.label, selected, ready.environment, 0))
    return {subject.id: ready.spec.label for subject in selected}


def suite_work(store: Store, order: Iterable[str], backends: Mapping[str, str]) -> Work:
    """Plan each problem (by id) on every subject that accepts it, except for the results in the file."""
    work = Work(backends)
    subjects = [subject for identity, subject in store.subjects().items() if identity in backends]
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # many problems have the same subjects
    resumed = bool(len(store))
    for identity in order:
        problem = store.problem(identity)
        done = store.answered(identity) if resumed else frozenset[str]()
        accepting = [subject.id for subject in subjects if subject.why_not(problem) is None]
        missing = tuple(subject for subject in accepting if subject not in done)
        work.calls.update(backends[subject] for subject in accepting)
        work.done.update(backends[subject] for subject in accepting if subject in done)
        work.add(identity, shared.setdefault(missing, missing))
    return work


def disambiguation_work(
    pairs: Iterable[tuple[Problem, str]], store: Store, backends: Mapping[str, str]
) -> tuple[Work, list[str]]:
    """Plan (problem, subject id) pairs, except for what the suite holds; also return the ids of the problems."""
    work = Work(backends)
    stored = set(store.problem_ids())
    requested: dict[str, list[str]] = {}
    for problem, subject in pairs:
        if problem.id not in stored:
            store.add_problems([problem])
        if store.problem(problem.id).purpose is Purpose.DISAMBIGUATION:
            requested.setdefault(problem.id, []).append(subject)
    for identity, subjects in requested.items():
        done = store.answered(identity)
        missing = tuple(subject for subject in dict.fromkeys(subjects) if subject not in done)
        work.calls.update(backends[subject] for subject in missing)
        work.add(identity, missing)
    return work, list(requested)


def missing_calls(store: Store) -> int:
    """Count the calls that an interrupted run did not make; 0 for a merged file, which need not be complete."""
    if store.settings.merged:
        return 0
    subjects = store.subjects().values()
    count = 0
    for identity in without_follow_ups(store):
        problem, outcomes = store.problem(identity), store.raw_outcomes(identity)
        if problem.purpose is not Purpose.DISAMBIGUATION:
            count += sum(subject.id not in outcomes and subject.why_not(problem) is None for subject in subjects)
    return count


def _check_versions(store: Store, ready: Ready) -> None:
    """Refuse to mix the results of two versions of a backend in the same file.

    Raises:
        StoreError: naming the first version that differs from the interrupted run's.
    """
    for before in store.backends():
        if isinstance(before, BackendReady) and before.backend == ready.spec.label:
            changed = changed_version(before.environment, ready.environment)
            if changed:
                name, old, new = changed
                message = f"was made with {name} {old}; now it is {new}"
                raise StoreError(store.path, message, "Start a new file, and compare both with `logitmus compare`")
