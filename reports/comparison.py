"""What changed between two runs, for a person at a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from logitmus.compare import BitsChange, Comparison, FindingChange, GradeChange
from logitmus.reports import wording
from logitmus.reports.terminal import text

_SHOWN = 12


def to_json(comparison: Comparison) -> str:
    """The comparison's fields by name; "schema" says their version. JSON has no infinity: it is "infinite"."""
    said = {"schema": 1, "same": comparison.same, **asdict(comparison)}
    return json.dumps(_finite(said), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _finite(part) for name, part in value.items()}
        case list() | tuple():
            return [_finite(part) for part in value]
        case float() if value != value or abs(value) == float("inf"):  # noqa: PLR0124  (NaN)
            return "NaN" if value != value else "infinite"  # noqa: PLR0124
        case _:
            return value


def render(comparison: Comparison, console: Console) -> None:
    """Print environments, findings (new, gone, changed), bits and grades."""
    c = comparison
    console.print(text(f"{c.before} -> {c.after}", "bold"))
    console.print(Text(f"{c.problems:,} problems asked by both, {c.pairs:,} calls side by side"))
    for count, name in ((c.only_before, c.before), (c.only_after, c.after)):
        if count:
            console.print(text(f"{count:,} problems only in {name}: not compared", "yellow"))
    for name, subjects in (("gone", c.subjects_gone), ("new", c.subjects_new)):
        if subjects:
            console.print(text(f"subjects {name}: {', '.join(subjects)}"))
    for change in c.environment:
        console.print(
            text(f"  {change.where}: {change.name} {change.before or '(none)'} -> {change.after or '(none)'}")
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
        console.print(text(f"  {line}"))


def _finding(change: FindingChange) -> str:
    f = change.example
    said = [f"on {wording.plural(len(change.appeared), 'more problem')}"] if change.appeared else []
    said += [f"no longer on {len(change.vanished)}"] if change.vanished else []
    said += [f"still on {change.stayed}"] if change.stayed else []
    return (
        f"{f.severity.value} {f.subject}: {f.summary} ({'; '.join(said)})\n"
        f"    e.g. {f.problem}: expected {f.expected}, came {f.observed}"
    )


def _grade(change: GradeChange) -> str:
    before, after = (grade.value if grade else "not judged" for grade in (change.before, change.after))
    return (
        f"{change.subject}: {before} -> {after} on {wording.plural(change.problems, 'problem')}, e.g. {change.example}"
    )


def _bits(change: BitsChange) -> str:
    by = f", by at most {change.max_ulps:,} ulps ({change.worst})" if change.worst else ""
    other = "".join(f", {kind}: {count}" for kind, count in sorted(change.other.items()))
    return f"{change.subject}: {change.changed:,} of {change.compared:,} results{by}{other}"
