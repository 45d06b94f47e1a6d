"""The engine: problems to workers, answers to the file, and from the file to judgements, as a stream of events.

A problem is judged after its last answer has come, from the file, by the same code that judges an old run. So a
resumed run, an undisturbed one and `logitmus judge` give the same events (the order of `Judged` apart). The engine
knows none of its readers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any, Final

from logitmus.core.events import BackendFailed, BackendReady, Event, Judged, Progressed, RunFinished, RunStarted
from logitmus.core.problem import ONCE, Problem
from logitmus.core.subject import Subject
from logitmus.engine.disambiguation import SEPARATING, Doubts
from logitmus.engine.exploration import Explorer
from logitmus.engine.follow_up import EXAMINING, EXPLORED, Live, OnFile
from logitmus.engine.judge_batches import SupportsJudge, Wanted, judge_problems, judged_subjects
from logitmus.engine.judge_pool import InProcess, Judges, Judging
from logitmus.engine.metamorphic import Relations
from logitmus.engine.reduction import Suspects, examine
from logitmus.execution.pool import Ask, BatchEnded, Limits, Observed, Pool, Ready, Waiting
from logitmus.execution.registry import BackendSpec
from logitmus.execution.started import SupportsPool
from logitmus.storage.store import MERGED, Store, StoreError

_ASKED_ON: Final = (EXAMINING, EXPLORED)
_ADDED: Final = (SEPARATING, *_ASKED_ON)


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
    pool: Callable[[Sequence[BackendSpec], Limits | None, int | None], SupportsPool] = Pool,
    enough: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Ask every selected subject every problem that it can be asked, keep the answers in `store`, and judge them.

    What the file holds already is not asked again. An interrupt (Ctrl-C) ends the run with what was done.

    Args:
        problems: consumed once, one at a time.
        store: a new file, or one that an interrupted run of the same problems left.
        pool: makes the workers; for tests and for engines that are not this machine.
        enough: whether exploring may end before its time.

    Raises:
        StoreError: if the file was made of other problems, or with other versions of a backend.
    """
    start = time.monotonic()
    resumed = len(store)
    interrupted = False
    relations = Relations()
    with closing(_judging(store, judge)) as judging:
        try:
            with pool(specs, limits, jobs) as workers:
                suspects, explorer = Suspects(store.settings), Explorer(store.settings)
                judged = _run(problems, specs, store, workers, selection or Selection(), judging)
                yield from relations.watching(suspects.watching(explorer.watching(judged)))
                yield from _ask_on(store, workers, suspects, explorer, selection or Selection(), judging, enough)
        except KeyboardInterrupt:
            interrupted = True
        store.commit()
        yield from judging.ready(wait=True)
    yield from relations.told(store)
    yield RunFinished(seconds=time.monotonic() - start, resumed=resumed, interrupted=interrupted)


def judge_run(store: Store, *, judge: SupportsJudge | None = None) -> Iterator[Event]:
    """The same events from an old run's file; needs no framework."""
    start = time.monotonic()
    judge = judge or _default_judge()
    identities, said = _of_the_suite(store), store.backends()
    yield RunStarted(len(identities), tuple(dict.fromkeys(b.backend for b in said)), store.environment, store.settings)
    yield from said
    suspects, explorer, relations = Suspects(store.settings), Explorer(store.settings), Relations()
    signatures: dict[tuple[object, ...], list[str]] = {}
    for identity in identities:
        signatures.setdefault(store.problem(identity).signature, []).append(identity)
    judged = judge_problems(store, _grouped(signatures, store), judged_subjects(store), judge)
    yield from relations.watching(suspects.watching(explorer.watching(judged)))
    asking = OnFile(store, InProcess(store, judge))
    if explorer.minutes:
        yield from suspects.watching(explorer.of_file(asking, _explored(store)))
    yield from examine(asking, suspects.worst_first(), suspects.calls)
    yield from relations.told(store)
    interrupted = missing_calls(store) > 0 or (not said and MERGED not in store.settings)
    yield RunFinished(seconds=time.monotonic() - start, resumed=len(store), interrupted=interrupted)


