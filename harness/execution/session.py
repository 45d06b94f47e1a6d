"""Drive an environment: send its work in batches, a batch ahead of the worker, and recover when a worker is lost.

A lost worker costs the item that it was at, and nothing else: what it had not answered is sent to its successor.
"""

from __future__ import annotations

import itertools
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from logitmus.core.events import BackendFailed
from logitmus.core.observation import Garbled, NotRun, Observation, Outcome, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.execution import messages
from logitmus.execution.registry import BackendSpec
from logitmus.execution.supervisor import StartError, Workers
from logitmus.execution.worker_process import WorkerLost, WorkerProcess
from logitmus.worker.wire import WireError, encode_problem, to_line

# One batch fits into a pipe, so that the worker finds the next complete whenever it has finished the last.
_BATCH_CALLS: Final = 64
_BATCH_BYTES: Final = 1 << 19
_BATCHES_AHEAD: Final = 2
_TELLING_CALLS: Final = 2  # first calls of signatures, after which it is known how long such a call takes
# After such an error every later call of the process fails too: the CUDA context is gone.
_POISONED_AT_ONCE: Final = 3  # workers in a row whose very first call failed so: it is the function, not the context
_POISONED: Final = re.compile(r"CUDA error|CUDA_ERROR|device-side assert|illegal memory access", re.IGNORECASE)


class Ask(NamedTuple):
    """One problem, put to several subjects (ids) of an environment."""

    problem: Problem
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """One observation.

    Attributes:
        seconds: spent in the framework's call, as the worker measured it (0 without an answer).
        first: the first call of its signature for that subject in that process: `seconds` includes compilation.
    """

    problem: Problem
    observation: Observation
    seconds: float
    first: bool


