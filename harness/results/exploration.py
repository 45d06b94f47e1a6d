"""What exploring came to, in words: the same at a terminal, in the HTML report, in Markdown and after a check."""

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
    """Of one backend and dtype: the greatest share of a budget that an answer used.

    Attributes:
        subject: whose answer that was. suite, share: in the fixed suite, and while exploring, in words.
        farther: whether exploring came beyond the suite.
    """

    backend: str
    dtype: str
    subject: str
    suite: str
    share: str
    farther: bool


def of(explored: Explored | None, subjects: Collection[str]) -> Explored | None:
    """What it came to for these subjects (ids)."""
    if explored is None:
        return None
    reached = tuple(one for one in explored.reached if one.subject in subjects)
    new = tuple(finding for finding in explored.new if finding.subject in subjects)
    return Explored(explored.problems, sum(one.calls for one in reached), reached, new)


def headline(explored: Explored) -> str:
    """How much was asked, and what was new."""
    asked = f"{wording.plural(explored.problems, 'problem')} beyond the suite, {wording.plural(explored.calls, 'call')}"
    return f"{asked}: {wording.plural(len(_kinds(explored)), 'new finding') if explored.new else 'nothing new'}"


def news(explored: Explored) -> list[tuple[str, str, str]]:
    """What was new: severity, in words, and whose it is."""
    return [
        (finding.severity.value, finding.summary, wording.names(subjects))
        for finding, subjects in _kinds(explored).values()
    ]


def table(explored: Explored) -> list[Furthest]:
    """For each backend and dtype how far exploring came; findings apart, which tell of themselves."""
    by_place: dict[tuple[str, str], list[Reached]] = {}
    for one in explored.reached:
        by_place.setdefault((SubjectId.parse(one.subject).backend, one.dtype), []).append(one)
    order = sorted(by_place, key=lambda place: (place[0], list(FLOAT_DTYPES).index(place[1])))
    return [_furthest(*place, by_place[place]) for place in order]


def lines(explored: Explored | None) -> list[str]:
    """All of it, for who prints text; nothing where nothing was explored."""
    if explored is None or not explored.problems:
        return []
    told = [headline(explored)]
    told += [f"new: {severity}: {words} ({who})" for severity, words, who in news(explored)]
    told += [
        f"{one.backend}, {one.dtype}: up to {one.share} of the budget ({one.suite} in the suite)"
        for one in table(explored)
    ]
    return told


def as_dict(explored: Explored | None) -> dict[str, Any] | None:
    """For machines; None: nothing was explored."""
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
            for r in explored.reached
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
            for f in explored.new
        ],
    }


def _kinds(explored: Explored) -> dict[tuple[str, ...], tuple[Finding, list[str]]]:
    """The new findings of each backend, worst first, those that say the same as one, with the subjects."""
    found: dict[tuple[str, ...], tuple[Finding, list[str]]] = {}
    for finding in sorted(explored.new, key=lambda one: (one.severity.rank, one.cause, one.subject)):
        subject, *rest = finding.key
        _, subjects = found.setdefault((SubjectId.parse(subject).backend, *rest), (finding, []))
        subjects.append(subject)
    return found


def _furthest(backend: str, dtype: str, reached: list[Reached]) -> Furthest:
    most = max(reached, key=lambda one: (one.share, one.subject))
    suite = max(one.suite for one in reached)
    called = wording.names([most.subject]).partition(": ")[2]
    return Furthest(backend, dtype, called, wording.amount(suite), wording.amount(most.share), most.share > suite)


def _number(value: float) -> float | str:
    """JSON has no infinity."""
    return value if value < float("inf") else "infinite"
