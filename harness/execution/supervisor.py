"""All the workers that are alive: started, watched for memory, and gone without exception in the end."""

from __future__ import annotations

import itertools
import threading
from typing import Final

from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.observation import Crashed, Garbled, Outcome, OutOfMemory, TimedOut
from logitmus.execution import messages
from logitmus.execution.launch import Process, launch
from logitmus.execution.limits import Limits
from logitmus.execution.registry import BackendSpec
from logitmus.execution.worker_process import WorkerLost, WorkerProcess

_MEMORY_LOOKS_SECONDS: Final = 0.25


class StartError(LogitmusError):
    """A worker that could not start: why, and what to do."""

    exit_code = Exit.BACKEND


class StoppedError(Exception):
    """The workers have been stopped permanently; the caller stops, too."""


class Workers:
    """The living workers. Every method may be called from any thread."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._alive: set[WorkerProcess] = set()
        self._watch = threading.Thread(target=self._watch_memory, name="logitmus-memory", daemon=True)
        self._watch.start()

    def start(
        self, spec: BackendSpec, variant: str = "", device: str = "", launched: Process | None = None
    ) -> tuple[WorkerProcess, messages.Hello]:
        """Start a worker and wait for its hello; retry once if it dies before that.

        Args:
            launched: its process, if it has been launched already.

        Raises:
            StartError: it died twice, hung, refused, or sent another message.
            StoppedError: after `stop`.
        """
        for attempt in itertools.count(1):
            worker = self._launch(spec, variant, device, launched)
            launched = None
            try:
                message = worker.receive(self.limits.start_seconds)
            except WorkerLost as lost:
                self.retire(worker)
                if attempt == 1 and isinstance(lost.outcome, Crashed):
                    continue
                raise StartError(f"{_in_words(lost.outcome)} while it started") from None
            if isinstance(message, messages.Hello):
                return worker, message
            self.retire(worker)
            if isinstance(message, messages.Failed):
                raise StartError(message.reason, message.hint)
            raise StartError(f"it began with {type(message).__name__!r}; a worker begins with 'hello' or 'failed'")
        raise AssertionError("unreachable")

    def retire(self, worker: WorkerProcess) -> None:
        """End a worker with all its children."""
        worker.close()
        with self._lock:
            self._alive.discard(worker)

    def stop(self) -> None:
        """Kills all of them, at once, and lets none start again. Its session finds it lost, and retires it."""
        self.stopped.set()
        with self._lock:
            for worker in self._alive:
                worker.kill()
        self._watch.join()

    def _launch(self, spec: BackendSpec, variant: str, device: str, launched: Process | None) -> WorkerProcess:
        with self._lock:  # so that none is started behind the back of `stop`
            if self.stopped.is_set():
                raise StoppedError
            try:
                worker = WorkerProcess(launched or launch(spec, variant, device), self.limits)
            except OSError as error:
                raise StartError(f"it cannot be run: {error}") from None
            self._alive.add(worker)
            return worker

    def _watch_memory(self) -> None:
        while not self.stopped.wait(_MEMORY_LOOKS_SECONDS):
            with self._lock:
                workers = list(self._alive)
            for worker in workers:
                worker.watch_memory()


def _in_words(outcome: Outcome) -> str:
    match outcome:
        case Crashed():
            return f"it died ({outcome.status}: {outcome.stderr[-1000:] or 'no word on stderr'})"
        case TimedOut():
            return f"no output for {outcome.seconds:g} s"
        case OutOfMemory():
            return f"it took more than {outcome.limit} bytes of memory"
        case Garbled():
            return f"it sent what is not a message ({outcome.reason})"
        case _:
            return f"it was lost ({outcome})"
