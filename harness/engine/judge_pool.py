"""Judges in processes of their own, which read a run's file while the engine still writes to it.

Judging costs as much as the calls of many a framework, and the engine has workers to serve. The messages on a pipe are
MessagePack (floats as their bits) after a length: lists of `JudgeRequest` in, lists of `Judgements` out. If
a process dies, the engine logs a warning and judges its requests itself: nothing is lost but time.
"""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec

from logitmus.core.events import Judged
from logitmus.engine.judge_batches import (
    TOGETHER,
    JudgedSubject,
    Judgements,
    JudgeRequest,
    SupportsJudge,
    judge_requests,
    judged,
    judged_subjects,
)
from logitmus.engine.malloc import keep_freed_memory
from logitmus.storage.store import Store

_LOG: Final = logging.getLogger(__name__)
_LENGTH: Final = struct.Struct("<Q")
_LONGEST: Final = 1 << 30
_AHEAD: Final = 2  # batches sent to a process: the current batch, and the next, so that it does not wait
_ENOUGH: Final = TOGETHER // 4  # problems worth sending to an idle process
_LEAST: Final = 2  # problems in a share while the caller waits
_LARGE: Final = 1 << 14  # logits in a share, unless a single problem has more


class JudgeQueue(Protocol):
    """Takes requests to judge results in the file, and gives judgements as they become ready."""

    def start(self) -> None:
        """Start what judging needs; returns at once."""

    def submit(self, requests: Iterable[JudgeRequest]) -> None:
        """Add requests whose results are in the file."""

    def ready(self, *, wait: bool = False) -> Iterator[Judged]:
        """Yield what has been judged since; with `wait`, all that was submitted."""

    def next_ready(self) -> Iterator[Judged]:
        """Yield what has been judged since; if that is nothing, wait for the next judgements."""

    def close(self) -> None:
        """End what was started; pending requests are dropped."""


class LocalJudgeQueue:
    """Judges in this process, in batches."""

    def __init__(self, store: Store, judge: SupportsJudge) -> None:
        self._store = store
        self._judge = judge
        self._requests: list[JudgeRequest] = []
        self._subjects: tuple[JudgedSubject, ...] = ()

    def start(self) -> None:
        return None

    def submit(self, requests: Iterable[JudgeRequest]) -> None:
        self._requests.extend(requests)

    def ready(self, *, wait: bool = False) -> Iterator[Judged]:
        if not wait and len(self._requests) < TOGETHER:
            return
        requests, self._requests = self._requests, []
        self._subjects = self._subjects or judged_subjects(self._store)  # complete before the first request
        for problem, judgements in judge_requests(self._store, requests, self._subjects, self._judge):
            yield from judged(problem, judgements)

    def next_ready(self) -> Iterator[Judged]:
        yield from self.ready(wait=True)

    def close(self) -> None:
        return None


