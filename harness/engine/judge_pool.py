"""The judge in processes of its own: they read a run's file while the engine still writes to it.

Judging costs as much as many a framework's calls, and the engine has workers to serve. What crosses the pipe is
MessagePack (floats as their bits) behind a length: what is `Wanted` one way, `Verdicts` the other. What a process that
died was asked, the engine judges by itself: nothing is lost but time.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Protocol

import msgspec

from logitmus.core.events import Judged
from logitmus.engine.judge_batches import (
    TOGETHER,
    JudgedSubject,
    SupportsJudge,
    Verdicts,
    Wanted,
    judged,
    judged_subjects,
    verdicts,
)
from logitmus.engine.malloc import keep_freed_memory
from logitmus.storage.store import Store

_LENGTH: Final = struct.Struct("<Q")
_LONGEST: Final = 1 << 30
_AHEAD: Final = 2  # batches with one process: one that it judges, and one that it need not wait for
_ENOUGH: Final = TOGETHER // 4  # problems for a process that has nothing to do
_LEAST: Final = 2  # problems in a share of what is waited for
_LARGE: Final = 1 << 14  # logits: a problem of so many is a share of its own


class Judging(Protocol):
    """Who judges what is in the file."""

    def start(self) -> None:
        """Get ready to judge, beside what the caller goes on with."""

    def submit(self, wanted: Iterable[Wanted]) -> None:
        """Take in problems whose answers are all in the file."""

    def ready(self, *, wait: bool = False) -> Iterator[Judged]:
        """What has been judged; with `wait`, all that was submitted."""

    def some(self) -> Iterator[Judged]:
        """What has been judged; if that is nothing, the next of what was submitted, waited for."""

    def close(self) -> None:
        """Ends what was started for it; what has not been said yet is not waited for."""


class InProcess:
    """Judges without a process of its own, when asked for."""

    def __init__(self, store: Store, judge: SupportsJudge) -> None:
        self._store = store
        self._judge = judge
        self._asked: list[Wanted] = []
        self._subjects: tuple[JudgedSubject, ...] = ()

    def start(self) -> None:
        return None

    def submit(self, wanted: Iterable[Wanted]) -> None:
        self._asked.extend(wanted)

    def ready(self, *, wait: bool = False) -> Iterator[Judged]:
        if not wait and len(self._asked) < TOGETHER:
            return
        asked, self._asked = self._asked, []
        self._subjects = self._subjects or judged_subjects(self._store)  # known before anything is asked
        for problem, said in verdicts(self._store, asked, self._subjects, self._judge):
            yield from judged(problem, said)

    def some(self) -> Iterator[Judged]:
        yield from self.ready(wait=True)

    def close(self) -> None:
        return None


class Judges:
    """Judges what is submitted in processes of their own, while their owner goes on. Used by one thread.

    Args:
        processes: how many; None: one for every two CPUs, two at most. The workers come first, and need them more.
    """

    def __init__(self, store: Store, processes: int | None = None) -> None:
        self._store = store
        self._waiting: deque[Wanted] = deque()
        self._news = threading.Condition()
        self._processes = processes or _processes()
        self._judges: list[_Judge] = []
        self._here: InProcess | None = None

    def start(self) -> None:
        if not self._judges:
            self._judges = [_Judge(self._store.path, self._news) for _ in range(self._processes)]

    def submit(self, wanted: Iterable[Wanted]) -> None:
        """Problems whose answers are all in the file; asked `TOGETHER` at a time, or once they are waited for."""
        self.start()
        self._waiting.extend(wanted)
        self._ask()

    def ready(self, *, wait: bool = False) -> Iterator[Judged]:
        self._ask(wait=wait)
        yield from self._told()
        while wait and (self._waiting or any(judge.asked for judge in self._judges)):
            yield from self.some()

    def some(self) -> Iterator[Judged]:
        """The same; the caller judges, too."""
        self._ask(wait=True)
        if self._waiting and not any(map(_Judge.has_told, self._judges)):
            yield from self._by_hand(self._share())
        elif any(judge.asked for judge in self._judges):
            with self._news:
                self._news.wait_for(lambda: any(map(_Judge.has_told, self._judges)))
        yield from self._told()

    def close(self) -> None:
        for judge in self._judges:
            judge.close()

    def _told(self) -> Iterator[Judged]:
        """What the processes said that has not been read; of what one that died was asked, the caller's own word."""
        for judge in self._judges:
            while judge.has_told():
                wanted = judge.asked.popleft()
                if judge.answers:
                    for said in judge.answers.popleft():
                        yield from judged(self._store.problem(said.problem), said)
                else:
                    yield from self._by_hand(wanted)

    def _ask(self, *, wait: bool = False) -> None:
        """Keep the processes busy: with full batches, or with shares of what is waited for."""
        for judge in sorted(self._judges, key=lambda judge: len(judge.asked)):
            while not judge.gone and self._waiting and len(judge.asked) < (1 if wait else _AHEAD):
                if not wait and len(self._waiting) < (TOGETHER if judge.asked else _ENOUGH):
                    return
                asked = self._share() if wait else self._next(TOGETHER)
                self._store.commit()  # the process reads what is in the file
                judge.ask(asked)

    def _share(self) -> list[Wanted]:
        """A part of what waits, ever smaller, so that all who judge are done at about the same time."""
        share = self._next(min(TOGETHER, max(_LEAST, len(self._waiting) // (2 * len(self._judges) + 2))))
        large = (n for n, one in enumerate(share) if self._store.problem(one.problem).logits.size >= _LARGE)
        end = next(large, len(share)) or 1
        self._waiting.extendleft(reversed(share[end:]))
        return share[:end]

    def _next(self, count: int) -> list[Wanted]:
        return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def _by_hand(self, wanted: Sequence[Wanted]) -> Iterator[Judged]:
        from logitmus.judging.judge import Judge  # noqa: PLC0415  (the oracle is loaded only where something is judged)

        self._here = self._here or InProcess(self._store, Judge())
        self._here.submit(wanted)
        yield from self._here.ready(wait=True)


def _processes() -> int:
    return min(2, max(1, (os.cpu_count() or 1) // 2))


class _Judge:
    """One process: what it was asked and has not been read of, in order, and what it answered."""

    def __init__(self, path: Path, news: threading.Condition) -> None:
        self.asked: deque[Sequence[Wanted]] = deque()
        self.answers: deque[list[Verdicts]] = deque()
        self.gone = False
        self._news = news
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "logitmus.engine.judge_pool", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **one_thread},
            start_new_session=True,  # spared the Ctrl-C; it ends when its input does
        )
        self._reader = threading.Thread(target=self._read, name="logitmus-judge", daemon=True)
        self._reader.start()

    def has_told(self) -> bool:
        """Whether there is something to read of it, or never will be."""
        return bool(self.asked) and (bool(self.answers) or self.gone)

    def ask(self, wanted: Sequence[Wanted]) -> None:
        self.asked.append(wanted)
        if not self.gone and self._process.stdin is not None:
            try:
                _send(self._process.stdin, msgspec.msgpack.encode(wanted))
            except OSError:
                self.gone = True

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _read(self) -> None:
        decoder = msgspec.msgpack.Decoder(list[Verdicts])
        stream = self._process.stdout
        while stream is not None:
            try:
                frame = _receive(stream)
                answer = None if frame is None else decoder.decode(frame)
            except (OSError, ValueError, msgspec.MsgspecError):
                answer = None
            with self._news:
                if answer is None:
                    self.gone = True
                else:
                    self.answers.append(answer)
                self._news.notify()
            if answer is None:
                return


def main(argv: Sequence[str]) -> int:
    """Judges problems of the file at `argv[0]` until the standard input ends."""
    from logitmus.judging.judge import Judge  # noqa: PLC0415  (the other side of the pipe has no need of it)

    keep_freed_memory()
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    judge = Judge()
    subjects: tuple[JudgedSubject, ...] = ()
    while (frame := _receive(questions)) is not None:
        wanted = msgspec.msgpack.decode(frame, type=list[Wanted])
        with Store.open(Path(argv[0]), check=False) as store:
            subjects = subjects or judged_subjects(store)  # known before anything is asked
            said = [one for _, one in verdicts(store, wanted, subjects, judge)]
        _send(answers, msgspec.msgpack.encode(said))
    return 0


def _send(stream: IO[bytes], frame: bytes) -> None:
    stream.write(_LENGTH.pack(len(frame)) + frame)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    """The next frame; None where the stream has ended."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _LONGEST:  # not what the other side of this pipe says
        return None
    frame = stream.read(length)
    return frame if len(frame) == length else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
