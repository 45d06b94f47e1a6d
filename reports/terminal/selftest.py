"""The score of `logitmus selftest` on a terminal, and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from logitmus.cases.planted.zoo import Naming
from logitmus.checking.mutant_score import MutantScore
from logitmus.results import detection_power, wording
from logitmus.results.detection_power import Result, Score

_CAUSES = 3


def as_dict(score: Score) -> dict[str, Any]:
    """For JSON: the score, and every planted function."""
    return {
        **score.power.as_dict(),
        "perfect": score.perfect,
        "planted": score.power.planted,
        "found": score.power.found,
        "named": score.power.named,
        "seconds": round(score.seconds, 1),
        "problems": score.problems,
        "calls": score.calls,
        "functions": [
            {
                "name": result.name,
                "kind": result.planted.kind,
                "incident": result.planted.incident,
                "found": result.found,
                "naming": result.naming.value if result.planted.faulty else None,
                "profile": result.profile,
                "family": result.family,
                "causes": list(result.causes),
                "model": None if result.model is None else list(result.model),
                "card_errors": None if result.card_errors is None else list(result.card_errors),
            }
            for result in score.results
        ],
    }


def render(score: Score, console: Console, *, every: bool) -> None:
    """Print the score, what fell short, and which family found how many faults first; `every` adds all functions."""
    console.print(_kinds(score))
    console.print()
    _print_families(score, console)
    _print_shortfalls(score, console)
    if every:
        _print_functions(score, console)
    line = detection_power.headline(score.power)
    console.print(Text(line[0].upper() + line[1:], style="bold green" if score.perfect else "bold red"))
    print_effort(score, console)


def print_effort(score: Score | MutantScore, console: Console) -> None:
    """Print what could not be tested, and how much was done in which time."""
    for remark in score.remarks:
        console.print(Text(wording.printable(remark)))
    work = f"{wording.plural(score.problems, 'problem')}, {wording.plural(score.calls, 'call')}"
    console.print(Text(f"{work}, {score.seconds:.0f} s", style="dim"))


def _kinds(score: Score) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("faults")
    for name in ("planted", "found", "named rightly", "unexplained", "named wrongly"):
        table.add_column(name, justify="right")
    table.add_column("", style="dim", overflow="fold")
    for kind, description, counts in detection_power.rows(score.power):
        table.add_row(
            kind,
            str(counts.planted),
            Text(str(counts.found), "bold red" if counts.found < counts.planted else ""),
            str(counts.named),
            str(counts.unexplained),
            Text(str(counts.misnamed), "bold red" if counts.misnamed else ""),
            description,
        )
    return table


def _print_families(score: Score, console: Console) -> None:
    counts = Counter(result.family for result in score.faults if result.family)
    if counts:
        families = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        console.print(Text.assemble(("first found by  ", "dim"), ", ".join(f"{name} {n}" for name, n in families)))
        console.print()


def _print_shortfalls(score: Score, console: Console) -> None:
    for result in score.results:
        if not result.right:
            console.print(Text(f"{_shortfall(result)}  {result.name}", style="bold red"))
            for line in (result.planted.incident, *result.causes, *(result.model or ()), *(result.card_errors or ())):
                if line:
                    console.print(Padding(Text(wording.printable(line)), (0, 0, 0, 2)))
            console.print()


def _shortfall(result: Result) -> str:
    if not result.planted.faulty and result.found:
        return "FALSE ALARM"
    if result.planted.faulty and result.naming in (Naming.NONE, Naming.WRONG):
        return result.naming.value.upper()
    return "WRONG CARD"


def _print_functions(score: Score, console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("function", "naming", "first by", "causes"):
        table.add_column(name, overflow="fold")
    for result in score.results:
        naming = result.naming.value if result.planted.faulty else "-"
        table.add_row(result.name, naming, result.family or "-", _causes(result))
    console.print(table)
    console.print()


def _causes(result: Result) -> str:
    more = f" and {len(result.causes) - _CAUSES} more" if len(result.causes) > _CAUSES else ""
    return wording.printable(", ".join(result.causes[:_CAUSES]) + more)
