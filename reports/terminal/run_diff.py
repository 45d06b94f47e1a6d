"""Differences between two runs, on a terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from logitmus.reports.markdown import cell, code
from logitmus.reports.terminal.run import text
from logitmus.results import wording
from logitmus.results.run_changes import (
    BitsChange,
    Comparison,
    DeclarationChange,
    EnvironmentChange,
    FindingChange,
    GradeChange,
)

_SHOWN = 12


def to_json(comparison: Comparison) -> str:
    """The comparison as JSON; "schema" is the version. Infinity is "infinite"."""
    fields = {"schema": 1, "same": comparison.same, **asdict(comparison)}
    return json.dumps(wording.all_finite(fields), indent=1, allow_nan=False)


def to_markdown(comparison: Comparison) -> str:
    """A table of changes for the page of a CI job; findings first."""
    c = comparison
    lines = ["# Logitmus: what changed", "", f"{cell(c.before)} → {cell(c.after)}", ""]
    lines += [
        f"{wording.plural(c.problems, 'problem')} in both runs, {wording.plural(c.pairs, 'call')} compared",
        "",
    ]
    for gone in c.backends_gone:
        lines += [f"⚠️ {code(gone)} is gone, or could not run to the end", ""]
    if c.not_made:
        lines += [f"⚠️ {wording.plural(c.not_made, 'call')} of {cell(c.before)} not made: not compared", ""]
    lines += [f"- {cell(line)}" for line in _environment_lines(c)]
    if c.same:
        return "\n".join([*lines, "", "No differences.", ""])
    rows = [(name, f.example.subject, _summary(f)) for name, found in _found(c) for f in found]
    rows += [("declaration", d.subject, (_declared(d), "")) for d in c.declared]
    rows += [("grade", g.subject, _moved(g)) for g in c.grades]
    rows += [("bits", b.subject, _differing(b)) for b in c.bits]
    lines += ["", "| what | subject | change | e.g. |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {code(subject)} | {cell(change[0])} | {cell(change[1])} |" for name, subject, change in rows]
    return "\n".join(lines) + "\n"


def render(comparison: Comparison, console: Console) -> None:
    """Print environments, findings (new, gone, changed), bits and grades."""
    c = comparison
    console.print(text(f"{c.before} -> {c.after}", "bold"))
    console.print(Text(f"{c.problems:,} problems in both runs, {c.pairs:,} calls compared"))
    for count, name in ((c.only_before, c.before), (c.only_after, c.after)):
        if count:
            console.print(text(f"{wording.plural(count, 'problem')} only in {name}: not compared", "yellow"))
    for name, subjects in (("gone", c.subjects_gone), ("new", c.subjects_new)):
        if subjects:
            console.print(text(f"subjects {name}: {', '.join(subjects)}"))
    if c.backends_gone:
        console.print(text(f"backends gone, or that could not run to the end: {', '.join(c.backends_gone)}", "yellow"))
    if c.not_made:
        console.print(text(f"{wording.plural(c.not_made, 'call')} of {c.before} not made: not compared", "yellow"))
    for line in _environment_lines(c):
        console.print(text(f"  {line}"))
    if c.same:
        console.print(Text("no differences", style="green"))
        return
    styles = {"new": "bold red", "gone": "green", "changed": "yellow"}
    for name, found in _found(c):
        _section(f"{name.upper()} findings", [_finding(f) for f in found], console, style=styles[name])
    _section("DECLARATIONS", [f"{d.subject}: {_declared(d)}" for d in c.declared], console)
    _section("GRADES", [f"{g.subject}: {', e.g. '.join(_moved(g))}" for g in c.grades], console)
    _section("BITS", [f"{b.subject}: {', '.join(filter(None, _differing(b)))}" for b in c.bits], console)


def _section(name: str, lines: list[str], console: Console, *, style: str = "bold") -> None:
    if not lines:
        return
    console.print(Text(f"\n{name} ({len(lines)})", style=style))
    for line in lines[:_SHOWN]:
        console.print(text(f"  {line}"))
    if len(lines) > _SHOWN:
        console.print(Text(f"  and {len(lines) - _SHOWN} more (--json lists all of them)", style="dim"))


def _found(c: Comparison) -> tuple[tuple[str, tuple[FindingChange, ...]], ...]:
    return (("new", c.new), ("gone", c.gone), ("changed", c.changed))


def _environment_lines(c: Comparison) -> list[str]:
    """The versions of the frameworks themselves, and how many other facts differ where these are many."""
    own = [_environment(change) for change in c.environment if change.own]
    other = [_environment(change) for change in c.environment if not change.own]
    if len(other) > _SHOWN:
        other = [f"{wording.plural(len(other), 'other difference')} of the environment (--json lists all of them)"]
    return own + other


def _declared(change: DeclarationChange) -> str:
    return f"{change.field} {change.before} -> {change.after}"


def _environment(change: EnvironmentChange) -> str:
    return f"{change.where}: {change.name} {change.before or '(none)'} -> {change.after or '(none)'}"


def _finding(change: FindingChange) -> str:
    summary, example = _summary(change)
    return f"{change.example.severity.value} {change.example.subject}: {summary}\n    e.g. {example}"


def _summary(change: FindingChange) -> tuple[str, str]:
    """The change, and an example of it."""
    f = change.example
    counts = [f"on {wording.plural(len(change.appeared), 'more problem')}"] if change.appeared else []
    counts += [f"on {wording.plural(len(change.added), 'problem')} that only the later run has"] if change.added else []
    counts += [f"no longer on {len(change.vanished)}"] if change.vanished else []
    counts += [f"still on {change.stayed}"] if change.stayed else []
    return f"{f.summary} ({'; '.join(counts)})", f"{f.problem}: expected {f.expected}, got {f.observed}"


def _moved(change: GradeChange) -> tuple[str, str]:
    before, after = (grade.value if grade else "not judged" for grade in (change.before, change.after))
    return f"{before} -> {after} on {wording.plural(change.problems, 'problem')}", change.example


def _differing(change: BitsChange) -> tuple[str, str]:
    by = f", by at most {wording.plural(change.max_ulps, 'ulp')}" if change.worst else ""
    other = "".join(f", {kind}: {count}" for kind, count in sorted(change.other.items()))
    return f"{change.changed:,} of {change.compared:,} results{by}{other}", change.worst
