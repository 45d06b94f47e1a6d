"""Run problems on subjects: a stream of events, from the first worker to the last judgement.

A run has six steps, of which each works on what the file holds by then:

1. *Start*: the pool starts the backends while the problems are generated and stored.
2. *Suite*: every problem is run on every subject that accepts it. Workers fill the file; a problem is judged once the
   last of its results is in, by judges in processes of their own, which read the file.
3. *Disambiguation*: for a finding that several conventions explain, problems on which these conventions disagree.
4. *Exploration*, if requested: problems bred from the problems that were closest to their error budgets.
5. *Reduction*: each kind of finding is reduced to the simplest problem that still shows it.
6. *Repetition*, if requested: the calls of the suite are repeated, and compared bit by bit.

A shard of a run ends with step 2: the other steps depend on the whole suite. The file into which all shards are merged
is an interrupted run that lacks only these steps.

Two rules make a run reproducible. First, *the file is the only memory*: every result goes through it, is never computed
twice, and is judged as the file holds it, never as a worker has just sent it. So a run that was interrupted and
resumed, an undisturbed run, and `judge_run` on the file alone (without any framework) give the same judgements; only
the order of `Judged` events may differ. Second, *what a step adds follows from judgements alone*, not from time or from
the order in which results arrive, so that `judge_run` can repeat steps 3 to 5 with the results in the file. (Time only
decides how long exploration goes on.)

The steps learn from the stream: an `Observer` sees every `Judged` event before the next is produced, collects what
its own step needs, and is consulted when that step begins. Readers of the stream (progress, reports) are unknown here.

Ctrl-C ends a run in any step: the file is committed, the results in it are judged, and the events say "interrupted".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Protocol

from logitmus.core.events import BackendFailed, BackendReady, Event, Judged, Progressed, RunFinished, RunStarted
from logitmus.core.problem import Problem
from logitmus.engine.added_problems import exploration_problems, without_follow_ups
from logitmus.engine.disambiguation import Ambiguities
from logitmus.engine.exploration import Explorer
from logitmus.engine.follow_up import FileResponder, LiveResponder
from logitmus.engine.judge_batches import JudgeRequest, SupportsJudge, judge_problems, judged_subjects
from logitmus.engine.judge_pool import JudgePool, JudgeQueue, LocalJudgeQueue, default_judge
from logitmus.engine.metamorphic import RelationChecks
from logitmus.engine.planning import (
    Selection,
    Work,
    add_problems,
    by_signature,
    disambiguation_work,
    missing_calls,
    register,
    suite_work,
)
from logitmus.engine.recording import record
from logitmus.engine.reduction import Reductions, reduce_findings
from logitmus.engine.repetition import interrupted_repeats, repeat_calls, repeated_results
from logitmus.engine.settling import Settlement
from logitmus.execution.limits import Limits
from logitmus.execution.pool import AbstractPool, Observed, Pool, Ready, Waiting
from logitmus.execution.registry import BackendSpec
from logitmus.storage.store import Store


class Observer(Protocol):
    """Collects what a later step of the run needs from the judgements of earlier ones."""

    def observe(self, event: Judged) -> None:
        """Take in a judgement; called before the next event is produced."""


def run(
    problems: Iterable[Problem],
    specs: Sequence[BackendSpec],
    store: Store,
    *,
    selection: Selection | None = None,
    limits: Limits | None = None,
    jobs: int | None = None,
    judge: SupportsJudge | None = None,
    pool: Callable[[Sequence[BackendSpec], Limits | None, int | None], AbstractPool] = Pool,
    enough: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Run every problem on every selected subject that accepts it, keep the results in `store`, and judge them.

    Results that the file already holds are not computed again. An interrupt (Ctrl-C) ends the run with what is done.

    Args:
        problems: consumed once, lazily.
        store: a new file, or the file of an interrupted run of the same problems.
        judge: judges in this process; None: judges in processes of their own.
        pool: makes the workers.
        enough: whether exploration may end before its time is up.

    Raises:
        StoreError: if the file holds other problems, or results of other versions of a backend.
    """
    start = time.monotonic()
    resumed = len(store)
    interrupted = False
    selection = selection or Selection()
    relations, settlement = RelationChecks(), Settlement()
    # Judging costs as much as the calls of many a framework: it goes on beside the workers.
    with closing(JudgePool(store) if judge is None else LocalJudgeQueue(store, judge)) as judging:
        try:
            with pool(specs, limits, jobs) as workers:
                reductions, explorer = Reductions(store.settings.examination), Explorer(store.settings)
                ambiguities = Ambiguities()
                events = _run_suite(problems, specs, store, workers, selection, judging, ambiguities)
                yield from settlement.watching(_observed(events, ambiguities, explorer, reductions, relations))
                follow_up = _follow_up(store, workers, reductions, explorer, selection, judging, enough)
                yield from settlement.watching(follow_up)
                again = partial(pool, specs, limits, jobs)
                yield from repeat_calls(store, workers, again, _selected(store, selection))
        except KeyboardInterrupt:
            interrupted = True
        store.commit()
        yield from settlement.watching(judging.ready(wait=True))
    yield from settlement.settled()
    yield from relations.results(store)
    yield from repeated_results(store)
    yield RunFinished(seconds=time.monotonic() - start, resumed=resumed, interrupted=interrupted)


