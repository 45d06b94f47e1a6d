"""The engine: problems to workers, answers to the file, and from the file to judgements, as a stream of events.

A problem is judged when its last answer is in the file, from the file: all its subjects together, so that the exact
answer is computed once, and by the same code that judges an old run. So a resumed run, an undisturbed one and
`logitmus judge` give the same events (the order of `Judged` apart). The engine knows none of its readers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol

from logitmus.backend import Subject
from logitmus.events import BackendFailed, BackendReady, Event, Judged, Progressed, RunFinished, RunStarted
from logitmus.finding import Judgement, Verdict
from logitmus.observation import NotRun, Observation, Outcome
from logitmus.pool import Ask, BatchEnded, Limits, Observed, Pool, Ready
from logitmus.problem import Problem
from logitmus.registry import BackendSpec
from logitmus.store import Store, StoreError

_NOT_ASKED = "was not asked: the run was interrupted"


class SupportsJudge(Protocol):
    """What the engine needs of a judge (`logitmus.judge.Judge`)."""

    def judge(self, problem: Problem, subject: Subject, outcome: Outcome, /) -> Judgement:
        """The judgement of what `subject` did with `problem`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which of the subjects that the backends offer are asked: any of the globs, any of the devices; empty: all."""

    subjects: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def takes(self, subject: Subject) -> bool:
        """Whether `subject` is asked."""
        return (not self.subjects or any(fnmatchcase(subject.id, glob) for glob in self.subjects)) and (
            not self.devices or any(fnmatchcase(subject.device, glob) for glob in self.devices)
        )


def run(
    problems: Iterable[Problem],
    specs: Sequence[BackendSpec],
    store: Store,
    *,
    selection: Selection | None = None,
    limits: Limits | None = None,
    jobs: int | None = None,
    judge: SupportsJudge | None = None,
    pool: Callable[[Sequence[BackendSpec], Limits | None, int | None], Pool] = Pool,
) -> Iterator[Event]:
    """Ask every selected subject every problem that it can be asked, keep the answers in `store`, and judge them.

    What the file holds already is not asked again. An interrupt (Ctrl-C) ends the run with what was done.

    Args:
        problems: consumed once, one at a time.
        store: a new file, or one that an interrupted run of the same problems left.
        pool: makes the workers; for tests and for engines that are not this machine.

    Raises:
        StoreError: if the file was made of other problems, or with other versions of a backend.
    """
    start = time.monotonic()
    resumed = len(store)
    interrupted = False
    try:
        with pool(specs, limits, jobs) as workers:
            yield from _run(problems, specs, store, workers, selection or Selection(), judge or _default_judge())
    except KeyboardInterrupt:
        interrupted = True
    store.commit()
    yield RunFinished(seconds=time.monotonic() - start, resumed=resumed, interrupted=interrupted)


def judge_run(store: Store, *, judge: SupportsJudge | None = None) -> Iterator[Event]:
    """The same events from an old run's file; needs no framework."""
    start = time.monotonic()
    judge = judge or _default_judge()
    identities, said = store.problem_ids(), store.backends()
    yield RunStarted(len(identities), tuple(dict.fromkeys(b.backend for b in said)), store.environment, store.settings)
    yield from said
    subjects = judged_subjects(store)
    for identity in identities:
        yield from judge_problem(store, identity, subjects, judge)
    yield RunFinished(seconds=time.monotonic() - start, resumed=len(store))


class JudgedSubject(NamedTuple):
    """A subject, and in words what a judgement of it depends on: what it declares, not its name nor its links."""

    subject: Subject
    declaration: str


def judged_subjects(store: Store) -> tuple[JudgedSubject, ...]:
    """The subjects of a run, sorted by id."""
    return tuple(JudgedSubject(subject, _declaration(subject)) for subject in store.subjects().values())


