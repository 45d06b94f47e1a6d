"""What changed between two runs, for a person at a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from logitmus.compare import BitsChange, Comparison, FindingChange, GradeChange

_SHOWN = 12


def to_json(comparison: Comparison) -> str:
    """The comparison's fields by name; "schema" says their version."""
    return json.dumps({"schema": 1, "same": comparison.same, **asdict(comparison)}, indent=1, allow_nan=False)


def render(comparison: Comparison, console: Console) -> None:
    """Print environments, findings (new, gone, changed), bits and grades."""
    c = comparison
    console.print(Text(f"{c.before} -> {c.after}", style="bold"))
    console.print(Text(f"{c.problems:,} problems asked by both, {c.pairs:,} calls side by side"))
    for count, name in ((c.only_before, c.before), (c.only_after, c.after)):
        if count:
            console.print(Text(f"{count:,} problems only in {name}: not compared", style="yellow"))
    for name, subjects in (("gone", c.subjects_gone), ("new", c.subjects_new)):
        if subjects:
            console.print(Text(f"subjects {name}: {', '.join(subjects)}"))
    for change in c.environment:
        console.print(
            Text(f"  {change.where}: {change.name} {change.before or '(none)'} -> {change.after or '(none)'}")
        )
    if c.same:
        console.print(Text("nothing that was asked of both came out differently", style="green"))
        return
    _section("NEW findings", (_finding(f) for f in c.new), len(c.new), console, style="bold red")
    _section("GONE findings", (_finding(f) for f in c.gone), len(c.gone), console, style="green")
    _section("CHANGED findings", (_finding(f) for f in c.changed), len(c.changed), console, style="yellow")
    _section("GRADES", (_grade(g) for g in c.grades), len(c.grades), console)
    _section("BITS", (_bits(b) for b in c.bits), len(c.bits), console)


def _section(name: str, lines: Iterable[str], count: int, console: Console, *, style: str = "bold") -> None:
    if not count:
        return
    console.print(Text(f"\n{name} ({count})", style=style))
    for shown, line in enumerate(lines):
        if shown == _SHOWN:
            console.print(Text(f"  and {count - _SHOWN} more (--json has them all)", style="dim"))
            return
        console.print(Text(f"  {line}"))


def _finding(change: FindingChange) -> str:
    f = change.example
    said = [f"on {len(change.appeared)} more problems"] if change.appeared else []
    said += [f"no longer on {len(change.vanished)}"] if change.vanished else []
    said += [f"still on {change.stayed}"] if change.stayed else []
    return (
        f"{f.severity.value} {f.subject}: {f.summary} ({'; '.join(said)})\n"
        f"    e.g. {f.problem}: expected {f.expected}, came {f.observed}"
    )


def _grade(change: GradeChange) -> str:
    before, after = (grade.value if grade else "not judged" for grade in (change.before, change.after))
    return f"{change.subject}: {before} -> {after} on {change.problems} problems, e.g. {change.example}"


def _bits(change: BitsChange) -> str:
    by = f", by at most {change.max_ulps:,} ulps ({change.worst})" if change.worst else ""
    other = "".join(f", {kind}: {count}" for kind, count in sorted(change.other.items()))
    return f"{change.subject}: {change.changed:,} of {change.compared:,} results{by}{other}"
