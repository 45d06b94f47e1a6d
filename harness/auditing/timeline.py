"""How each function fared over three or more versions: grade, worst share of the error budget, wrong results."""

from __future__ import annotations

from dataclasses import dataclass

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
        """The grade, and in brackets the number of wrong results; "-" where it was not called."""
        if self.state is None or not self.state.calls:
            return "-"
        return (self.state.grade or "ok") + (f" ({self.state.wrong})" if self.state.wrong else "")


@dataclass(frozen=True)
class Row:
    """A function (the id of its subject) over the versions."""

    name: str
    cells: tuple[Point, ...]


@dataclass(frozen=True)
class Timeline:
    """The functions that do not stay the same, and the number of those that do."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    unchanged: int


def timeline(audit: Audit) -> Timeline:
    """The states of all functions over the versions of an audit whose steps follow on each other."""
    names = sorted({name for step in audit.steps for name in step.states})
    rows = []
    for name in names:
        states = [audit.steps[0].states.get(name, (None, None))[0] if audit.steps else None]
        states += [step.states.get(name, (None, None))[1] for step in audit.steps]
        rows.append(Row(name, tuple(map(Point, states))))
    moving = tuple(row for row in rows if len({(cell.words, _causes(cell)) for cell in row.cells}) > 1)
    return Timeline(audit.columns, moving, len(rows) - len(moving))


def _causes(point: Point) -> tuple[str, ...]:
    return point.state.causes if point.state else ()