@dataclass(frozen=True, slots=True)
class BatchEnded:
    """A worker finished a batch: whether its floating-point unit flushed subnormals to zero before and after it."""

    backend: str
    variant: str
    device: str
    flushes_before: bool
    flushes_after: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing has come for a moment (a call takes long): time for something else."""


PoolEvent = Observed | BatchEnded | BackendFailed | Waiting


@dataclass(frozen=True, slots=True)
class Place:
    """An environment: a backend with a variant on a device, its subjects, and their ids on the wire."""

    spec: BackendSpec
    variant: str
    device: str
    subjects: tuple[Subject, ...]
    wire_ids: Mapping[str, str]

    @property
    def device_argument(self) -> str:
        """The worker's device argument: empty for the CPU, which is every worker's default."""
        return "" if self.device == "cpu" else self.device


@dataclass(slots=True)
class _Batch:
    number: int
    items: deque[tuple[Problem, str]]


@dataclass
class Drive:
    """The work of an environment, from its first batch to its last answer.

    Attributes:
        place: the environment.
        workers: where workers come from and go to.
        emit: takes events in lists; may block, which holds the work back.
        worker: a started worker, or None; kept alive between `run` calls.
    """

    place: Place
    workers: Workers
    emit: Callable[[list[PoolEvent]], None]
    worker: WorkerProcess | None = None
    _events: list[PoolEvent] = field(default_factory=list)
    _in_flight: deque[_Batch] = field(default_factory=deque)
    _returned: deque[tuple[Problem, str]] = field(default_factory=deque)
    _compiled: set[tuple[str, tuple[object, ...]]] = field(default_factory=set)
    _batches: int = 0
    _losses: int = 0
    _calls: int = 0  # answered by the present worker
    _poisoned_at_once: int = 0
    _lost_seconds: float = 0.0
    _first_seconds: list[float] = field(default_factory=list)

    def run(self, asks: Iterable[Ask]) -> None:
        """Do all this work, lazily and in order: an `Observed` for every (problem, subject)."""
        finished = False
        source = ((ask.problem, subject) for ask in asks for subject in ask.subjects)
        if self.worker is not None and not self.worker.alive:
            self._recall()  # it died while it had nothing to do: no item's fault
        try:
            self._run(source)
            finished = True
        except StartError as error:
            self._events.append(BackendFailed(self.place.spec.label, error.message, error.hint))
            self._leave(source, f"the backend could not start: {error.message}")
        finally:
            if not finished:
                self._recall()

    def end(self) -> None:
        """Ends the worker, if there is any."""
        self._recall()

    def _run(self, source: Iterator[tuple[Problem, str]]) -> None:
        while True:
            if self._losses >= self.workers.limits.give_up_after:
                self._leave(source, f"gave up after {self._losses} workers in a row were lost without an answer")
                return
            if self._lost_seconds >= self.workers.limits.lost_seconds:
                self._leave(source, f"gave up after {self._lost_seconds:.0f} s were lost on workers that hung or died")
                return
            self._fill(source)
            if not self._in_flight:
                break
            try:
                self._step()
            except WorkerLost as lost:
                self._lose(lost.outcome)
        self._flush()

    def _fill(self, source: Iterator[tuple[Problem, str]]) -> None:
        """Keep a batch ahead of the batch being computed."""
        while len(self._in_flight) < _BATCHES_AHEAD:
            items = self._take(source)
            if not items:
                return
            self._batches += 1
            batch = _Batch(self._batches, items)
            self._in_flight.append(batch)
            self._started_worker().send(self._line(batch))

    def _take(self, source: Iterator[tuple[Problem, str]]) -> deque[tuple[Problem, str]]:
        """The next items, what a lost worker left first. A large problem is sent once for all its subjects."""
        items: deque[tuple[Problem, str]] = deque()
        size = 0
        while len(items) < _BATCH_CALLS:
            item = self._returned.popleft() if self._returned else next(source, None)
            if item is None:
                break
            if not items or items[-1][0] is not item[0]:
                if size >= _BATCH_BYTES:
                    self._returned.appendleft(item)
                    break
                size += _wire_bytes(item[0])
            items.append(item)
        return items

    def _line(self, batch: _Batch) -> bytes:
        groups = itertools.groupby(batch.items, key=lambda item: id(item[0]))
        runs = [list(group) for _, group in groups]
        return to_line(
            {
                "type": "batch",
                "batch": batch.number,
                "items": [
                    {
                        "problem": encode_problem(run[0][0]),
                        "subjects": [self.place.wire_ids[subject] for _, subject in run],
                    }
                    for run in runs
                ],
            }
        )

    def _started_worker(self) -> WorkerProcess:
        if self.worker is None:
            self._flush()
            place = self.place
            began = time.monotonic()
            self.worker, hello = self.workers.start(place.spec, place.variant, place.device_argument)
            self._calls = 0
            if self._losses:
                self._lost_seconds += time.monotonic() - began
            gone = set(place.wire_ids.values()) - {subject.id for subject in hello.subjects}
            if gone:
                raise StartError(f"started once more, it no longer offers {min(gone)}")
        return self.worker

    def _step(self) -> None:
        """One message: the answer to the oldest open item, or the end of its batch."""
        batch = self._in_flight[0]
        if not batch.items:
            self._end_batch(batch, self._receive(self.workers.limits.call_seconds))
            return
        problem, subject = batch.items[0]
        call = (subject, problem.signature)
        first = call not in self._compiled
        message = self._receive(self._patience() if first else self.workers.limits.call_seconds)
        outcome = self._outcome(message, problem, subject)
        assert isinstance(message, messages.Answer)  # noqa: S101  (_outcome has seen to it)
        self._compiled.add(call)
        if first:
            self._first_seconds.append(message.seconds)
        self._losses = 0
        self._calls += 1
        batch.items.popleft()
        self._observe(problem, subject, outcome, message.seconds, first)
        if isinstance(outcome, Raised) and _POISONED.search(outcome.message):
            self._poisoned_at_once += self._calls == 1
            # A new worker for each call of a function that fails in every context would not end; other subjects of the
            # place, however, must not be called in a context that may be gone.
            if self._poisoned_at_once < _POISONED_AT_ONCE or len(self.place.subjects) > 1:
                self._recall()
        else:
            self._poisoned_at_once = 0

    def _patience(self) -> float:
        """How long a first call is waited for."""
        limits = self.workers.limits
        if len(self._first_seconds) < _TELLING_CALLS:
            return limits.compile_seconds
        return min(limits.compile_seconds, max(limits.call_seconds, limits.patience * max(self._first_seconds)))

    def _receive(self, seconds: float) -> messages.Answer | messages.Done | messages.Hello | messages.Failed:
        worker = self._started_worker()
        if not worker.has_lines:
            self._flush()
        return worker.receive(seconds)

    def _outcome(self, message: object, problem: Problem, subject: str) -> Outcome:
        worker = self._started_worker()
        requested = (problem.id, self.place.wire_ids[subject])
        if not isinstance(message, messages.Answer):
            raise worker.lost(Garbled(f"{type(message).__name__.lower()!r} arrived where an answer was due"))
        if (message.problem, message.subject) != requested:
            raise worker.lost(
                Garbled(
                    f"asked for problem {requested[0]} and {requested[1]}, it answered {message.problem} "
                    f"and {message.subject}"
                )
            )
        try:
            return messages.to_outcome(message.outcome, problem)
        except WireError as error:
            raise worker.lost(Garbled(str(error))) from None

    def _end_batch(self, batch: _Batch, message: object) -> None:
        if not isinstance(message, messages.Done) or message.batch != batch.number:
            raise self._started_worker().lost(Garbled(f"the end of batch {batch.number} was due"))
        self._in_flight.popleft()
        place = self.place
        self._events.append(
            BatchEnded(place.spec.label, place.variant, place.device, message.flushes_before, message.flushes_after)
        )

    def _lose(self, outcome: Outcome) -> None:
        """The item that the worker was at gets the outcome; the others go to its successor."""
        self._losses += 1
        self._lost_seconds += outcome.seconds if isinstance(outcome, TimedOut) else 0.0
        guilty = self._in_flight[0].items if self._in_flight else None
        if guilty:
            problem, subject = guilty.popleft()
            self._observe(problem, subject, outcome, 0.0, (subject, problem.signature) not in self._compiled)
        self._recall()

    def _recall(self) -> None:
        """Ends the worker and takes back everything that is open; the next batch gets a new worker."""
        if self.worker is not None:
            self.workers.retire(self.worker)
            self.worker = None
        for batch in reversed(self._in_flight):
            self._returned.extendleft(reversed(batch.items))
        self._in_flight.clear()
        self._compiled.clear()

    def _leave(self, source: Iterator[tuple[Problem, str]], reason: str) -> None:
        """Give up all calls that are left, those that have been sent included."""
        self._recall()
        returned, self._returned = self._returned, deque()
        for problem, subject in itertools.chain(returned, source):
            self._observe(problem, subject, NotRun(reason, given_up=True), 0.0, False)
            if len(self._events) >= _BATCH_CALLS:
                self._flush()
        self._flush()

    def _observe(self, problem: Problem, subject: str, outcome: Outcome, seconds: float, first: bool) -> None:
        self._events.append(Observed(problem, Observation(subject, problem.id, outcome), seconds, first))

    def _flush(self) -> None:
        if self._events:
            self.emit(self._events)
            self._events = []


def _wire_bytes(problem: Problem) -> int:
    arrays = (problem.logits, problem.targets, problem.weight, problem.cotangent)
    return sum(array.nbytes for array in arrays if array is not None) * 4 // 3 + 400
