"""Summary of a run on a terminal: the verdict, the findings worst first, the matrix, the totals."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from logitmus.core.finding import Finding, Severity, Verdict
from logitmus.core.subject import SubjectId
from logitmus.results import detection_power, exploration, metamorphic, repetition, wording
from logitmus.results.finding_view import FindingView
from logitmus.results.groups import Group
from logitmus.results.summary import Cell, Summary

_COLOURS = {
    "bug": "bold red",
    "hazard": "bold magenta",
    "difference": "yellow",
    "note": "dim",
    "absorbed": "cyan",
    "pass": "green",
    "open": "",
    "none": "dim",
}
_MARKS = {"bug": "!!", "hazard": "!", "difference": "~", "absorbed": "*"}
_LEGEND = (
    "A B+ B C F: the worst grade.  !! bug  ! hazard  ~ difference  * absorbed (0 for a tiny loss)\n"
    "ok: correct, nothing to grade.  ?: too coarse to judge, or undecided.  .: not run"
)
_CELL = 5  # "B+!!" and a gap
_MOST = {Severity.BUG: 40, Severity.HAZARD: 40, Severity.DIFFERENCE: 40, Severity.NOTE: 8}
_REASONS = 3
_BRIEF = ("affects", "found_in", "impact", "cause", "accepted", "known_since", "new_since")  # the fields of a note


def render(summary: Summary, console: Console, run: str = "RUN") -> None:
    """Print the verdict, the findings worst first, the matrix and the totals; `run` is the name of the run's file.

    On a terminal the end is what stays in view, and the first lines are what a log shows: both hold the verdict.
    """
    _failed(summary, console)
    if summary.calls:
        console.print(Text(summary.headline(), style="bold"))
        _findings(summary, console, run)
        _characteristics(summary, console)
        _relations(summary, console)
        _explored(summary, console)
        _matrix(summary, console)
        console.print()
        _against(summary, console)
    _totals(summary, console)


def text(words: str, style: str = "") -> Text:
    """Text from workers and files, without markup and without control characters."""
    return Text(wording.printable(words), style=style)


def _failed(summary: Summary, console: Console) -> None:
    for _, backend in sorted(summary.backends.items()):
        if backend.failed:
            console.print(text(f"{backend.name} could not run: {backend.failed}", _COLOURS["bug"]))
            if backend.hint:
                console.print(text(f"  {backend.hint}"))


def _against(summary: Summary, console: Console) -> None:
    """Print what is new since the earlier run."""
    if summary.against is not None:
        groups = summary.groups()
        console.print(text(summary.against.headline(groups), "bold"))
        for line in summary.against.lines(groups):
            console.print(Padding(text(line), (0, 0, 0, 2)))
        console.print()


def _matrix(summary: Summary, console: Console) -> None:
    """A table a backend, families by subjects; subjects are numbered, and those with equal cells share a column."""
    number = 0
    for _, subjects in groupby(summary.requested_subjects(), key=lambda subject: SubjectId.parse(subject).backend):
        tested = list(subjects)
        families = [f for f in summary.family_names() if any(summary.cell(s, f).requested for s in tested)]
        alike: dict[tuple[str, ...], list[str]] = {}
        for subject in tested:
            alike.setdefault(tuple(_shown(summary.cell(subject, f)) for f in families), []).append(subject)
        columns = list(alike.values())
        width = max(map(len, families))
        fitting = max(3, (console.width - width - 2) // _CELL)
        for start in range(0, len(columns), fitting):
            _table(summary, families, columns[start : start + fitting], number, console)
            number += len(columns[start : start + fitting])
    console.print()
    console.print(Text(_LEGEND, style="dim"))


def _table(summary: Summary, families: list[str], columns: list[list[str]], after: int, console: Console) -> None:
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for n, subjects in enumerate(columns, after + 1):
        console.print(_numbered(n, subjects))
        table.add_column(str(n), no_wrap=True, width=_CELL - 1)
    for family in families:
        table.add_row(text(family), *(_cell(summary.cell(subjects[0], family)) for subjects in columns))
    console.print(table)


def _numbered(number: int, subjects: list[str]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", width=4)
    grid.add_column(overflow="fold")
    grid.add_row(str(number), text(wording.names(subjects)))
    return grid


def _shown(cell: Cell) -> str:
    return cell.letter + _MARKS.get(cell.tone, "")


def _cell(cell: Cell) -> Text:
    return Text(_shown(cell), style=_COLOURS[cell.tone])


def _findings(summary: Summary, console: Console, run: str) -> None:
    console.print()
    worst: Finding | None = None
    decisions = [group for group in summary.groups() if not group.is_declared]
    for label, found in groupby(decisions, key=lambda group: group.label):
        groups = list(found)
        worst = worst or groups[0].finding
        shown = groups[: _MOST[groups[0].finding.severity]]
        for _, alike in groupby(shown, key=lambda group: (group.finding.kind, group.finding.cause)):
            _entry(list(alike), console)
        left = len(groups) - len(shown)
        if left:
            more = f"and {wording.plural(left, label)} more: logitmus report {run} --html FILE lists all\n"
            console.print(text(more))
    if worst is not None:
        console.print(text(f"reproduce a finding: {wording.repro(worst, run)}\n", "dim"), soft_wrap=True)


def _entry(groups: list[Group], console: Console) -> None:
    """Print a finding that several frameworks may have: the first in full, the others by name and result."""
    view, *others = map(FindingView.of, groups)
    finding = groups[0].finding
    head = Text()
    head.append(f"{groups[0].label.upper()} ", style=_COLOURS[finding.severity.value])
    head.append(f"{finding.kind.value}  ", style="dim")
    head.append_text(text(finding.summary, "bold"))
    head.append(f"  {finding.id}", style="dim")
    console.print(head)
    is_note = finding.severity is Severity.NOTE
    fields = view.fields(*_BRIEF) if is_note else view.fields()
    console.print(Padding(field_table([*fields, *view.also(others)]), (0, 0, 1, 2)))


def _characteristics(summary: Summary, console: Console) -> None:
    """What functions declare and keep: a line for each choice, and one for the functions of each framework."""
    groups = [group for group in summary.groups() if group.is_declared]
    if groups:
        console.print(Text("Characteristics: declared and kept, nothing to decide", style="bold"))
    for _, alike in groupby(groups, key=lambda group: (group.finding.kind, group.finding.cause)):
        of_choice = list(alike)
        head = text(f"{of_choice[0].finding.summary}")
        head.append(f"  {of_choice[0].finding.id}", style="dim")
        console.print(Padding(head, (0, 0, 0, 2)))
        for group in of_choice:
            console.print(Padding(text(wording.names(group.subjects), "dim"), (0, 0, 0, 4)))
    if groups:
        console.print()


def field_table(fields: Iterable[tuple[str, str]]) -> Table:
    """Labels and texts, side by side."""
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, words in fields:
        table.add_row(label, text(words))
    return table


def _relations(summary: Summary, console: Console) -> None:
    """Print each relation; they need no reference, and a violation has its finding above."""
    views = metamorphic.table(summary.related)
    if views:
        console.print(Text("Relations between results (no reference needed)", style="bold"))
    for view in views:
        console.print(Padding(text(view.says), (0, 0, 0, 2)))
        grid = Table.grid(padding=(0, 1))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for head, words in view.entries:
            grid.add_row(head, text(words))
        console.print(Padding(grid, (0, 0, 0, 4)))
    if views:
        console.print()


def _explored(summary: Summary, console: Console) -> None:
    """Print the exploration: its size, new findings, largest errors."""
    lines = exploration.lines(summary.explored)
    for line in lines[:1]:
        console.print(text(f"Exploration: {line}", "bold"))
    for line in lines[1:]:
        console.print(Padding(text(line), (0, 0, 0, 2)))
    if lines:
        console.print()


def _totals(summary: Summary, console: Console) -> None:
    console.print(Text(summary.headline(), style="bold"))
    verdicts = [
        f"{summary.verdicts[Verdict.PASS]:,} passed",
        f"{summary.verdicts[Verdict.ABSORBED]:,} absorbed",
        f"{summary.verdicts[Verdict.FINDING]:,} with findings",
        f"{summary.verdicts[Verdict.COARSE]:,} too coarse to judge",
        f"{wording.plural(summary.undecided, 'value')} undecided",
        f"{summary.verdicts[Verdict.NOT_RUN]:,} not run",
    ]
    console.print(Text(", ".join(verdicts)))
    repeated = repetition.headline(summary.repeated)
    if repeated:
        console.print(text(repeated))
    for line in (detection_power.headline(summary.power), *detection_power.shortfalls(summary.power)):
        console.print(text(line, "dim"))
    reasons = summary.why_not()
    for reason, count in reasons[:_REASONS]:
        console.print(text(f"  not run ({wording.plural(count, 'call')}): {reason}", "dim"))
    if reasons[_REASONS:]:
        others = sum(count for _, count in reasons[_REASONS:])
        rest = f"({wording.plural(others, 'call')}): {wording.plural(len(reasons[_REASONS:]), 'other reason')}"
        console.print(text(f"  not run {rest}", "dim"))
    if summary.finished:
        console.print(Text(summary.duration(), style="dim"))