def _declaration(subject: Subject) -> str:
    documented = sorted(name for name in subject.docs if name)  # which fields are, not where
    gradients = sorted(subject.offer.gradients)
    precision = sorted(subject.precision.items())
    return repr((subject.convention, precision, subject.flushes_subnormals, gradients, documented))


def judge_problem(
    store: Store, identity: str, subjects: Iterable[JudgedSubject], judge: SupportsJudge
) -> Iterator[Judged]:
    """One problem beside all of `subjects`, in their order: what is in the file is judged, the rest was not run."""
    problem = store.problem(identity)
    raw_outcomes = store.raw_outcomes(identity)
    decoded: dict[tuple[str, bytes], Outcome] = {}
    judged: dict[tuple[str, bytes, str], Judgement] = {}
    for subject, declaration in subjects:
        raw = raw_outcomes.get(subject.id)
        if raw is None:
            yield _not_run(problem, subject, subject.why_not(problem) or _NOT_ASKED)
            continue
        if raw not in decoded:
            decoded[raw] = store.outcome(*raw)
        # The same bits under the same declaration are judged once: many subjects are one kernel under several names.
        key = (*raw, declaration)
        if key not in judged:
            judged[key] = judge.judge(problem, subject, decoded[raw])
        yield Judged(problem, Observation(subject.id, problem.id, decoded[raw]), renamed(judged[key], subject.id))


def renamed(judgement: Judgement, subject: str) -> Judgement:
    """The same judgement of another subject (an id)."""
    if judgement.subject == subject:
        return judgement
    findings = tuple(replace(finding, subject=subject) for finding in judgement.findings)
    return replace(judgement, subject=subject, findings=findings)


def versions(environment: Mapping[str, Any]) -> dict[str, str]:
    """The interpreter's and every installed package's version."""
    python = environment.get("python", {}).get("version")
    return {**environment.get("packages", {}), **({"python": python} if python else {})}


# --- within ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Work:
    """What is to be asked.

    Attributes:
        backends: the name of each subject's backend.
        asks: the subjects by problem, in the order of asking. lacking: how many answers each problem still lacks.
        calls, answered: pairs in all and pairs in the file, by backend.
    """

    backends: Mapping[str, str]
    asks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lacking: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)


def _run(
    problems: Iterable[Problem],
    specs: Sequence[BackendSpec],
    store: Store,
    workers: Pool,
    selection: Selection,
    judge: SupportsJudge,
) -> Iterator[Event]:
    order = _add_problems(problems, store)
    yield RunStarted(len(order), tuple(spec.label for spec in specs), store.environment, store.settings)
    backends: dict[str, str] = {}
    for said in workers.describe():
        if isinstance(said, Ready):
            backends.update(_take(said, selection, store))
        else:
            store.add_backend(said)
    work = _work(store, order, backends)
    for event in store.backends():
        if isinstance(event, BackendReady):
            yield replace(event, calls=work.calls[event.backend] or event.calls)
            yield Progressed(event.backend, work.answered[event.backend])
        else:
            yield event
    subjects = judged_subjects(store)
    for identity in order:
        if identity not in work.asks:
            yield from judge_problem(store, identity, subjects, judge)
    yield from _ask(workers, store, work, subjects, judge)


def _ask(
    workers: Pool, store: Store, work: _Work, subjects: Iterable[JudgedSubject], judge: SupportsJudge
) -> Iterator[Event]:
    """Put the work to the workers; keep each answer, and judge each problem when its last one has come."""
    for said in workers.run(lambda own: _plan(store, work, own)):
        match said:
            case BackendFailed():
                store.add_backend(said)
                yield said
            case BatchEnded(backend, variant, device, before, after):
                worker = f"{backend}{'+' if variant else ''}{variant}@{device}"
                store.add_flushing(worker, before=before, after=after)
            case Observed(problem, observation, seconds, first):
                store.add(observation, seconds=seconds, first=first)
                name = work.backends[observation.subject]
                work.answered[name] += 1
                yield Progressed(name, work.answered[name])
                work.lacking[problem.id] -= 1
                if not work.lacking[problem.id]:
                    yield from judge_problem(store, problem.id, subjects, judge)


