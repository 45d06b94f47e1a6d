"""A worker process, driven by a single thread: start it, send it batches, read its messages, end it for good.

POSIX: a single loop over non-blocking pipes serves all three standard streams, so that neither a flood on stderr nor a
line of any length can block either side, and memory stays bounded by `Limits.line_bytes`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import psutil

from logitmus.core.observation import Crashed, Garbled, Outcome, OutOfMemory, TimedOut
from logitmus.execution import messages
from logitmus.execution.launch import Process, end, kill_group
from logitmus.execution.limits import Limits
from logitmus.worker.wire import WireError

_CHUNK: Final = 1 << 20
_STDERR_TAIL: Final = 8 << 10
_LAST_WORDS_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.5
_RELATIVES_SECONDS: Final = 1.0  # between searches for children: each reads of every process of the machine


class WorkerLost(Exception):  # noqa: N818  (not an error of ours: it becomes the observation)
    """The worker is gone (already killed); `outcome` says what it did."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class WorkerProcess:
    """A running worker. Only one thread may use it; `kill` and `watch_memory` are safe from any thread."""

    def __init__(self, process: Process, limits: Limits) -> None:
        self.limits = limits
        self._killed_for: Outcome | None = None
        self._outgoing: deque[memoryview] = deque()
        self._pieces: list[bytes] = []
        self._piece_bytes = 0
        self._lines: deque[bytes] = deque()
        self._stderr = b""
        self._ended = False
        self._family: list[psutil.Process] = []
        self._relatives_due = 0.0
        self._process = process
        self._in, self._out, self._err = self._pipes()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._selector.register(self._err, selectors.EVENT_READ)
        self._end_lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Queues a line; what the pipe does not take at once is written while `receive` waits."""
        self._outgoing.append(memoryview(line))
        if len(self._outgoing) == 1:
            self._selector.register(self._in, selectors.EVENT_WRITE)
            self._write()

    @property
    def has_lines(self) -> bool:
        """Whether the next `receive` has something to read already."""
        return bool(self._lines)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def receive(self, seconds: float) -> messages.Hello | messages.Failed | messages.Answer | messages.Done:
        """The next message, waited for at most `seconds`.

        Raises:
            WorkerLost: it died, hung, took too much memory or sent what is no message; it has been killed.
        """
        deadline = time.monotonic() + seconds
        while not self._lines:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self.lost(TimedOut(seconds))
            ready = self._selector.select(min(left, _LOOK_SECONDS))
            for key, _ in ready:
                self._serve(key.fd)
            if not ready and not self.alive:  # dead, though a child of its own still holds its output open
                raise self._last_words()
        try:
            return messages.read(self._lines.popleft())
        except WireError as error:
            raise self.lost(Garbled(str(error))) from None

    def lost(self, outcome: Outcome) -> WorkerLost:
        """Kills it; the exception to raise says `outcome`, or what it had been killed for before."""
        self.kill(outcome)
        return WorkerLost(self._killed_for or outcome)

    def _serve(self, descriptor: int) -> None:
        if descriptor == self._in:
            self._write()
        elif descriptor == self._err:
            self._read_stderr()
        else:
            self._read_stdout()

    def _write(self) -> None:
        try:
            written = os.write(self._in, self._outgoing[0])
        except BlockingIOError:
            return
        except BrokenPipeError:  # it is dying: its standard output will say so
            self._outgoing.clear()
        else:
            rest = self._outgoing[0][written:]
            self._outgoing.popleft()
            if rest:
                self._outgoing.appendleft(rest)
        if not self._outgoing:
            self._selector.unregister(self._in)

    def _read_stdout(self) -> None:
        data = _read(self._out)
        if data is None:
            return
        if not data:
            raise self._last_words()
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._lines.append(b"".join([*self._pieces, part]))
            self._pieces.clear()
            self._piece_bytes = 0
        if rest:
            self._pieces.append(rest)
            self._piece_bytes += len(rest)
        if self._piece_bytes > self.limits.line_bytes:
            raise self.lost(Garbled(f"a line of more than {self.limits.line_bytes} bytes"))

    def _read_stderr(self) -> None:
        data = _read(self._err)
        if data:
            self._stderr = (self._stderr + data)[-_STDERR_TAIL:]
        elif data is not None:
            self._selector.unregister(self._err)

    def _last_words(self) -> WorkerLost:
        """Its standard output ended: dead with a status, or alive and silent?"""
        try:
            status = self._process.wait(_LAST_WORDS_SECONDS)
        except subprocess.TimeoutExpired:
            return self.lost(Garbled("it closed its standard output"))
        while data := _read(self._err):
            self._stderr = (self._stderr + data)[-_STDERR_TAIL:]
        if status == 0 and self._pieces:
            return self.lost(Garbled(f"its last line is cut off after {self._piece_bytes} bytes"))
        return self.lost(Crashed(_status(status), self._stderr.decode("utf-8", "backslashreplace").strip()))

    def watch_memory(self) -> None:
        """Kills it if it and its children hold more than the limit."""
        if time.monotonic() >= self._relatives_due:
            self._family, self._relatives_due = _family(self.pid), time.monotonic() + _RELATIVES_SECONDS
        if sum(map(_resident_bytes, self._family)) > self.limits.memory_bytes:
            self.kill(OutOfMemory(self.limits.memory_bytes))

    def kill(self, outcome: Outcome | None = None) -> None:
        """Ends the worker and every process of its group, at once."""
        with self._end_lock:
            if self._ended:
                return
            self._killed_for = self._killed_for or outcome
            # Also where the worker itself is gone: its children may not be. Until it is waited for, here or in
            # _last_words, nobody else can have its number; afterwards its group keeps the number for its children.
            kill_group(self._process)

    def close(self) -> None:
        """Kills it, waits for it and frees its pipes; may be called twice."""
        self.kill()
        with self._end_lock:
            if self._ended:
                return
            self._ended = True
        self._process.wait()
        self._selector.close()
        end(self._process)

    def _pipes(self) -> tuple[int, int, int]:
        streams: Sequence[Any] = (self._process.stdin, self._process.stdout, self._process.stderr)
        for stream in streams:
            os.set_blocking(stream.fileno(), False)
            _enlarge(stream.fileno())
        return (streams[0].fileno(), streams[1].fileno(), streams[2].fileno())


def _read(descriptor: int) -> bytes | None:
    """What there is: b"" at the end, None when nothing is there at the moment."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None


def _enlarge(descriptor: int) -> None:
    """A larger pipe, where the system has such: the worker goes on while the harness judges."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl  # noqa: PLC0415  (not on every system)

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _CHUNK)


def _status(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants; empty where it is gone."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _resident_bytes(process: psutil.Process) -> int:
    """Resident memory; 0 where it is gone."""
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0
