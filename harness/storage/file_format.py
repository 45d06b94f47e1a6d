"""The file of a run as a file: how it is recognised and opened, and what is kept of it in memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from logitmus import __version__
from logitmus.core.errors import LogitmusError
from logitmus.core.problem import Problem

SUFFIX: Final = ".logitmus"
FORMAT: Final = 1
APPLICATION_ID: Final = int.from_bytes(b"LGTM", "big")
SCHEMA: Final = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE backends (name TEXT PRIMARY KEY, ready BLOB, failed BLOB) WITHOUT ROWID;
CREATE TABLE subjects (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, backend TEXT NOT NULL, value BLOB NOT NULL);
CREATE TABLE problems (position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, value BLOB NOT NULL);
CREATE TABLE blobs (hash TEXT UNIQUE NOT NULL, codec INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE observations (
    problem INTEGER NOT NULL REFERENCES problems, subject INTEGER NOT NULL REFERENCES subjects,
    outcome TEXT NOT NULL, value BLOB NOT NULL, seconds REAL NOT NULL, first INTEGER NOT NULL,
    PRIMARY KEY (problem, subject)) WITHOUT ROWID;
CREATE TABLE repeats (
    problem INTEGER NOT NULL REFERENCES problems, subject INTEGER NOT NULL REFERENCES subjects,
    number INTEGER NOT NULL, new_process INTEGER NOT NULL, outcome TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (problem, subject, number, new_process)) WITHOUT ROWID;
CREATE TABLE batches (
    worker TEXT NOT NULL, flushes_before INTEGER NOT NULL, flushes_after INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (worker, flushes_before, flushes_after)) WITHOUT ROWID;
"""
_HINT: Final = f"Name a file that `logitmus run` wrote ({SUFFIX})"
_MAGIC: Final = b"SQLite format 3\0"
_KEPT_BYTES: Final = 1 << 25


class StoreError(LogitmusError):
    """A run file that cannot be used: which file, what is wrong with it, and what to do."""

    def __init__(self, path: Path | str, seen: str, hint: str) -> None:
        super().__init__(f"{path}: {seen}", hint)


class Kept:
    """The first problems that fit into memory: a run reads all of them in turn, so that newer ones are no likelier.

    Shared by the threads that read a file; nothing is ever taken out.
    """

    def __init__(self) -> None:
        self._problems: dict[str, Problem] = {}
        self._bytes = 0

    def get(self, identity: str) -> Problem | None:
        return self._problems.get(identity)

    def keep(self, problem: Problem) -> Problem:
        self._bytes += 1000 + problem.logits.nbytes + problem.targets.nbytes
        if self._bytes < _KEPT_BYTES:
            self._problems[problem.id] = problem
        return problem


def connect(path: Path, *, write: bool = True) -> sqlite3.Connection:
    mode = "rw" if write else "ro"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    # A reader may be opened in a thread and closed in another, but is never used by two at once.
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=write)


def check_header(path: Path) -> None:
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise StoreError(path, f"cannot be read ({error.strerror})", _HINT) from error
    if not header:
        raise StoreError(path, "empty: no run is in it", _HINT)
    if not header.startswith(_MAGIC[: len(header)]):
        raise StoreError(path, "not the file of a run", _HINT)
    if len(header) < 100:
        raise damaged(path, f"only {len(header)} bytes long")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StoreError(path, "a SQLite file of another program", _HINT)
    version = int.from_bytes(header[60:64], "big")
    if version != FORMAT:
        hint = f"Use a newer logitmus (this is {__version__})" if version > FORMAT else "Run it again"
        raise StoreError(path, f"format {version}; this logitmus reads format {FORMAT}", hint)


def damaged(path: Path, seen: str) -> StoreError:
    return StoreError(path, f"damaged: {seen}", "Restore a copy, or run it again under another name")