def _plan(store: Store, work: _Work, own: Sequence[Subject]) -> Iterator[Ask]:
    """The work of one environment, read from the file as it is needed."""
    here = {subject.id for subject in own}
    with Store.open(store.path, check=False) as reader:
        for identity, wanted in work.asks.items():
            subjects = tuple(subject for subject in wanted if subject in here)
            if subjects:
                yield Ask(reader.problem(identity), subjects)


def _take(ready: Ready, selection: Selection, store: Store) -> dict[str, str]:
    """Put a backend that started into the file; its selected subjects, each with the backend's name."""
    own = tuple(subject for subject in ready.subjects if selection.takes(subject))
    _check_versions(store, ready)
    store.add_backend(BackendReady(ready.spec.label, own, ready.environment, 0))
    return {subject.id: ready.spec.label for subject in own}


def _add_problems(problems: Iterable[Problem], store: Store) -> list[str]:
    """Put them into the file; their ids in the order of asking: by signature, so that compilations are shared."""
    there = store.problem_ids()
    signatures: dict[tuple[object, ...], list[str]] = {}
    given: list[str] = []

    def listed() -> Iterator[Problem]:
        for problem in problems:
            given.append(problem.id)
            signatures.setdefault(problem.signature, []).append(problem.id)
            yield problem

    if there:
        for _ in listed():
            pass
        if list(dict.fromkeys(given)) != there:
            hint = "Resume with the settings that the run was started with, or name another file"
            raise StoreError(store.path, f"holds {len(there)} other problems than the {len(given)} asked for", hint)
    else:
        store.add_problems(listed())
    return list(dict.fromkeys(identity for group in signatures.values() for identity in group))


def _work(store: Store, order: Iterable[str], backends: Mapping[str, str]) -> _Work:
    work = _Work(backends)
    subjects = [subject for identity, subject in store.subjects().items() if identity in backends]
    same: dict[tuple[str, ...], tuple[str, ...]] = {}  # one tuple for the many problems that go to the same subjects
    for identity in order:
        problem = store.problem(identity)
        done = store.answered(identity)
        asked = [subject.id for subject in subjects if subject.why_not(problem) is None]
        wanted = tuple(subject for subject in asked if subject not in done)
        work.calls.update(backends[subject] for subject in asked)
        work.answered.update(backends[subject] for subject in asked if subject in done)
        if wanted:
            work.asks[identity] = same.setdefault(wanted, wanted)
            work.lacking[identity] = len(wanted)
    return work


def _check_versions(store: Store, ready: Ready) -> None:
    """A file holds the answers of one version of each backend.

    Raises:
        StoreError: naming the first version that differs from those of the interrupted run.
    """
    for before in store.backends():
        if isinstance(before, BackendReady) and before.backend == ready.spec.label:
            old, new = versions(before.environment), versions(ready.environment)
            changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
            if changed:
                name = changed[0]
                seen = f"was made with {name} {old.get(name, '(none)')}; now it is {new.get(name, '(none)')}"
                hint = "Start a new file, and set the two side by side with `logitmus compare`"
                raise StoreError(store.path, seen, hint)


def _not_run(problem: Problem, subject: Subject, reason: str) -> Judged:
    judgement = Judgement(
        subject=subject.id,
        problem=problem.id,
        family=problem.family,
        dtype=problem.dtype,
        verdict=Verdict.NOT_RUN,
        reason=reason,
    )
    return Judged(problem, Observation(subject.id, problem.id, NotRun(reason)), judgement)


def _default_judge() -> SupportsJudge:
    from logitmus.judge import Judge  # noqa: PLC0415  (the oracle is loaded only where something is judged)

    return Judge()
