"""The HTML page of an audit, or of a comparison of runs: a self-contained file without a script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from logitmus import __version__
from logitmus.auditing.headline import environment, headline, of_audit
from logitmus.auditing.timeline import Point, Timeline, timeline
from logitmus.auditing.transitions import Audit, Change, Transition
from logitmus.reports.html.pages import templates
from logitmus.reports.terminal.audit import extent, labelled
from logitmus.results import wording

_BETTER = {Change.FIXED, Change.MORE_ACCURATE, Change.FASTER, Change.NEW, Change.NO_WARNING}
_WIDTH, _HEIGHT = 22, 34  # of a bar and of the plot, in pixels
_LETTERS = ("", "A", "B+", "B", "C", "F")


def render(audit: Audit) -> str:
    """The page as text; everything from data is escaped by the template engine."""
    steps = [
        {
            "number": number,
            "title": step.title,
            "headline": headline(step).removeprefix(f"{step.title}: "),
            "transitions": [_view(transition) for transition in step.transitions],
            "extent": extent(step),
            "packages": environment(step),
        }
        for number, step in enumerate(audit.steps, 1)
    ]
    page = templates().get_template("audit.html")
    several = len(audit.steps) > 1
    over = timeline(audit) if audit.is_history else None
    text = page.render(
        title=of_audit(audit),
        audit=audit,
        wording=wording,
        steps=steps,
        several=several,
        timeline=over,
        plots=list(_plots(over)) if over else [],
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=__version__,
        width=_WIDTH * len(audit.columns),
        height=_HEIGHT,
    )
    return wording.printable(text)


def _view(transition: Transition) -> dict[str, Any]:
    tone = "bug" if transition.worse else "pass" if transition.change in _BETTER else "difference"
    return {
        "change": transition.change.value,
        "tone": "note" if transition.accepted or transition.change is Change.BITS else tone,
        "what": transition.what,
        "facts": labelled(transition),
    }


def _plots(of: Timeline) -> Iterator[dict[str, Any]]:
    """A small plot for functions that fare the same: how bad the grade is, from A to F, by version."""
    for row in of.rows:
        bars = [_bar(place, point, of.columns[place]) for place, point in enumerate(row.points)]
        yield {"functions": wording.names(row.subjects), "periods": of.periods(row), "bars": bars}


def _bar(place: int, point: Point, column: str) -> dict[str, Any]:
    grade = point.state.grade if point.state else ""
    rank = _LETTERS.index(grade) if grade in _LETTERS else 0
    height = 4 + (_HEIGHT - 4) * rank // (len(_LETTERS) - 1)
    share = f", {wording.budgets(point.state.share)} at worst" if point.state and point.state.calls else ""
    return {
        "x": place * _WIDTH,
        "y": _HEIGHT - height,
        "height": height,
        "tone": "bug" if point.wrong else "pass",
        "words": f"{column}: {point.words}{share}",
    }