class JudgePool:
    """Judges in processes of its own, while the caller goes on. Used by a single thread.

    Args:
        processes: how many; None: half the number of CPUs, at most two. The workers come first, and need CPUs more.
    """

    def __init__(self, store: Store, processes: int | None = None) -> None:
        self._store = store
        self._waiting: deque[JudgeRequest] = deque()
        self._news = threading.Condition()
        self._processes = processes or _processes()
        self._judges: list[_JudgeProcess] = []
        self._local: LocalJudgeQueue | None = None

    def start(self) -> None:
        if not self._judges:
            self._judges = [_JudgeProcess(self._store.path, self._news) for _ in range(self._processes)]
            default_judge()  # loaded while the caller waits for workers: later it judges here, too

    def submit(self, requests: Iterable[JudgeRequest]) -> None:
        """Add requests; they are sent `TOGETHER` at a time, or as soon as the caller waits for them."""
        self.start()
        self._waiting.extend(requests)
        self._dispatch()

    def ready(self, *, wait: bool = False) -> Iterator[Judged]:
        self._dispatch(wait=wait)
        yield from self._received()
        while wait and (self._waiting or any(judge.sent for judge in self._judges)):
            yield from self.next_ready()

    def next_ready(self) -> Iterator[Judged]:
        """See `JudgeQueue`; while it waits, the caller judges, too."""
        self._dispatch(wait=True)
        if self._waiting and not any(map(_JudgeProcess.has_news, self._judges)):
            yield from self._judge_here(self._share())
        elif any(judge.sent for judge in self._judges):
            with self._news:
                self._news.wait_for(lambda: any(map(_JudgeProcess.has_news, self._judges)))
        yield from self._received()

    def close(self) -> None:
        for judge in self._judges:
            judge.close()

    def _received(self) -> Iterator[Judged]:
        """Yield the judgements that have arrived; judge here what was sent to a process that died."""
        for judge in self._judges:
            while judge.has_news():
                requests = judge.sent.popleft()
                if judge.received:
                    for judgements in judge.received.popleft():
                        yield from judged(self._store.problem(judgements.problem), judgements)
                else:
                    yield from self._judge_here(requests)

    def _dispatch(self, *, wait: bool = False) -> None:
        """Keep the processes busy: with full batches, or with shares of what the caller waits for."""
        for judge in sorted(self._judges, key=lambda judge: len(judge.sent)):
            while not judge.gone and self._waiting and len(judge.sent) < _AHEAD:
                if not wait and len(self._waiting) < (TOGETHER if judge.sent else _ENOUGH):
                    return
                requests = self._share() if wait else self._next(TOGETHER)
                self._store.commit()  # the process reads the file
                judge.send(requests)

    def _share(self) -> list[JudgeRequest]:
        """Take a part of the waiting requests, ever smaller, so that all processes finish at about the same time."""
        share = self._next(min(TOGETHER, max(_LEAST, len(self._waiting) // (2 * len(self._judges) + 2))))
        logits = accumulate(self._store.problem(request.problem).logits.size for request in share)
        end = next((n for n, count in enumerate(logits) if count >= _LARGE), len(share)) or 1
        self._waiting.extendleft(reversed(share[end:]))
        return share[:end]

    def _next(self, count: int) -> list[JudgeRequest]:
        return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def _judge_here(self, requests: Sequence[JudgeRequest]) -> Iterator[Judged]:
        self._local = self._local or LocalJudgeQueue(self._store, default_judge())
        self._local.submit(requests)
        yield from self._local.ready(wait=True)


def default_judge() -> SupportsJudge:
    """The judge of the product. Loads the oracle and tests this machine's exp, so that no judgement waits for that."""
    from logitmus.judging.judge import Judge  # noqa: PLC0415  (loads the oracle)
    from logitmus.oracle.softmax import DOUBLE, trustworthy  # noqa: PLC0415  (as above)

    trustworthy(DOUBLE)
    return Judge()


def _processes() -> int:
    return min(2, max(1, (os.cpu_count() or 1) // 2))


class _JudgeProcess:
    """One process, with the requests sent to it and the judgements received from it that have not been read."""

    def __init__(self, path: Path, news: threading.Condition) -> None:
        self.sent: deque[Sequence[JudgeRequest]] = deque()
        self.received: deque[list[Judgements]] = deque()
        self._gone = self._closed = False
        self._news = news
        single_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "logitmus.engine.judge_pool", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **single_thread},
            start_new_session=True,  # not interrupted by Ctrl-C; it ends when its input ends
        )
        self._reader = threading.Thread(target=self._read, name="logitmus-judge", daemon=True)
        self._reader.start()

    def has_news(self) -> bool:
        """Whether its next judgements have arrived, or never will."""
        return bool(self.sent) and (bool(self.received) or self.gone)

    def send(self, requests: Sequence[JudgeRequest]) -> None:
        self.sent.append(requests)
        if not self.gone and self._process.stdin is not None:
            try:
                _send(self._process.stdin, msgspec.msgpack.encode(requests))
            except OSError as error:
                self._lose(f"{type(error).__name__}: {error}")

    def close(self) -> None:
        self._closed = True
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    @property
    def gone(self) -> bool:
        """Whether no more judgements will arrive."""
        return self._gone

    def _lose(self, reason: str) -> None:
        if not (self._gone or self._closed):
            _LOG.warning(
                "a judge process was lost (%s); its results are judged in this process, which is slower", reason
            )
        self._gone = True

    def _read(self) -> None:
        decoder = msgspec.msgpack.Decoder(list[Judgements], dec_hook=_cause)
        stream = self._process.stdout
        while stream is not None:
            judgements, reason = None, "it ended"
            try:
                frame = _receive(stream)
                judgements = None if frame is None else decoder.decode(frame)
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                reason = f"{type(error).__name__}: {error}"
            with self._news:
                if judgements is None:
                    self._lose(reason)
                else:
                    self.received.append(judgements)
                self._news.notify()
            if judgements is None:
                return


def main(argv: Sequence[str]) -> int:
    """Judge results in the file at `argv[0]` until standard input ends."""
    keep_freed_memory()
    requests_in, judgements_out = sys.stdin.buffer, sys.stdout.buffer
    judge = default_judge()
    subjects: tuple[JudgedSubject, ...] = ()
    while (frame := _receive(requests_in)) is not None:
        requests = msgspec.msgpack.decode(frame, type=list[JudgeRequest])
        with Store.open(Path(argv[0]), check=False) as store:
            subjects = subjects or judged_subjects(store)  # complete before the first request
            judgements = [group for _, group in judge_requests(store, requests, subjects, judge)]
        _send(judgements_out, msgspec.msgpack.encode(judgements, enc_hook=str))  # a cause is its text
    return 0


def _cause(kind: type[Any], text: Any) -> Any:
    """Restore a `Cause`, which msgspec does not know, from its text."""
    return kind(text)


def _send(stream: IO[bytes], frame: bytes) -> None:
    stream.write(_LENGTH.pack(len(frame)) + frame)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    """Read the next frame; None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _LONGEST:  # garbage: the process prints something else
        return None
    frame = stream.read(length)
    return frame if len(frame) == length else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
