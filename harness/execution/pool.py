"""The pool: every backend in worker processes of its own, behind a small interface.

    with Pool([registry.parse("torch"), registry.parse("cmd:./mine")], Limits(), jobs=2) as pool:
        for answer in pool.describe():  # Ready (subjects, environment) | BackendFailed, in the order of the specs
            ...
        for event in pool.ask([(problem, "torch:cross_entropy@cpu"), ...]):  # Observed | BatchEnded | BackendFailed
            ...

From the outside in, four modules do this:

- The pool (here) knows all backends. An *environment* is a backend with a variant on a device: the unit that
  needs its own process, since frameworks set such things once per process. (Switches that can be set around a call
  share an environment.) Environments share at most `jobs` threads.
- A session (`session`) does the work of one environment. It sends batches, a batch ahead of the worker, so that
  neither waits for the other; and it decides what becomes of the rest of a batch when a worker is lost.
- The supervisor (`supervisor`) starts workers, and replaces the ones that crash, hang or exceed their memory.
- A worker process (`worker_process`) is a process, its pipes and its limits.

Work is described by a *plan*: a function that is called once for each environment with its subjects, and returns an
iterable of `Ask(problem, subject ids)`. It is consumed lazily, in its order, in the environment's own thread; so the
plan of a long run reads each problem from the file only when it is due. `ask` makes a plan from pairs that are at hand.
Order the work by signature, so that compilations are shared. An environment without work is never started.

What callers rely on: exactly one `Observed` for each (problem, subject) of the plan, whatever the worker does; a call
without a result is Crashed, TimedOut, OutOfMemory, Garbled or NotRun. Events arrive as they occur, and `Waiting` if
there is none for a moment. `run` and `ask` may be called again: workers on a CPU stay alive in between, with all that
they have compiled. Nothing in `AbstractPool` says that the workers are local processes, or processes at all.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self

from logitmus.core.events import BackendFailed
from logitmus.core.problem import Problem
from logitmus.core.subject import Subject
from logitmus.execution.launch import Process
from logitmus.execution.limits import Limits
from logitmus.execution.messages import Hello
from logitmus.execution.registry import BackendSpec, distinct
from logitmus.execution.session import Ask, BatchEnded, Drive, Observed, Place, PoolEvent, Waiting
from logitmus.execution.supervisor import StartError, StoppedError, Workers
from logitmus.execution.worker_process import WorkerProcess

__all__ = ["AbstractPool", "Ask", "BatchEnded", "Observed", "Plan", "Pool", "PoolEvent", "Ready", "Waiting"]

Plan = Callable[[tuple[Subject, ...]], Iterable[Ask]]

_MOMENT_SECONDS: Final = 0.1
_QUEUED_LISTS: Final = 8  # of events, each about a read from a pipe: what bounds memory when the judge is slow


@dataclass(frozen=True, slots=True)
class Ready:
    """A backend that started: what it offers, where it runs, and how long its start took."""

    spec: BackendSpec
    subjects: tuple[Subject, ...]
    environment: Mapping[str, Any]
    seconds: float


class AbstractPool(ABC):
    """Runs problems on subjects, wherever these are."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool."""
        self.close()

    @property
    def started(self) -> bool:
        """Whether the workers have started: until then, whatever else takes the processor delays them."""
        return False

    @abstractmethod
    def describe(self) -> Iterator[Ready | BackendFailed]:
        """Yield what each backend offers, or why it could not start."""

    @abstractmethod
    def run(self, plan: Plan) -> Iterator[PoolEvent]:
        """Do the planned work of every environment."""

    @abstractmethod
    def close(self) -> None:
        """End everything at once."""

    def ask(self, pairs: Iterable[tuple[Problem, str]]) -> Iterator[PoolEvent]:
        """Run each problem on a subject (its id); in every environment, in the order of the pairs."""
        asks = [
            Ask(group[0][0], tuple(subject for _, subject in group))
            for _, same in itertools.groupby(pairs, key=lambda pair: pair[0].id)
            for group in [list(same)]
        ]

        def plan(environment: tuple[Subject, ...]) -> Iterator[Ask]:
            own = {subject.id for subject in environment}
            for problem, subjects in asks:
                mine = tuple(subject for subject in subjects if subject in own)
                if mine:
                    yield Ask(problem, mine)

        return self.run(plan)


