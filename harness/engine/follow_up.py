"""Asking on: further problems for single subjects, while the workers live; or from the file alone, once they do not.

What is asked on depends on the judgements so far, so it is asked in dialogues. Everything goes through the run's file:
what it holds is not asked again, and what comes is kept there. Who asks the same things of an old run's file is told
the same, or that an answer is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

from logitmus.core.events import BackendFailed
from logitmus.core.finding import Judgement, Verdict
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.engine.judge_batches import NOT_ASKED, Wanted
from logitmus.engine.judge_pool import Judging
from logitmus.execution.pool import Ask, BatchEnded, Observed, Plan, PoolEvent
from logitmus.storage.store import Store

T = TypeVar("T")
Pair = tuple[Problem, str]
# Yields what it asks, is sent the judgements in that order, and returns what it is after.
Dialogue = Generator[Sequence[Pair], list[Judgement], T]
EXAMINING: Final = "examining"  # the family of problems by which a finding is examined
EXPLORED: Final = "explored"  # and of those by which a run explores


class Asking(Protocol):
    """Who answers further questions."""

    @property
    def subjects(self) -> Mapping[str, Subject]:
        """Those that can be asked, by id."""

    def ask(self, pairs: Sequence[Pair]) -> list[Judgement]:
        """The judgement of each (problem, subject id), in their order; `Verdict.NOT_RUN` where no answer is to be had.

        The family of a problem says what it was asked for; one that the file knows keeps the family that it has there.
        """

    def converse(self, dialogues: Sequence[Dialogue[T]]) -> list[T]:
        """Lead these side by side, each at its own pace: what they return, in their order."""


class OnFile:
    """Answers from the file alone."""

    def __init__(self, store: Store, judging: Judging) -> None:
        self._store = store
        self._judging = judging
        self._judgements: dict[tuple[str, str], Judgement] = {}
        self._open: set[tuple[str, str]] = set()  # pairs that are being judged
        self.subjects: Mapping[str, Subject] = store.subjects()

    def ask(self, pairs: Sequence[Pair]) -> list[Judgement]:
        """See `Asking`."""

        def once() -> Dialogue[list[Judgement]]:
            return (yield pairs)

        (judgements,) = self.converse([once()])
        return judgements

    def converse(self, dialogues: Sequence[Dialogue[T]]) -> list[T]:
        """See `Asking`."""
        ended: dict[int, T] = {}
        waiting: dict[int, Sequence[Pair]] = {}

        def go_on(number: int, step: Callable[[], Sequence[Pair]]) -> Sequence[Pair]:
            try:
                waiting[number] = step()
            except StopIteration as end:
                ended[number] = end.value
            return waiting.get(number, ())

        asked = [pair for number, one in enumerate(dialogues) for pair in go_on(number, one.__next__)]
        while waiting:
            self._put(asked)
            answered = [number for number, pairs in waiting.items() if self._open.isdisjoint(map(_key, pairs))]
            if not answered:
                self._listen()
            asked = []
            for number in answered:
                judgements = [self._judgement(*pair) for pair in waiting.pop(number)]
                asked += go_on(number, partial(dialogues[number].send, judgements))
        return [ended[number] for number in sorted(ended)]

    def _put(self, pairs: Sequence[Pair]) -> None:
        """Have judged what the file holds of these and what has not been judged yet."""
        problems: dict[str, Problem] = {}
        wanted: dict[str, list[str]] = {}
        for problem, one in dict.fromkeys(pairs):
            pair = (problem.id, one)
            if pair not in self._judgements and pair not in self._open and one in self.subjects:
                problems[problem.id] = problem
                wanted.setdefault(problem.id, []).append(one)
        largest_first = sorted(wanted, key=lambda identity: -problems[identity].logits.size)
        held = [identity for identity in largest_first if self._store.answered(identity)]
        self._open.update((identity, one) for identity in held for one in wanted[identity])
        self._judging.submit(Wanted(identity, tuple(wanted[identity])) for identity in held)

    def _listen(self) -> None:
        """Take in what is judged next."""
        heard = False
        for judged in self._judging.some():
            heard, judgement = True, judged.judgement
            pair = (judgement.problem, judgement.subject)
            self._open.discard(pair)
            if judgement.verdict is not Verdict.NOT_RUN:  # it may be asked again
                self._judgements[pair] = judgement
        if not heard:
            self._open.clear()

    def _judgement(self, problem: Problem, subject: str) -> Judgement:
        return self._judgements.get((problem.id, subject)) or self._unknown(problem, subject)

    def _unknown(self, problem: Problem, subject: str) -> Judgement:
        known = self.subjects.get(subject)
        return Judgement(
            subject=subject,
            problem=problem.id,
            family=problem.family,
            dtype=problem.dtype,
            verdict=Verdict.NOT_RUN,
            reason=(known and known.why_not(problem)) or NOT_ASKED,
        )


class Live(OnFile):
    """Answers from the file, and asks the workers for what it does not hold.

    Args:
        run: that of a pool whose workers live. subjects: the ids that may be asked.
        heard: is told of every answer that came, and of backends that failed.
    """

    def __init__(
        self,
        store: Store,
        judging: Judging,
        run: Callable[[Plan], Iterator[PoolEvent]],
        subjects: Sequence[str],
        heard: Callable[[BackendFailed], None] = lambda _: None,
    ) -> None:
        super().__init__(store, judging)
        self.subjects = {identity: one for identity, one in self.subjects.items() if identity in set(subjects)}
        self._run = run
        self._heard = heard
        self._tried: set[tuple[str, str]] = set()

    def _put(self, pairs: Sequence[Pair]) -> None:
        asks = self._lacking(pairs)
        if asks:
            self._store.add_problems([ask.problem for ask in asks])
            self._run_workers(asks)
            self._store.commit()
        super()._put(pairs)

    def _lacking(self, pairs: Sequence[Pair]) -> list[Ask]:
        """What neither is in the file nor has been tried in vain, by signature: compilations are shared."""
        problems: dict[str, Problem] = {}
        wanted: dict[str, list[str]] = {}
        for problem, one in dict.fromkeys(pairs):
            pair = (problem.id, one)
            if pair in self._judgements or pair in self._tried or one not in self.subjects:
                continue
            if self.subjects[one].why_not(problem) is None and one not in self._store.answered(problem.id):
                self._tried.add(pair)
                problems[problem.id] = problem
                wanted.setdefault(problem.id, []).append(one)
        signatures: dict[tuple[object, ...], list[Ask]] = {}
        for identity, problem in problems.items():
            signatures.setdefault(problem.signature, []).append(Ask(problem, tuple(wanted[identity])))
        return [ask for group in signatures.values() for ask in group]

    def _run_workers(self, asks: Sequence[Ask]) -> None:
        def plan(own: tuple[Subject, ...]) -> Iterator[Ask]:
            here = {subject.id for subject in own}
            for problem, wanted in asks:
                subjects = tuple(one for one in wanted if one in here)
                if subjects:
                    yield Ask(problem, subjects)

        for said in self._run(plan):
            match said:
                case BackendFailed():
                    self._store.add_backend(said)
                    self._heard(said)
                case BatchEnded(backend, variant, device, before, after):
                    worker = f"{backend}{'+' if variant else ''}{variant}@{device}"
                    self._store.add_flushing(worker, before=before, after=after)
                case Observed(_, observation, seconds, first):
                    self._store.add(observation, seconds=seconds, first=first)


def _key(pair: Pair) -> tuple[str, str]:
    problem, subject = pair
    return problem.id, subject
