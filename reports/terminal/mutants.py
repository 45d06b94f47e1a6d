"""The score of `logitmus selftest --mutants` on a terminal, and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from logitmus.cases.planted.mutants import Mutant
from logitmus.checking.mutant_score import MutantScore
from logitmus.reports.terminal.selftest import print_effort
from logitmus.results import wording


def as_dict(score: MutantScore) -> dict[str, Any]:
    """For JSON: the counts, and every mutant that was checked."""
    return {
        "found": score.found,
        "checked": len(score.checked),
        "equivalent": [mutant.name for mutant in score.selection.equivalent],
        "always_raise": [mutant.name for mutant in score.selection.always_raise],
        "seconds": round(score.seconds, 1),
        "problems": score.problems,
        "calls": score.calls,
        "remarks": list(score.remarks),
        "mutants": [
            {
                "name": mutant.name,
                "rule": mutant.rule,
                "place": mutant.place,
                "before": mutant.before,
                "after": mutant.after,
                "found": score.results[mutant.name].found,
                "profile": score.results[mutant.name].profile,
                "family": score.results[mutant.name].family,
                "causes": list(score.results[mutant.name].causes),
            }
            for mutant in score.checked
        ],
    }


def render(score: MutantScore, console: Console, *, every: bool) -> None:
    """Print the counts by original, the mutants that were not found, and the score; `every` adds the found mutants."""
    console.print(_originals(score))
    console.print()
    for mutant in score.checked if every else score.missed:
        _print_mutant(mutant, score, console)
    style = "bold green" if score.complete else "bold red"
    console.print(Text(f"Found {score.found} of {wording.plural(len(score.checked), 'mutant')}", style=style))
    left_out = f"{len(score.selection.equivalent)} equal their originals within rounding"
    console.print(f"Left out: {left_out}; {len(score.selection.always_raise)} raise on every problem", highlight=False)
    print_effort(score, console)


def _originals(score: MutantScore) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("changed function")
    for name in ("mutants", "found"):
        table.add_column(name, justify="right")
    mutants = Counter(mutant.original.planted.name for mutant in score.checked)
    missed = Counter(mutant.original.planted.name for mutant in score.missed)
    for name, count in mutants.items():
        table.add_row(name, str(count), Text(str(count - missed[name]), "bold red" if missed[name] else ""))
    return table


def _print_mutant(mutant: Mutant, score: MutantScore, console: Console) -> None:
    result = score.results[mutant.name]
    found = f"found by {result.family}" if result.found else "NOT FOUND"
    title = f"{found}  {mutant.name}  {mutant.rule}, {mutant.place}"
    console.print(Text(title, style="" if result.found else "bold red"))
    for line in (f"before: {mutant.before}", f"after:  {mutant.after}"):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    console.print()
