"""The result of a check on a terminal."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from logitmus.checking.result import CheckResult, computes, facts, fields, grade_rows
from logitmus.core.finding import Severity
from logitmus.reports.terminal.run import field_table, text

_COLOURS: Final = {
    Severity.BUG: "bold red",
    Severity.HAZARD: "bold magenta",
    Severity.DIFFERENCE: "yellow",
    Severity.NOTE: "dim",
}


def render(result: CheckResult, console: Console) -> None:
    """Print the verdict, the findings worst first, the grades, and what was left out."""
    console.print(text(result.headline, "bold green" if result.conforms else "bold"))
    console.print()
    for number, line in enumerate(computes(result)):
        console.print(text(line, "dim" if number and line.startswith(" ") else ""))
    if result.explanations:
        console.print()
    for group in result.groups:
        finding = group.finding
        head = Text()
        head.append(f"{finding.severity.value.upper()} ", style=_COLOURS[finding.severity])
        head.append(f"{finding.kind.value}  ", style="dim")
        head.append_text(text(finding.summary, "bold"))
        head.append(f"  {finding.id}", style="dim")
        console.print(head)
        console.print(Padding(field_table(fields(result, group)), (0, 0, 1, 2)))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("grade", overflow="fold")
    for dtype in result.grades:
        table.add_column(dtype, no_wrap=True, min_width=len(dtype))
    for name, *cells in grade_rows(result):
        table.add_row(text(name), *cells)
    if result.grades:
        console.print(table)
        console.print()
    for line in facts(result):
        console.print(text(line, "dim"))
