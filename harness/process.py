"""One worker process, driven by one thread: start it, send it batches, read its messages, end it for good.

POSIX: one loop over non-blocking pipes serves all three standard streams, so that neither a flood on stderr nor a
line of any length can block either side, and memory stays bounded by `Limits.line_bytes`.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psutil

from logitmus import messages
from logitmus.observation import Crashed, Garbled, Outcome, OutOfMemory, TimedOut
from logitmus.registry import BackendSpec
from logitmus.wire import WireError

_CHUNK: Final = 1 << 20
_STDERR_TAIL: Final = 8 << 10
_LAST_WORDS_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.5
_RELATIVES_SECONDS: Final = 1.0  # between searches for children: each reads of every process of the machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a worker may take before it is killed and replaced.

    Attributes:
        start_seconds: from its start to its hello.
        compile_seconds: the first call of a signature for a subject, which may compile. call_seconds: any later one.
        memory_bytes: resident, of the worker and all its children.
        line_bytes: of one line that it sends.
        patience: after two first calls of signatures, no other is waited for longer than so many times the slowest
            of them (or `call_seconds`, if that is longer).
        give_up_after: replacements in a row without one answer, after which the rest is not run.
        lost_seconds: the same, after so long in all was spent on waiting for what hung and on replacing workers.
    """

    start_seconds: float = 120.0
    compile_seconds: float = 60.0
    call_seconds: float = 20.0
    patience: float = math.inf
    memory_bytes: int = 8 << 30
    line_bytes: int = 1 << 30
    give_up_after: int = 20
    lost_seconds: float = math.inf


class WorkerLost(Exception):  # noqa: N818  (not an error of ours: it becomes the observation)
    """The worker is gone (already killed); `outcome` says what it did."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class WorkerProcess:
    """A running worker. Only one thread may use it; `kill` and `watch_memory` are safe from any thread."""

    def __init__(self, spec: BackendSpec, limits: Limits, variant: str = "", device: str = "") -> None:
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
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            command(spec, variant, device),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment(),
            start_new_session=True,  # its own process group: killed with all its children, and spared the Ctrl-C
        )
        self._in, self._out, self._err = self._pipes()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._selector.register(self._err, selectors.EVENT_READ)
        self._end_lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    # --- talking --------------------------------------------------------------------------------------------

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

    # --- ending ---------------------------------------------------------------------------------------------

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
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kills it, waits for it and frees its pipes; may be called twice."""
        self.kill()
        with self._end_lock:
            if self._ended:
                return
            self._ended = True
        self._process.wait()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _pipes(self) -> tuple[int, int, int]:
        streams: Sequence[Any] = (self._process.stdin, self._process.stdout, self._process.stderr)
        for stream in streams:
            os.set_blocking(stream.fileno(), False)
            _enlarge(stream.fileno())
        return (streams[0].fileno(), streams[1].fileno(), streams[2].fileno())


def environment() -> dict[str, str]:
    """A worker's environment: one thread a worker, unless the person has said otherwise.

    Workers compute side by side. With a thread pool of all cores each, they wait for one another: a small torch call
    took 20 times as long beside a busy JAX. And sums do not depend on the number of cores.
    """
    one_thread = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    }
    return {**one_thread, **os.environ}


def command(spec: BackendSpec, variant: str = "", device: str = "") -> list[str]:
    """What is run for a backend; every `Backend` value is started the same way, in whatever interpreter."""
    chosen = [*(("--variant", variant) if variant else ()), *(("--device", device) if device else ())]
    if spec.command:
        return [*spec.command, *chosen]
    package = Path(__file__).parent
    backends = find_spec("logitmus.backends")
    if backends is None or backends.origin is None:
        raise RuntimeError("logitmus.backends is not installed beside logitmus; reinstall logitmus")
    return [
        spec.python or sys.executable,
        "-X",
        "faulthandler",  # the stack of a crash, in the tail of stderr
        str(package / "bootstrap.py"),
        str(package),
        str(Path(backends.origin).parent),
        "--backend",
        spec.target,
        *(("--path", spec.path) if spec.path else ()),
        *(("--function", spec.function, "--class-axis", spec.class_axis) if spec.function else ()),
        *(part for ours, theirs in spec.options for part in ("--option", f"{ours}={theirs}")),
        *chosen,
    ]


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
