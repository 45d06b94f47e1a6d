"""GitHub annotations: a workflow command for each group of findings that counts.

A command is a line of standard output, `::error title=...::...`. GitHub shows ten annotations of each level for a step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from logitmus.core.finding import Severity
from logitmus.results import wording
from logitmus.results.finding_view import FindingView
from logitmus.results.groups import Group
from logitmus.results.source_location import SourceLocation

_MOST: Final = 10
_LEVELS: Final = {
    Severity.BUG: "error",
    Severity.HAZARD: "warning",
    Severity.DIFFERENCE: "notice",
    Severity.NOTE: "notice",
}


def lines(groups: Iterable[Group], locate: Callable[[Group], SourceLocation]) -> Iterator[str]:
    """The commands; the last line counts the findings beyond the ten of a level.

    Args:
        groups: in this order, the worst first (`Summary.groups`).
        locate: the location of a group of findings (`logitmus.results.source_location`).
    """
    shown: Counter[str] = Counter()
    left = 0
    for group in groups:
        level = _LEVELS[group.finding.severity]
        if not group.counts:
            continue
        if shown[level] == _MOST:
            left += 1
            continue
        shown[level] += 1
        yield _command(level, group, locate(group))
    if left:
        yield f"{wording.plural(left, 'finding')} not annotated: GitHub shows {_MOST} annotations of a level"


def _command(level: str, group: Group, location: SourceLocation) -> str:
    view = FindingView.of(group)
    properties = {"title": f"Logitmus {group.label}: {group.finding.summary}"}
    if location.line is not None:
        properties |= {"file": location.path, "line": str(location.line)}
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {listed}::{_data(view.message)}"


def _data(text: str) -> str:
    """Text as the message of a command."""
    return wording.printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Text as a property of a command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
