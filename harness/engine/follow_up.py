"""Follow-up questions: problems that a step adds after the suite, each of which depends on judgements so far.

A follow-up is a coroutine. It awaits judgements with `ask`, and is suspended until all of them are there:

    async def smallest(problem: Problem, subject: str) -> Problem:
        (judgement,) = await ask([(problem.but(label_smoothing=0.0), subject)])
        ...

A responder leads many such coroutines side by side (`run_all`). In each round, it gathers the pairs that they await
into a batch, so that the workers are not idle while a single coroutine waits; and it resumes each as soon as its own
judgements are there, in whatever order they arrive. There is no event loop, and there are no threads: the coroutines
await nothing but `ask`.

There are two responders. `LiveResponder` has workers make the calls that the run's file lacks; `FileResponder` has only
the file. What a coroutine asks next must follow from its own judgements alone: then both give the same results, and an
old run can be evaluated without any framework. A judgement that is not to be had is `Verdict.NOT_RUN`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from types import coroutine
from typing import Protocol, TypeVar

from logitmus.core.events import BackendFailed
from logitmus.core.finding import Judgement, Verdict
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.engine.judge_batches import NO_RESULT, JudgeRequest
from logitmus.engine.judge_pool import JudgeQueue
from logitmus.engine.recording import record
from logitmus.execution.pool import AbstractPool
from logitmus.storage.store import Store

T = TypeVar("T")
Pair = tuple[Problem, str]  # a problem and the id of a subject
FollowUp = Coroutine[Sequence[Pair], list[Judgement] | None, T]


@coroutine
def ask(pairs: Sequence[Pair]) -> Generator[Sequence[Pair], list[Judgement], list[Judgement]]:
    """Await the judgement of each pair, in their order; only in a coroutine that a responder leads.

    The family of a problem says what it is for; a problem that is in the file already keeps its family there.
    """
    return (yield pairs)


class Responder(Protocol):
    """Gives the judgements that follow-ups await."""

    @property
    def subjects(self) -> Mapping[str, Subject]:
        """The subjects that can be called, by id."""

    def judge(self, pairs: Sequence[Pair]) -> list[Judgement]:
        """The judgement of each pair, in their order; `Verdict.NOT_RUN` where there is no result."""

    def run_all(self, follow_ups: Sequence[FollowUp[T]]) -> list[T]:
        """Lead the coroutines side by side, each at its own pace; return their results, in their order."""


class FileResponder:
    """Gives judgements of the results in the file alone."""

    def __init__(self, store: Store, judging: JudgeQueue) -> None:
        self._store = store
        self._judging = judging
        self._judgements: dict[tuple[str, str], Judgement] = {}
        self._pending: set[tuple[str, str]] = set()  # pairs that are being judged
        self.subjects: Mapping[str, Subject] = store.subjects()

    def judge(self, pairs: Sequence[Pair]) -> list[Judgement]:
        """See `Responder`."""

        async def ask_once() -> list[Judgement]:
            return await ask(pairs)

        (judgements,) = self.run_all([ask_once()])
        return judgements

    def run_all(self, follow_ups: Sequence[FollowUp[T]]) -> list[T]:
        """See `Responder`."""
        results: dict[int, T] = {}
        awaited: dict[int, Sequence[Pair]] = {}

        def resume(number: int, judgements: list[Judgement] | None) -> Sequence[Pair]:
            try:
                pairs = awaited[number] = follow_ups[number].send(judgements)
            except StopIteration as end:
                results[number] = end.value
                return ()
            return pairs

        try:
            batch = [pair for number in range(len(follow_ups)) for pair in resume(number, None)]
            while awaited:
                self._submit(batch)
                ready = [number for number, pairs in awaited.items() if self._pending.isdisjoint(map(_key, pairs))]
                if not ready:
                    self._receive()
                batch = []
                for number in ready:
                    batch += resume(number, [self._judgement(*pair) for pair in awaited.pop(number)])
        finally:
            for follow_up in follow_ups:
                follow_up.close()
        return [results[number] for number in sorted(results)]

    def _submit(self, pairs: Sequence[Pair]) -> None:
        """Submit for judging the pairs with a result in the file and no judgement yet."""
        problems: dict[str, Problem] = {}
        requested: dict[str, list[str]] = {}
        for problem, subject in dict.fromkeys(pairs):
            key = (problem.id, subject)
            if key not in self._judgements and key not in self._pending and subject in self.subjects:
                problems[problem.id] = problem
                requested.setdefault(problem.id, []).append(subject)
        largest_first = sorted(requested, key=lambda identity: -problems[identity].logits.size)
        stored = [identity for identity in largest_first if self._store.answered(identity)]
        self._pending.update((identity, subject) for identity in stored for subject in requested[identity])
        self._judging.submit(JudgeRequest(identity, tuple(requested[identity])) for identity in stored)

    def _receive(self) -> None:
        """Wait for the next judgements."""
        received = False
        for judged in self._judging.next_ready():
            received, judgement = True, judged.judgement
            key = (judgement.problem, judgement.subject)
            self._pending.discard(key)
            if judgement.verdict is not Verdict.NOT_RUN:  # else it may be called again
                self._judgements[key] = judgement
        if not received:
            self._pending.clear()

    def _judgement(self, problem: Problem, subject: str) -> Judgement:
        return self._judgements.get((problem.id, subject)) or self._not_run(problem, subject)

    def _not_run(self, problem: Problem, subject: str) -> Judgement:
        known = self.subjects.get(subject)
        return Judgement(
            subject=subject,
            problem=problem.id,
            family=problem.family,
            dtype=problem.dtype,
            verdict=Verdict.NOT_RUN,
            reason=(known and known.why_not(problem)) or NO_RESULT,
        )


class LiveResponder(FileResponder):
    """Has workers compute the results that the file lacks.

    Args:
        pool: its workers are alive. subjects: the ids that may be called. on_failure: called for each failed backend.
    """

    def __init__(
        self,
        store: Store,
        judging: JudgeQueue,
        pool: AbstractPool,
        subjects: Sequence[str],
        on_failure: Callable[[BackendFailed], None] = lambda _: None,
    ) -> None:
        super().__init__(store, judging)
        self.subjects = {identity: known for identity, known in self.subjects.items() if identity in set(subjects)}
        self._pool = pool
        self._on_failure = on_failure
        self._tried: set[tuple[str, str]] = set()

    def _submit(self, pairs: Sequence[Pair]) -> None:
        missing = self._missing(pairs)
        if missing:
            self._store.add_problems({problem.id: problem for problem, _ in missing}.values())
            for event in self._pool.ask(missing):
                record(self._store, event)
                if isinstance(event, BackendFailed):
                    self._on_failure(event)
            self._store.commit()
        super()._submit(pairs)

    def _missing(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs that are neither in the file nor tried in vain, by signature, so that compilations are shared."""
        signatures: dict[tuple[object, ...], dict[str, list[Pair]]] = {}
        for problem, subject in dict.fromkeys(pairs):
            key = (problem.id, subject)
            if key in self._judgements or key in self._tried or subject not in self.subjects:
                continue
            if self.subjects[subject].why_not(problem) is None and subject not in self._store.answered(problem.id):
                self._tried.add(key)
                signatures.setdefault(problem.signature, {}).setdefault(problem.id, []).append((problem, subject))
        return [pair for by_problem in signatures.values() for group in by_problem.values() for pair in group]


def _key(pair: Pair) -> tuple[str, str]:
    problem, subject = pair
    return problem.id, subject
