"""How each function fared over three or more versions: grade, worst share of the error budget, wrong results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from logitmus.auditing.transitions import Audit, SubjectState


@dataclass(frozen=True)
class Point:
    """A function in one version; `state` is None where it was not called."""

    state: SubjectState | None

    @property
    def wrong(self) -> int:
        """The number of wrong results."""
        return self.state.wrong if self.state else 0

    @property
    def words(self) -> str:
        """The grade and the number of wrong results; "-" where it was not called."""
        if self.state is None or not self.state.calls:
            return "-"
        return (self.state.grade or "ok") + (f", {self.state.wrong} wrong" if self.state.wrong else "")


@dataclass(frozen=True)
class Row:
    """Functions (the ids of their subjects) that fared the same over the versions."""

    subjects: tuple[str, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Timeline:
    """The functions that do not stay the same, and the number of those that do.

    Attributes:
        columns: the versions, without what all of their names begin with.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    unchanged: int

    def periods(self, row: Row) -> str:
        """How functions fared, in words: "0.2.3 to 0.2.5: A; from 0.2.6: C, 26 wrong"."""
        words = []
        places = groupby(range(len(row.points)), key=lambda place: row.points[place].words)
        each = " each" if len(row.subjects) > 1 else ""
        periods = [(state + (each if "wrong" in state else ""), list(of)) for state, of in places]
        for state, of in periods:
            first, last = self.columns[of[0]], self.columns[of[-1]]
            if of[-1] == len(row.points) - 1:
                words.append(f"from {first}: {state}" if of[0] else f"{first} to {last}: {state}")
            else:
                words.append(f"{first}: {state}" if first == last else f"{first} to {last}: {state}")
        return "; ".join(words)


def timeline(audit: Audit) -> Timeline:
    """The states of all functions over the versions of an audit whose steps follow on each other."""
    names = sorted({name for step in audit.steps for name in step.states})
    rows: dict[tuple[object, ...], tuple[list[str], tuple[Point, ...]]] = {}
    unchanged = 0
    for name in names:
        points = tuple(Point(_state(audit, name, place)) for place in range(len(audit.columns)))
        history = tuple((point.words, point.state.causes if point.state else ()) for point in points)
        if len(set(history)) == 1:
            unchanged += 1
        else:
            rows.setdefault(history, ([], points))[0].append(name)
    return Timeline(
        columns=short_names(audit.columns),
        rows=tuple(Row(tuple(subjects), points) for subjects, points in rows.values()),
        unchanged=unchanged,
    )


def _state(audit: Audit, name: str, place: int) -> SubjectState | None:
    """What the run at a place shows, from the step to it, or from it where that step does not compare the function."""
    to, onwards = audit.steps[place - 1 : place] if place else (), audit.steps[place : place + 1]
    known = [step.states[name][1] for step in to if name in step.states]
    known += [step.states[name][0] for step in onwards if name in step.states]
    return known[0] if known else None


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of environments without the requirements that all of them have, and without a common package.

    Examples:
        >>> short_names(["jax==0.6.0 optax==0.2.3", "jax==0.7.2 optax==0.2.3"])
        ('0.6.0', '0.7.2')
    """
    words = [name.split() for name in names]
    common = set.intersection(*map(set, words)) if words else set()
    left = [" ".join(word for word in of if word not in common) or name for of, name in zip(words, names, strict=True)]
    packages = {name.partition("==")[0] for name in left}
    if len(packages) > 1 or any("==" not in name or " " in name for name in left):
        return tuple(left)
    return tuple(name.partition("==")[2] for name in left)
