"""Exploration in words: how many problems beyond the suite, new findings and the largest errors, for every report."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from logitmus.core.events import Explored, Reached
from logitmus.core.finding import Finding
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.subject import SubjectId
from logitmus.results import wording


@dataclass(frozen=True)
class Furthest:
    """The largest error of a backend in a dtype, findings excluded.

    Attributes:
        subject: the function with that error. suite, share: the largest error in the suite, and while exploring, in
            units of the error budget.
        farther: whether the exploration found a larger error than the suite.
    """

    backend: str
    dtype: str
    subject: str
    suite: str
    share: str
    farther: bool


def of(explored: Explored | None, subjects: Collection[str]) -> Explored | None:
    """The exploration of these subjects (ids)."""
    if explored is None:
        return None
    reached = tuple(item for item in explored.reached if item.subject in subjects)
    new = tuple(finding for finding in explored.new if finding.subject in subjects)
    return Explored(explored.problems, sum(item.calls for item in reached), reached, new)


def headline(explored: Explored) -> str:
    """How many problems and calls, and how many new findings."""
    size = f"{wording.plural(explored.problems, 'problem')} beyond the suite, {wording.plural(explored.calls, 'call')}"
    return f"{size}: {wording.plural(len(_kinds(explored)), 'new finding') if explored.new else 'no new finding'}"


def news(explored: Explored) -> list[tuple[str, str, str]]:
    """The new findings: severity, summary, subjects."""
    return [
        (finding.severity.value, finding.summary, wording.names(subjects))
        for finding, subjects in _kinds(explored).values()
    ]


def table(explored: Explored) -> list[Furthest]:
    """The largest error for each backend and dtype; findings are listed by themselves."""
    by_place: dict[tuple[str, str], list[Reached]] = {}
    for reached in explored.reached:
        by_place.setdefault((SubjectId.parse(reached.subject).backend, reached.dtype), []).append(reached)
    order = sorted(by_place, key=lambda place: (place[0], list(FLOAT_DTYPES).index(place[1])))
    return [_furthest(*place, by_place[place]) for place in order]


def lines(explored: Explored | None) -> list[str]:
    """The exploration as lines of text; none if there was none."""
    if explored is None or not explored.problems:
        return []
    lines = [headline(explored)]
    lines += [f"new: {severity}: {words} ({subjects})" for severity, words, subjects in news(explored)]
    lines += [
        f"{row.backend}, {row.dtype}: up to {row.share}x the error budget ({row.suite}x in the suite)"
        for row in table(explored)
    ]
    return lines


def as_dict(explored: Explored | None) -> dict[str, Any] | None:
    """The exploration as plain values, for JSON; None if there was none."""
    if explored is None:
        return None
    return {
        "problems": explored.problems,
        "calls": explored.calls,
        "reached": [
            {
                "subject": r.subject,
                "dtype": r.dtype,
                "calls": r.calls,
                "suite": _number(r.suite),
                "share": _number(r.share),
            }
            for r in sorted(explored.reached, key=lambda reached: (reached.subject, reached.dtype))
        ],
        "new": [
            {
                "id": f.id,
                "kind": f.kind.value,
                "severity": f.severity.value,
                "cause": f.cause,
                "subject": f.subject,
                "dtype": f.dtype,
                "problem": f.problem,
            }
            for f in sorted(explored.new, key=lambda finding: (*finding.key, finding.id))
        ],
    }


def _kinds(explored: Explored) -> dict[tuple[str, ...], tuple[Finding, list[str]]]:
    """The new findings of each backend, worst first, the same finding once with all its subjects."""
    found: dict[tuple[str, ...], tuple[Finding, list[str]]] = {}
    for finding in sorted(explored.new, key=lambda finding: (finding.severity.rank, finding.cause, finding.subject)):
        subject, *rest = finding.key
        _, subjects = found.setdefault((SubjectId.parse(subject).backend, *rest), (finding, []))
        subjects.append(subject)
    return found


def _furthest(backend: str, dtype: str, reached: list[Reached]) -> Furthest:
    most = max(reached, key=lambda item: (item.share, item.subject))
    suite = max(item.suite for item in reached)
    called = wording.functions([most.subject])
    return Furthest(backend, dtype, called, wording.amount(suite), wording.amount(most.share), most.share > suite)


def _number(value: float) -> float | str:
    """JSON has no infinity."""
    return value if value < float("inf") else "infinite"