def judge_run(store: Store, *, judge: SupportsJudge | None = None) -> Iterator[Event]:
    """Yield the same events from the file of a past run; needs no framework."""
    start = time.monotonic()
    judge = judge or default_judge()
    identities, backends = without_follow_ups(store), store.backends()
    labels = tuple(dict.fromkeys(event.backend for event in backends))
    yield RunStarted(len(identities), labels, store.environment, store.settings)
    settlement = Settlement()
    yield from settlement.watching(backends)
    reductions, explorer, relations = Reductions(store.settings.examination), Explorer(store.settings), RelationChecks()
    signatures: dict[tuple[object, ...], list[str]] = {}
    for identity in identities:
        signatures.setdefault(store.problem(identity).signature, []).append(identity)
    events = judge_problems(store, by_signature(signatures, store), judged_subjects(store), judge)
    yield from settlement.watching(_observed(events, explorer, reductions, relations))
    responder = FileResponder(store, LocalJudgeQueue(store, judge))
    if explorer.minutes:
        explored = explorer.repeat(responder, exploration_problems(store))
        yield from settlement.watching(_observed(explored, reductions))
    yield from settlement.watching(reduce_findings(responder, reductions.worst_first(), reductions.calls))
    yield from settlement.settled()
    yield from relations.results(store)
    yield from repeated_results(store)
    missing = missing_calls(store) or interrupted_repeats(store)
    interrupted = missing > 0 or (not backends and not store.settings.merged)
    yield RunFinished(seconds=time.monotonic() - start, interrupted=interrupted, stored=True)


def _observed(events: Iterable[Event], *observers: Observer) -> Iterator[Event]:
    """Pass the events on, after each observer has seen them."""
    for event in events:
        if isinstance(event, Judged):
            for observer in observers:
                observer.observe(event)
        yield event


def _run_suite(
    problems: Iterable[Problem],
    specs: Sequence[BackendSpec],
    store: Store,
    workers: AbstractPool,
    selection: Selection,
    judging: JudgeQueue,
    ambiguities: Ambiguities,
) -> Iterator[Event]:
    """Start the backends, run the suite, then the problems that resolve the ambiguities observed in it."""
    starting = workers.describe()  # the workers start while the problems are generated
    if workers.started:
        judging.start()
    order = add_problems(problems, store)
    judging.start()
    yield RunStarted(len(order), tuple(spec.label for spec in specs), store.environment, store.settings)
    backends: dict[str, str] = {}
    for backend in starting:
        if isinstance(backend, Ready):
            backends.update(register(backend, selection, store))
        else:
            store.add_backend(backend)
    work = suite_work(store, order, backends)
    for stored in store.backends():
        if isinstance(stored, BackendReady):
            calls = work.calls[stored.backend] or stored.calls
            yield replace(stored, calls=calls * (1 + 2 * store.settings.repeat))
            yield Progressed(stored.backend, work.done[stored.backend])
        else:
            yield stored
    judging.submit(JudgeRequest(identity) for identity in order if identity not in work.subjects)
    yield from chain(_run_work(workers, store, work, judging), judging.ready(wait=True))
    if store.settings.shard is not None:
        return
    pairs = ambiguities.problems({i: subject for i, subject in store.subjects().items() if i in backends})
    work, identities = disambiguation_work(pairs, store, backends)
    judging.submit(JudgeRequest(identity) for identity in identities if identity not in work.subjects)
    if work.subjects:
        yield from _run_work(workers, store, work, judging)
    yield from judging.ready(wait=True)


def _run_work(workers: AbstractPool, store: Store, work: Work, judging: JudgeQueue) -> Iterator[Event]:
    """Make the calls; record each result, and submit each problem for judging after its last result."""
    for event in workers.run(lambda environment: work.asks(store, environment)):
        record(store, event)
        match event:
            case BackendFailed():
                yield event
            case Observed(problem, observation, _, _):
                backend = work.backends[observation.subject]
                work.done[backend] += 1
                yield Progressed(backend, work.done[backend])
                work.missing[problem.id] -= 1
                if not work.missing[problem.id]:
                    judging.submit([JudgeRequest(problem.id)])
                yield from judging.ready()
            case Waiting():
                yield from judging.ready()


def _follow_up(
    store: Store,
    workers: AbstractPool,
    reductions: Reductions,
    explorer: Explorer,
    selection: Selection,
    judging: JudgeQueue,
    enough: Callable[[], bool],
) -> Iterator[Event]:
    """Explore and reduce, while the workers live."""
    failures: list[BackendFailed] = []
    selected = list(_selected(store, selection))
    if reductions.calls or explorer.minutes:
        responder = LiveResponder(store, judging, workers, selected, on_failure=failures.append)
        if explorer.minutes:
            yield from _observed(explorer.explore(responder, enough=enough), reductions)
        yield from reduce_findings(responder, reductions.worst_first(), reductions.calls)
    yield from failures


def _selected(store: Store, selection: Selection) -> dict[str, str]:
    """The label of the backend of each selected subject, by the subject's id."""
    ready = (event for event in store.backends() if isinstance(event, BackendReady))
    return {subject.id: of.backend for of in ready for subject in of.subjects if selection.includes(subject)}
