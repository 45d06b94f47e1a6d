"""The score of `logitmus selftest` on a terminal, and for machines."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from logitmus.cases.planted import CORRECT
from logitmus.results import detection_power, wording
from logitmus.results.detection_power import Result, Score

_CAUSES = 3


def as_dict(score: Score) -> dict[str, Any]:
    """For machines: the score, and every planted function."""
    return {
        **score.power.as_dict(),
        "perfect": score.perfect,
        "planted": score.power.planted,
        "found": score.power.found,
        "explained": score.power.explained,
        "seconds": round(score.seconds, 1),
        "problems": score.problems,
        "calls": score.calls,
        "functions": [
            {
                "name": one.name,
                "kind": one.planted.kind,
                "incident": one.planted.incident,
                "found": one.found,
                "explained": one.explained,
                "profile": one.profile,
                "family": one.family,
                "causes": list(one.causes),
            }
            for one in score.results
        ],
    }


def render(score: Score, console: Console, *, every: bool) -> None:
    """Print the score, what fell short, and which family found what first; `every` planted function, if asked."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("faults", "planted", "found", "explained"):
        table.add_column(name, justify="left" if name == "faults" else "right")
    table.add_column("", style="dim", overflow="fold")
    for kind, words, planted, found, explained in detection_power.rows(score.power):
        style = "" if planted == explained else "bold red"
        table.add_row(kind, str(planted), str(found), Text(str(explained), style), words)
    console.print(table)
    console.print()
    _first(score, console)
    _short(score, console)
    if every:
        _all(score, console)
    line = detection_power.headline(score.power)
    console.print(Text(line[0].upper() + line[1:], style="bold green" if score.perfect else "bold red"))
    for remark in score.remarks:
        console.print(Text(wording.printable(remark)))
    asked = f"{wording.plural(score.problems, 'problem')}, {wording.plural(score.calls, 'call')}"
    console.print(Text(f"{asked}, {score.seconds:.0f} s", style="dim"))


def _first(score: Score, console: Console) -> None:
    """Which family showed how many faults first."""
    counts: dict[str, int] = {}
    for one in score.faults:
        if one.family:
            counts[one.family] = counts.get(one.family, 0) + 1
    if counts:
        told = ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        console.print(Text.assemble(("first found by  ", "dim"), told))
        console.print()


def _short(score: Score, console: Console) -> None:
    for one in score.results:
        if not one.as_it_should_be:
            correct = one.planted.kind == CORRECT
            said = "FALSE ALARM" if correct else "NOT EXPLAINED" if one.found else "NOT FOUND"
            console.print(Text(f"{said}  {one.name}", style="bold red"))
            for line in (one.planted.incident, *one.causes):
                if line:
                    console.print(Padding(Text(wording.printable(line)), (0, 0, 0, 2)))
            console.print()


def _all(score: Score, console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("function", overflow="fold")
    table.add_column("first by", overflow="fold")
    table.add_column("causes", overflow="fold")
    for one in score.results:
        table.add_row(one.name, one.family or ("-" if one.planted.kind != CORRECT else ""), _causes(one))
    console.print(table)
    console.print()


def _causes(one: Result) -> str:
    more = f" and {len(one.causes) - _CAUSES} more" if len(one.causes) > _CAUSES else ""
    return wording.printable(", ".join(one.causes[:_CAUSES]) + more)