class Pool(AbstractPool):
    """Workers for these backends; at most `jobs` (default: the number of CPUs) environments work at once.

    Args:
        launched: processes that run already, by the label of their spec (`launch.launched`); each is taken over once.

    Raises:
        RegistryError: where two specs have the same label.
    """

    def __init__(
        self,
        specs: Sequence[BackendSpec],
        limits: Limits | None = None,
        jobs: int | None = None,
        *,
        launched: dict[str, Process] | None = None,
    ) -> None:
        self._specs = distinct(specs)
        self._jobs = jobs or os.cpu_count() or 1
        self._workers = Workers(limits or Limits())
        self._launched = {} if launched is None else launched
        self._places: list[Place] | None = None
        self._described: dict[str, WorkerProcess] = {}
        self._drives: dict[tuple[str, str, str], Drive] = {}

    def close(self) -> None:
        """Kills every worker, at once; what is still running ends without a further event."""
        self._workers.stop()
        for worker in list(self._described.values()):
            self._workers.retire(worker)
        for drive in list(self._drives.values()):
            drive.end()

    def describe(self) -> Iterator[Ready | BackendFailed]:
        """Start a worker for each backend, `jobs` at a time, and report what each offers.

        A backend that offers what an earlier backend offers fails, too: its observations could not be distinguished.
        """
        threads = ThreadPoolExecutor(self._jobs, "logitmus-start")
        return self._told(threads, [threads.submit(self._describe, spec) for spec in self._specs])

    def _told(
        self, threads: ThreadPoolExecutor, answers: Sequence[Future[tuple[Ready, Mapping[str, str]] | BackendFailed]]
    ) -> Iterator[Ready | BackendFailed]:
        places: list[Place] = []
        with threads:
            try:
                for answer in (future.result() for future in answers):
                    if isinstance(answer, BackendFailed):
                        yield answer
                        continue
                    ready, wire_ids = answer
                    known = {subject.id for place in places for subject in place.subjects}
                    clash = sorted(known & set(wire_ids))
                    if clash:
                        yield _clash(ready.spec, clash[0])
                        continue
                    places += _places(ready, wire_ids)
                    yield ready
            except BaseException:
                self.close()  # before the threads are waited for
                raise
        self._places = places

    def _describe(self, spec: BackendSpec) -> tuple[Ready, Mapping[str, str]] | BackendFailed:
        began = time.monotonic()
        try:
            worker, hello = self._workers.start(spec, launched=self._launched.pop(spec.label, None))
        except StartError as error:
            return BackendFailed(spec.label, error.message, error.hint)
        except StoppedError:
            return BackendFailed(spec.label, "the run was stopped")
        self._described[spec.label] = worker
        subjects, wire_ids = _named(spec, hello)
        return Ready(spec, subjects, hello.environment, time.monotonic() - began), wire_ids

    def run(self, plan: Plan) -> Iterator[PoolEvent]:
        """Does the planned work of every environment that `describe` found (which is called if it has not been).

        Raises:
            Whatever the plan raises; RuntimeError: if the pool is closed.
        """
        self._check_open()
        if self._places is None:
            yield from (answer for answer in self.describe() if isinstance(answer, BackendFailed))
        todo: queue.SimpleQueue[Place] = queue.SimpleQueue()
        for place in sorted(self._places or (), key=_compiled, reverse=True):  # the longest first: none is waited for
            todo.put(place)
        events: queue.Queue[list[PoolEvent] | BaseException | None] = queue.Queue(_QUEUED_LISTS)
        threads = [
            threading.Thread(target=self._work, args=(todo, plan, events), name=f"logitmus-work-{i}", daemon=True)
            for i in range(min(self._jobs, todo.qsize()))
        ]
        finished = False
        try:
            for thread in threads:
                thread.start()
            running = len(threads)
            while running:
                try:
                    got = events.get(timeout=_MOMENT_SECONDS)
                except queue.Empty:
                    yield Waiting()
                    continue
                if got is None:
                    running -= 1
                elif isinstance(got, BaseException):
                    raise got
                else:
                    yield from got
            finished = True
        finally:
            if not finished:  # Ctrl-C, an error, or a reader that has seen enough
                self.close()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def _check_open(self) -> None:
        if self._workers.stopped.is_set():
            raise RuntimeError("the pool is closed: an earlier run was abandoned before its end")

    def _work(
        self,
        todo: queue.SimpleQueue[Place],
        plan: Plan,
        events: queue.Queue[list[PoolEvent] | BaseException | None],
    ) -> None:
        """One environment after the other, until none is left."""

        def emit(event: list[PoolEvent] | BaseException | None) -> None:
            while not self._workers.stopped.is_set():
                try:
                    return events.put(event, timeout=0.2)
                except queue.Full:
                    continue
            raise StoppedError

        try:
            while True:
                try:
                    place = todo.get_nowait()
                except queue.Empty:
                    return emit(None)
                self._work_at(place, plan, emit)
        except StoppedError:
            return None
        except BaseException as error:  # of the plan, or a fault of ours: it belongs to the caller's thread
            try:
                return emit(error)
            except StoppedError:
                return None

    def _work_at(self, place: Place, plan: Plan, emit: Callable[[list[PoolEvent]], None]) -> None:
        asks = iter(plan(place.subjects))
        first = next(asks, None)
        if first is None:  # a described worker is kept: the next run may have work for it
            return
        described = place.variant == "" and place.device_argument == ""
        worker = self._described.pop(place.spec.label, None) if described else None
        here = (place.spec.label, place.variant, place.device)
        drive = self._drives.setdefault(here, Drive(place, self._workers, emit))
        drive.emit = emit
        drive.worker = drive.worker or worker
        drive.run(itertools.chain([first], asks))
        if place.device_argument:  # an idle process would keep the device's memory from the next
            drive.end()


def _named(spec: BackendSpec, hello: Hello) -> tuple[tuple[Subject, ...], dict[str, str]]:
    """The subjects under the name that the user gave the backend, and what each is called on the wire."""
    if not spec.name:
        return hello.subjects, {subject.id: subject.id for subject in hello.subjects}
    subjects = tuple(replace(subject, backend=spec.name) for subject in hello.subjects)
    return subjects, {mine.id: theirs.id for mine, theirs in zip(subjects, hello.subjects, strict=True)}


def _places(ready: Ready, wire_ids: Mapping[str, str]) -> list[Place]:
    grouped: dict[tuple[str, str], list[Subject]] = {}
    for subject in ready.subjects:
        grouped.setdefault((subject.started_with, subject.device), []).append(subject)
    return [
        Place(ready.spec, variant, device, tuple(subjects), {s.id: wire_ids[s.id] for s in subjects})
        for (variant, device), subjects in grouped.items()
    ]


def _compiled(place: Place) -> int:
    """How many of its subjects are compiled, which takes longer than all their calls."""
    return sum(bool(subject.mode) for subject in place.subjects)


def _clash(spec: BackendSpec, subject: str) -> BackendFailed:
    return BackendFailed(
        spec.label,
        f"it offers {subject}, which an earlier backend offers too",
        f"give either of them another name: --backend NAME={spec.label}",
    )