def missing_calls(store: Store) -> int:
    """How many calls the file of a run lacks that its subjects could have been asked: it was interrupted.

    None of a file that is merged of others: not all of its subjects were asked all of its problems.
    """
    if MERGED in store.settings:
        return 0
    subjects = store.subjects().values()
    count = 0
    for identity in _of_the_suite(store):
        problem, there = store.problem(identity), store.raw_outcomes(identity)
        if problem.family != SEPARATING:
            count += sum(subject.id not in there and subject.why_not(problem) is None for subject in subjects)
    return count


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
        separating: the problems that are only there to tell conventions apart, each for some subjects only.
        calls, answered: pairs in all and pairs in the file, by backend.
    """

    backends: Mapping[str, str]
    asks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lacking: Counter[str] = field(default_factory=Counter)
    separating: tuple[str, ...] = ()
    calls: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)


def _run(
    problems: Iterable[Problem],
    specs: Sequence[BackendSpec],
    store: Store,
    workers: SupportsPool,
    selection: Selection,
    judging: Judging,
) -> Iterator[Event]:
    described = workers.describe()  # they start while the problems are made
    order = _add_problems(problems, store)
    judging.start()  # not before: the workers need the processor more
    yield RunStarted(len(order), tuple(spec.label for spec in specs), store.environment, store.settings)
    backends: dict[str, str] = {}
    for said in described:
        if isinstance(said, Ready):
            backends.update(_take(said, selection, store))
        else:
            store.add_backend(said)
    work = _work(store, order, backends)
    for of_backend in store.backends():
        if isinstance(of_backend, BackendReady):
            yield replace(of_backend, calls=work.calls[of_backend.backend] or of_backend.calls)
            yield Progressed(of_backend.backend, work.answered[of_backend.backend])
        else:
            yield of_backend
    judging.submit(Wanted(identity) for identity in order if identity not in work.asks)
    doubts = Doubts()
    for event in chain(_ask(workers, store, work, judging), judging.ready(wait=True)):
        if isinstance(event, Judged):
            doubts.add(event.judgement)
        yield event
    work = _to_separate(doubts, store, backends)
    judging.submit(Wanted(identity) for identity in work.separating if identity not in work.asks)
    yield from _ask(workers, store, work, judging) if work.asks else ()
    yield from judging.ready(wait=True)


def _ask_on(
    store: Store,
    workers: SupportsPool,
    suspects: Suspects,
    explorer: Explorer,
    selection: Selection,
    judging: Judging,
    enough: Callable[[], bool],
) -> Iterator[Event]:
    """What the answers give occasion to ask, while the workers live."""
    lost: list[BackendFailed] = []
    taken = [subject.id for subject in store.subjects().values() if selection.takes(subject)]
    if suspects.calls or explorer.minutes:
        asking = Live(store, judging, workers.run, taken, heard=lost.append)
        if explorer.minutes:
            yield from suspects.watching(explorer.explore(asking, enough=enough))
        yield from examine(asking, suspects.worst_first(), suspects.calls)
    yield from lost


def _of_the_suite(store: Store) -> list[str]:
    """The ids of all problems but those by which single findings were examined, or with which it was explored."""
    identities = store.problem_ids()
    if not identities or store.problem(identities[-1]).family not in _ASKED_ON:  # these come last
        return identities
    return [identity for identity in identities if store.problem(identity).family not in _ASKED_ON]


def _explored(store: Store) -> list[Problem]:
    problems = [store.problem(identity) for identity in store.problem_ids()]
    return [problem for problem in problems if problem.family == EXPLORED]


def _ask(workers: SupportsPool, store: Store, work: _Work, judging: Judging) -> Iterator[Event]:
    """Put the work to the workers; keep each answer, and judge each problem once its last one has come."""
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
                    judging.submit([Wanted(problem.id)])
                yield from judging.ready()
            case Waiting():
                yield from judging.ready()


def _plan(store: Store, work: _Work, own: Sequence[Subject]) -> Iterator[Ask]:
    """The work of one environment, read from the file as it is needed."""
    here = {subject.id for subject in own}
    with store.reader() as reader:
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
    """Put them into the file; their ids in the order of asking."""
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
        asked, more = list(dict.fromkeys(given)), there[len(dict.fromkeys(given)) :]
        if asked != there[: len(asked)] or any(store.problem(one).family not in _ADDED for one in more):
            hint = "Resume with the settings that the run was started with, or name another file"
            raise StoreError(store.path, f"holds {len(there)} other problems than the {len(given)} asked for", hint)
    else:
        store.add_problems(listed())
    return _grouped(signatures, store)


def _grouped(signatures: Mapping[tuple[object, ...], Sequence[str]], store: Store) -> list[str]:
    """Ids by signature, so that compilations are shared and problems judged in stacks.

    Those asked in another manner than once come last: what a framework loads for them takes long, and the judges have
    something to do then.
    """
    groups = sorted(signatures.values(), key=lambda group: store.problem(group[0]).manner != ONCE)
    return list(dict.fromkeys(chain.from_iterable(groups)))


def _work(store: Store, order: Iterable[str], backends: Mapping[str, str]) -> _Work:
    work = _Work(backends)
    subjects = [subject for identity, subject in store.subjects().items() if identity in backends]
    same: dict[tuple[str, ...], tuple[str, ...]] = {}  # one tuple for the many problems that go to the same subjects
    resumed = bool(len(store))
    for identity in order:
        problem = store.problem(identity)
        done = store.answered(identity) if resumed else frozenset[str]()
        asked = [subject.id for subject in subjects if subject.why_not(problem) is None]
        wanted = tuple(subject for subject in asked if subject not in done)
        work.calls.update(backends[subject] for subject in asked)
        work.answered.update(backends[subject] for subject in asked if subject in done)
        if wanted:
            work.asks[identity] = same.setdefault(wanted, wanted)
            work.lacking[identity] = len(wanted)
    return work


def _to_separate(doubts: Doubts, store: Store, backends: Mapping[str, str]) -> _Work:
    """Problems that tell conventions apart which explain a finding alike; what the run asked anyway is not repeated."""
    work = _Work(backends)
    there = set(store.problem_ids())
    subjects = {identity: one for identity, one in store.subjects().items() if identity in backends}
    wanted: dict[str, list[str]] = {}
    for problem, subject in doubts.problems(subjects):
        if problem.id not in there:
            store.add_problems([problem])
        if store.problem(problem.id).family == SEPARATING:
            wanted.setdefault(problem.id, []).append(subject)
    for identity, asked in wanted.items():
        lacking = tuple(one for one in dict.fromkeys(asked) if one not in store.answered(identity))
        work.calls.update(backends[one] for one in lacking)
        if lacking:
            work.asks[identity] = lacking
            work.lacking[identity] = len(lacking)
    work.separating = tuple(wanted)
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


def _default_judge() -> SupportsJudge:
    from logitmus.judging.judge import Judge  # noqa: PLC0415  (the oracle is loaded only where something is judged)

    return Judge()


def _judging(store: Store, judge: SupportsJudge | None) -> Judging:
    """A judge that was given judges here; else there are some beside the workers."""
    return Judges(store) if judge is None else InProcess(store, judge)
