"""The calls of a run that were made again (`logitmus run --repeat`), as its file holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from logitmus.core.observation import NotRun, Outcome

_NOT_RUN: Final = NotRun.__name__


class Repetition(NamedTuple):
    """Which repetition of all calls: its number, from 1; whether in new processes, or in those of the first calls."""

    number: int
    new_process: bool


class Repeats:
    """Reads the repeated calls; files of earlier versions have none.

    Args:
        rows: runs a query on the file. outcome: decodes the outcome of a row.
    """

    def __init__(
        self, rows: Callable[[str, tuple[object, ...]], list[Any]], outcome: Callable[[str, bytes], Outcome]
    ) -> None:
        self._query = rows
        self._outcome = outcome

    def of(self, problem: str) -> Iterator[tuple[str, Repetition, Outcome]]:
        """Those with a problem that were made: subject id, which repetition, and its outcome."""
        query = (
            "SELECT subjects.id, repeats.number, new_process, outcome, repeats.value FROM problems "
            "JOIN repeats ON repeats.problem = position JOIN subjects ON subject = subjects.number "
            "WHERE problems.id = ? AND outcome <> ? ORDER BY 1, 2, 3"
        )
        for subject, number, new_process, outcome, value in self._rows(query, problem, _NOT_RUN):
            yield subject, Repetition(number, bool(new_process)), self._outcome(outcome, value)

    def already(self, repetition: Repetition) -> dict[tuple[str, str], bool]:
        """By (problem id, subject id) of the calls of a repetition: whether it was made, and not given up."""
        query = (
            "SELECT problems.id, subjects.id, outcome <> ? FROM repeats JOIN problems ON position = repeats.problem "
            "JOIN subjects ON subject = subjects.number WHERE (repeats.number, new_process) = (?, ?)"
        )
        return {(problem, subject): bool(made) for problem, subject, made in self._rows(query, _NOT_RUN, *repetition)}

    def counts(self) -> dict[tuple[str, bool], int]:
        """How many calls of each subject (id) were repeated in the same, in new processes (`new_process`)."""
        query = (
            "SELECT id, new_process, count(*) FROM repeats JOIN subjects ON subject = subjects.number "
            "WHERE outcome <> ? GROUP BY 1, 2"
        )
        return {(subject, bool(new_process)): count for subject, new_process, count in self._rows(query, _NOT_RUN)}

    def changed(self) -> list[tuple[str, bool, str]]:
        """(subject id, new_process, problem id) of each call whose record differs from that of the first."""
        query = (
            "SELECT DISTINCT subjects.id, new_process, problems.id FROM repeats "
            "JOIN observations AS first ON first.problem = repeats.problem AND first.subject = repeats.subject "
            "JOIN problems ON position = repeats.problem JOIN subjects ON repeats.subject = subjects.number "
            "WHERE (repeats.outcome, repeats.value) <> (first.outcome, first.value) AND repeats.outcome <> ? "
            "ORDER BY 1, 2, position"
        )
        return self._rows(query, _NOT_RUN)

    def _rows(self, query: str, *given: object) -> list[Any]:
        known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'repeats'"
        return self._query(query, given) if self._query(known, ()) else []
