"""The closing summary for a person at a terminal; readable at 80 columns and without colour."""

from __future__ import annotations

import re

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from logitmus.finding import Grade, Severity, Verdict
from logitmus.reports import wording
from logitmus.reports.summary import Cell, Group, Summary

_COLOURS = {
    Severity.BUG: "bold red",
    Severity.HAZARD: "bold magenta",
    Severity.DIFFERENCE: "yellow",
    Severity.NOTE: "dim",
}
_MARKS = {Severity.BUG: "!!", Severity.HAZARD: "!", Severity.DIFFERENCE: "~", Severity.NOTE: ""}
_PER_TABLE = 10


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def render(summary: Summary, console: Console) -> None:
    """Print the matrix, the findings worst first, and the totals."""
    _failed(summary, console)
    if summary.calls:
        _matrix(summary, console)
        _findings(summary, console)
    _totals(summary, console)


def _failed(summary: Summary, console: Console) -> None:
    for _, backend in sorted(summary.backends.items()):
        if backend.failed:
            console.print(_text(f"{backend.name} could not run: {backend.failed}", "bold red"))
            if backend.hint:
                console.print(_text(f"  {backend.hint}"))


def _text(words: str, style: str = "") -> Text:
    """Words from workers and files: no markup, and no control characters that a terminal would obey."""
    return Text(_CONTROL.sub("\ufffd", words), style=style)


# --- the matrix --------------------------------------------------------------------------------------------------


def _matrix(summary: Summary, console: Console) -> None:
    """Families by subjects; subjects are numbered, ten columns a table, so that it fits 80 columns."""
    subjects = summary.asked_subjects()
    families = summary.family_names()
    width = max(map(len, families))
    columns = max(3, min(_PER_TABLE, (console.width - width - 2) // 6))
    for start in range(0, len(subjects), columns):
        shown = subjects[start : start + columns]
        console.print()
        for n, subject in enumerate(shown, start + 1):
            console.print(_text(f"  {n:>3}  {subject}"))
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("family", style="", no_wrap=True, width=width)
        for n in range(start + 1, start + 1 + len(shown)):
            table.add_column(str(n), justify="left", no_wrap=True, width=5)
        for family in families:
            table.add_row(_text(family), *(_cell(summary.cell(subject, family)) for subject in shown))
        console.print(table)
    console.print(
        Text(
            "\nA B+ B C F: worst grade.  !! bug  ! hazard  ~ difference.  abs: absorbed, "
            "?: too coarse or undecided, . not run",
            style="dim",
        )
    )


def _cell(cell: Cell) -> Text:
    if not cell.asked:
        return Text(".", style="dim")
    if cell.grade is None or cell.grade is Grade.COARSE:
        letter = "?" if not cell.counts[Verdict.PASS] else "ok"
    else:
        letter = cell.grade.value
    mark = _MARKS[cell.severity] if cell.severity else ""
    style = _COLOURS[cell.severity] if cell.severity else "green"
    if not mark and cell.counts[Verdict.ABSORBED]:
        return Text(f"{letter}abs"[:5], style="cyan")
    return Text(f"{letter}{mark}", style=style)


# --- the findings ------------------------------------------------------------------------------------------------


def _findings(summary: Summary, console: Console) -> None:
    groups = summary.groups()
    told = [group for group in groups if group.finding.severity is not Severity.NOTE]
    console.print()
    for group in told:
        _group(group, console)
    notes = [group for group in groups if group.finding.severity is Severity.NOTE]
    for group in notes:
        line = f"note  {wording.names(group.subjects)}: {group.finding.summary} ({group.count} problems)"
        console.print(_text(line, "dim"))


def _group(group: Group, console: Console) -> None:
    finding = group.finding
    head = Text()
    head.append(f"{finding.severity.value.upper()} ", style=_COLOURS[finding.severity])
    head.append(f"{finding.kind.value}  ", style="dim")
    head.append_text(_text(finding.summary, "bold"))
    console.print(head)
    lines = [
        ("who", wording.names(group.subjects)),
        ("where", f"{_count(group)}: {', '.join(sorted(group.families))} ({', '.join(sorted(group.dtypes))})"),
        ("smallest", f"{finding.problem}  {wording.question(group.problem, finding.row)}"),
        ("expected", f"{finding.expected}  {wording.where(finding)}".rstrip()),
        ("came", f"{finding.observed}  {wording.measure(finding)}".rstrip()),
        ("matters", wording.why(finding)),
    ]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in lines:
        if text:
            grid.add_row(name, _text(text))
    console.print(Padding(grid, (0, 0, 1, 2)))


def _count(group: Group) -> str:
    plural = "" if group.count == 1 else "s"
    return f"{group.count} result{plural}"


# --- the totals --------------------------------------------------------------------------------------------------


def _totals(summary: Summary, console: Console) -> None:
    console.print(Text(summary.headline(), style="bold"))
    said = [
        f"{summary.verdicts[Verdict.PASS]:,} passed",
        f"{summary.verdicts[Verdict.ABSORBED]:,} absorbed",
        f"{summary.verdicts[Verdict.FINDING]:,} with findings",
        f"{summary.verdicts[Verdict.COARSE]:,} too coarse to judge",
        f"{summary.undecided:,} values undecided",
        f"{summary.verdicts[Verdict.NOT_RUN]:,} not run",
    ]
    console.print(Text(", ".join(said)))
    for reason, count in summary.not_run.most_common(3):
        console.print(_text(f"  not run, {count:,} times: {reason}", "dim"))
    if summary.finished:
        interrupted = ", interrupted" if summary.finished.interrupted else ""
        resumed = f", {summary.finished.resumed:,} of them from before" if summary.finished.resumed else ""
        console.print(Text(f"{summary.finished.seconds:.0f} s{resumed}{interrupted}", style="dim"))
