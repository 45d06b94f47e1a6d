"""The store: an SQLite file per run, holding the exact bits of every problem and answer.

Arrays are blobs named by their content, for many subjects return the same bits. Work is committed in slices of time,
so that a run killed at any point leaves a file that opens and resumes. Findings are not stored: they are derived.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import msgspec

from logitmus import __version__
from logitmus.core.declaration import DeclarationError, check_subjects
from logitmus.core.events import BackendFailed, BackendReady
from logitmus.core.observation import NotRun, Observation, Outcome
from logitmus.core.problem import Problem
from logitmus.core.run_settings import RunSettings
from logitmus.core.subject import Subject
from logitmus.storage import encoding
from logitmus.storage.file_format import (
    FORMAT,
    SCHEMA,
    SUFFIX,
    Kept,
    StoreError,
    check_header,
    connect,
    damaged,
)
from logitmus.storage.repeats import Repeats, Repetition

__all__ = ["FORMAT", "SUFFIX", "Store", "StoreError"]

T = TypeVar("T")
_NOT_RUN: Final = NotRun.__name__
_SLICE_SECONDS: Final = 0.5
_SLICE_OBSERVATIONS: Final = 500
_KNOWN_BLOBS: Final = 1 << 15  # names in memory: the same bits come again and again


class Store:
    """An open run file; use as a context manager. Not for several threads."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `create` or `open`."""
        self.path = path
        self._db = connection
        self._committed = time.monotonic()
        self._pending = 0
        self._writes = False
        self._subject_numbers: dict[str, int] = {}
        self._problems = Kept()
        self._blobs: set[str] = set()

    @classmethod
    def create(
        cls, path: Path, *, environment: Mapping[str, Any] | None = None, settings: RunSettings | None = None
    ) -> Self:
        """A new, empty file.

        Raises:
            StoreError: if it exists or cannot be written.
        """
        try:
            path.open("xb").close()
        except FileExistsError as error:
            raise StoreError(path, "exists already", "Continue a run with --resume, or name another file") from error
        except OSError as error:
            hint = "Name a file in a folder that exists and can be written"
            raise StoreError(path, f"cannot be written ({error.strerror})", hint) from error
        store = cls(path, connect(path))
        with store._explained():
            # In a single transaction, and before the write-ahead log: a file is a run's from its first bytes on.
            store._db.executescript(f"BEGIN; {SCHEMA}")
            meta = {
                "logitmus": __version__,
                "environment": environment or {},
                "created": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
                "settings": (settings or RunSettings()).as_dict(),
            }
            store._db.executemany(
                "INSERT INTO meta VALUES (?, ?)", [(name, msgspec.json.encode(value)) for name, value in meta.items()]
            )
            store._db.execute("COMMIT")
            store._to_write_ahead()
        return store

    @classmethod
    def open(cls, path: Path, *, write: bool = False, check: bool = True) -> Self:
        """An existing file, for reading only unless `write`; `check` reads all of it to find damage.

        Raises:
            StoreError: missing, not a run's file, of a newer format, damaged, or not readable.
        """
        check_header(path)
        store = cls(path, connect(path, write=write))
        with store._explained():
            if check:
                store._check()
            if write:
                store._to_write_ahead()
        return store

    def _check(self) -> None:
        """Find damage that SQLite can see: broken pages and indexes, and references to nothing."""
        seen = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if seen != "ok":
            raise damaged(self.path, seen)
        lost = self._db.execute("PRAGMA foreign_key_check").fetchone()
        if lost is not None:
            raise damaged(self.path, f"{lost[0]} that belong to none of the {lost[2]}")

    def reader(self) -> Self:
        """The same file for another thread, which shares the problems that are in memory."""
        reader = self.open(self.path, check=False)
        reader._problems = self._problems
        return reader

    def close(self) -> None:
        """Commit, and leave a plain file without companions."""
        if self._db.in_transaction:
            self.commit()
        if self._writes:
            with suppress(sqlite3.Error):  # another process reads it now: the next writer will do it
                self._db.execute("PRAGMA journal_mode = DELETE").fetchall()
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_problems(self, problems: Iterable[Problem]) -> None:
        """Append problems in this order, all or (where making them is cut short) none; known ones keep their place."""
        self.place_problems((None, problem) for problem in problems)

    def place_problems(self, problems: Iterable[tuple[int | None, Problem]]) -> None:
        """The same for problems with their positions in the file, from 1; None: after the last.

        A shard keeps the positions of the whole suite, so that all shards together have its order.
        """
        with self._explained():
            self._begin()
            try:
                for position, problem in problems:
                    added = self._db.execute(
                        "INSERT INTO problems VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                        (position, problem.id, encoding.encode(problem, self._put)),
                    )
                    if added.rowcount:
                        self._problems.keep(problem)
                    elif position is not None and not self._is_at(position, problem.id):
                        seen = f"another problem than {problem.id} has place {position} of the suite"
                        raise StoreError(self.path, seen, "Merge shards that the same version of Logitmus made")
            except BaseException:
                self._db.execute("ROLLBACK")
                self._problems, self._blobs = Kept(), set()
                raise
        self.commit()

    def _is_at(self, position: int, identity: str) -> bool:
        at = self._db.execute("SELECT position FROM problems WHERE id = ?", (identity,)).fetchone()
        return at == (position,)

    def add_backend(self, backend: BackendReady | BackendFailed) -> None:
        """Record that a backend could run (subjects, environment), or that it failed, at its start or later on.

        Subjects that the file has from an earlier start stay.
        """
        with self._explained():
            self._begin()
            match backend:
                case BackendReady():
                    self._db.executemany(
                        "INSERT INTO subjects(id, backend, value) VALUES (?, ?, ?) "
                        "ON CONFLICT(id) DO UPDATE SET value = excluded.value",
                        [(s.id, backend.backend, encoding.encode(s, self._put)) for s in backend.subjects],
                    )
                    self._db.execute(
                        "INSERT INTO backends(name, ready) VALUES (?, ?) "
                        "ON CONFLICT(name) DO UPDATE SET ready = excluded.ready, failed = NULL",
                        (backend.backend, msgspec.json.encode(backend.environment)),
                    )
                case BackendFailed():
                    self._db.execute(
                        "INSERT INTO backends(name, failed) VALUES (?, ?) "
                        "ON CONFLICT(name) DO UPDATE SET failed = excluded.failed",
                        (backend.backend, msgspec.json.encode([backend.reason, backend.hint])),
                    )
        self.commit()

    def add(self, observation: Observation, *, seconds: float = 0.0, first: bool = False) -> None:
        """Append an observation of a known problem and subject; the first stays, unless it was `NotRun`.

        Args:
            seconds: spent in the framework's call. first: these include compilation.
        """
        with self._explained():
            self._begin()
            name, value = encoding.encode_outcome(observation.outcome, self._put)
            self._db.execute(
                "INSERT INTO observations SELECT position, ?, ?, ?, ?, ? FROM problems WHERE id = ? "
                "ON CONFLICT DO UPDATE SET outcome = excluded.outcome, value = excluded.value, "
                "seconds = excluded.seconds, first = excluded.first WHERE outcome = ?",
                (self._number(observation.subject), name, value, seconds, first, observation.problem, _NOT_RUN),
            )
        self._commit_in_slices()

    def add_repeat(self, observation: Observation, repetition: Repetition) -> None:
        """Append what was observed when a call of the file was repeated; the first stays, unless it was `NotRun`."""
        with self._explained():
            self._begin()
            name, value = encoding.encode_outcome(observation.outcome, self._put)
            self._db.execute(
                "INSERT INTO repeats SELECT position, ?, ?, ?, ?, ? FROM problems WHERE id = ? "
                "ON CONFLICT DO UPDATE SET outcome = excluded.outcome, value = excluded.value WHERE outcome = ?",
                (self._number(observation.subject), *repetition, name, value, observation.problem, _NOT_RUN),
            )
        self._commit_in_slices()

    def add_flushing(self, worker: str, *, before: bool, after: bool, count: int = 1) -> None:
        """Count batches of `worker`, with whether subnormals were flushed to zero before and after each."""
        with self._explained():
            self._begin()
            self._db.execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                (worker, before, after, count),
            )

    def _commit_in_slices(self) -> None:
        self._pending += 1
        if self._pending >= _SLICE_OBSERVATIONS or time.monotonic() - self._committed >= _SLICE_SECONDS:
            self.commit()

    def commit(self) -> None:
        """What was recorded so far survives a kill from now on."""
        with self._explained():
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        self._pending = 0
        self._committed = time.monotonic()

    @property
    def environment(self) -> dict[str, Any]:
        """That of the harness which made the file."""
        return self._meta("environment", dict[str, Any])

    @property
    def created(self) -> str:
        """When the file was created ("2026-11-30 06:45 UTC"); "": it is that of an earlier version."""
        with self._explained():
            row = self._db.execute("SELECT value FROM meta WHERE name = 'created'").fetchone()
            return "" if row is None else encoding.decode(row[0], str, self._get)

    @property
    def settings(self) -> RunSettings:
        """The settings of the run; those that the file lacks have their defaults.

        Raises:
            StoreError: for values that no version writes.
        """
        return self._meta("settings", RunSettings)

    def backends(self) -> list[BackendReady | BackendFailed]:
        """The state of each backend, by name: ready, then failed."""
        with self._explained():
            rows = self._db.execute("SELECT name, ready, failed FROM backends ORDER BY name").fetchall()
            announced: list[BackendReady | BackendFailed] = []
            for name, ready, failed in rows:
                if ready is not None:
                    environment = encoding.decode(ready, dict[str, Any], self._get)
                    announced.append(BackendReady(name, self._subjects_of(name), environment, self._calls_of(name)))
                if failed is not None:
                    announced.append(BackendFailed(name, *encoding.decode(failed, tuple[str, str], self._get)))
            return announced

    def subjects(self) -> dict[str, Subject]:
        """All subjects by id, sorted."""
        return {
            s.id: s for announced in self.backends() if isinstance(announced, BackendReady) for s in announced.subjects
        }

    def original(self, subject: str) -> str:
        """The id under which the file has a subject; a view may show it under another (`storage.view`)."""
        return subject

    def problem_ids(self) -> list[str]:
        """In the order of the run."""
        with self._explained():
            return [row[0] for row in self._db.execute("SELECT id FROM problems ORDER BY position")]

    def families(self) -> dict[str, str]:
        """The family of each problem by its id, in the order of the run; decodes nothing else of the problems."""
        with self._explained():
            rows = self._db.execute("SELECT id, value FROM problems ORDER BY position")
            return {identity: encoding.decode(value, encoding.FamilyOnly, self._get).family for identity, value in rows}

    def problem(self, identity: str) -> Problem:
        """One problem.

        Raises:
            KeyError: if the file does not hold it.
        """
        kept = self._problems.get(identity)
        if kept is not None:
            return kept
        with self._explained():
            row = self._db.execute("SELECT value FROM problems WHERE id = ?", (identity,)).fetchone()
            if row is None:
                raise KeyError(identity)
            problem = encoding.decode(row[0], Problem, self._get)
            if problem.id != identity:
                raise encoding.RecordError(f"problem {identity} is not what its id says")
            return self._problems.keep(problem)

    def problems(self) -> Iterator[Problem]:
        """Yield in the order of the run."""
        return map(self.problem, self.problem_ids())

    def placed_problems(self) -> Iterator[tuple[int, Problem]]:
        """The problems with their positions, for `place_problems`."""
        with self._explained():
            placed = self._db.execute("SELECT position, id FROM problems ORDER BY position").fetchall()
        return ((position, self.problem(identity)) for position, identity in placed)

    def calls(self, problem: str) -> Iterator[tuple[Observation, float, bool]]:
        """The calls with this problem: the observation, its seconds, and whether these include compilation."""
        query = (
            "SELECT subjects.id, seconds, first FROM problems JOIN observations ON observations.problem = position "
            "JOIN subjects ON subject = number WHERE problems.id = ?"
        )
        with self._explained():
            rows = self._db.execute(query, (problem,)).fetchall()
        outcomes = self.outcomes(problem)
        return (
            (Observation(subject, problem, outcomes[subject]), taken, bool(first)) for subject, taken, first in rows
        )

    def raw_outcomes(self, problem: str) -> dict[str, tuple[str, bytes]]:
        """By subject id, sorted: (outcome's class, its JSON). Equal bytes are equal outcomes, bit for bit."""
        with self._explained():
            rows = self._db.execute(
                "SELECT subjects.id, outcome, observations.value FROM problems "
                "JOIN observations ON observations.problem = position JOIN subjects ON subject = number "
                "WHERE problems.id = ? ORDER BY subjects.id",
                (problem,),
            ).fetchall()
        return {subject: (outcome, value) for subject, outcome, value in rows}

    def outcomes(self, problem: str) -> dict[str, Outcome]:
        """By subject id, sorted: what it did with this problem."""
        known: dict[tuple[str, bytes], Outcome] = {}  # many subjects return the same bits: decoded once
        found = {}
        for subject, raw in self.raw_outcomes(problem).items():
            if raw not in known:
                known[raw] = self.outcome(*raw)
            found[subject] = known[raw]
        return found

    def outcome(self, name: str, value: bytes) -> Outcome:
        """One of `raw_outcomes`, decoded."""
        with self._explained():
            return encoding.decode_outcome(name, value, self._get)

    def answered(self, problem: str) -> frozenset[str]:
        """The ids of the subjects that have answered this problem already: all but those that were not run."""
        return frozenset(subject for subject, (outcome, _) in self.raw_outcomes(problem).items() if outcome != _NOT_RUN)

    def call_seconds(self) -> dict[str, tuple[float, float]]:
        """By subject id, sorted: seconds in first calls (compilation included), seconds in later calls."""
        sums = "SELECT id, total(seconds * first), total(seconds * (1 - first))"
        query = f"{sums} FROM observations JOIN subjects ON subject = number GROUP BY id ORDER BY id"
        with self._explained():
            return {subject: (first, later) for subject, first, later in self._db.execute(query)}

    def later_seconds(self) -> dict[str, dict[str, float]]:
        """By subject id, sorted, and problem id: the seconds of calls that include no compilation."""
        query = (
            "SELECT subjects.id, problems.id, seconds FROM observations JOIN subjects ON subject = number "
            "JOIN problems ON position = problem WHERE NOT first AND outcome = 'Answered' ORDER BY 1, position"
        )
        times: dict[str, dict[str, float]] = {}
        with self._explained():
            for subject, problem, seconds in self._db.execute(query):
                times.setdefault(subject, {})[problem] = seconds
        return times

    @property
    def repeats(self) -> Repeats:
        """The repeated calls."""
        return Repeats(self._rows, self.outcome)

    def _rows(self, query: str, given: tuple[object, ...] = ()) -> list[Any]:
        with self._explained():
            return self._db.execute(query, given).fetchall()

    def flushing(self) -> list[tuple[str, bool, bool, int]]:
        """(worker, before, after, batches), sorted: whether subnormals were flushed to zero around each batch."""
        with self._explained():
            rows = self._db.execute("SELECT * FROM batches ORDER BY 1, 2, 3").fetchall()
        return [(worker, bool(before), bool(after), count) for worker, before, after, count in rows]

    def __len__(self) -> int:
        """The number of observations, without those that were not run."""
        with self._explained():
            counted = self._db.execute("SELECT count(*) FROM observations WHERE outcome <> ?", (_NOT_RUN,))
            return int(counted.fetchone()[0])

    def _subjects_of(self, backend: str) -> tuple[Subject, ...]:
        with self._explained():
            query = "SELECT id, value FROM subjects WHERE backend = ? ORDER BY id"
            stored = self._db.execute(query, (backend,)).fetchall()
            subjects = tuple(encoding.decode(value, Subject, self._get) for _, value in stored)
            for (identity, _), subject in zip(stored, subjects, strict=True):
                if subject.id != identity:
                    raise encoding.RecordError(f"subject {identity} has the parts of {subject.id}")
            try:
                check_subjects(subjects)
                for subject in subjects:
                    if subject.model:
                        encoding.check_model(subject.model)
            except DeclarationError as error:
                raise encoding.RecordError(str(error)) from error
            return subjects

    def _calls_of(self, backend: str) -> int:
        query = "SELECT count(*) FROM observations JOIN subjects ON subject = number WHERE backend = ?"
        with self._explained():
            return int(self._db.execute(query, (backend,)).fetchone()[0])

    def _to_write_ahead(self) -> None:
        self._writes = True
        self._db.execute("PRAGMA journal_mode = WAL").fetchall()
        self._db.execute("PRAGMA synchronous = NORMAL")

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def _put(self, bits: bytes) -> str:
        name = encoding.content_hash(bits)
        if name in self._blobs:
            return name
        if self._db.execute("SELECT 1 FROM blobs WHERE hash = ?", (name,)).fetchone() is None:
            self._db.execute("INSERT INTO blobs VALUES (?, ?, ?)", (name, *encoding.pack(bits)))
        if len(self._blobs) < _KNOWN_BLOBS:
            self._blobs.add(name)
        return name

    def _get(self, name: str) -> bytes:
        row = self._db.execute("SELECT codec, data FROM blobs WHERE hash = ?", (name,)).fetchone()
        bits = b"" if row is None else encoding.unpack(*row)
        if row is None or encoding.content_hash(bits) != name:
            raise encoding.RecordError(f"array {name} is {'missing' if row is None else 'not what its name says'}")
        return bits

    def _number(self, identity: str) -> int:
        if identity not in self._subject_numbers:
            rows = self._db.execute("SELECT id, number FROM subjects")
            self._subject_numbers = dict(rows.fetchall())
        return self._subject_numbers[identity]

    def _meta(self, name: str, kind: type[T]) -> T:
        with self._explained():
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise damaged(self.path, f"no {name}")
            return encoding.decode(row[0], kind, self._get)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (encoding.RecordError, UnicodeDecodeError) as error:  # the latter: SQLite quotes a damaged schema
            raise damaged(self.path, str(error)) from error
        except sqlite3.OperationalError as error:
            raise StoreError(
                self.path, str(error), "Close other runs that use it, and see to space and rights"
            ) from error
        except sqlite3.DatabaseError as error:
            raise damaged(self.path, str(error)) from error
