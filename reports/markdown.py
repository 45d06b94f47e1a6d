"""Markdown for a CI job's page or a pull request."""

from __future__ import annotations

import html
from pathlib import Path

from logitmus.finding import Severity, Verdict
from logitmus.reports import wording
from logitmus.reports.summary import Backend, Group, Summary

_MARKS = {Severity.BUG: "🔴", Severity.HAZARD: "🟣", Severity.DIFFERENCE: "🟡", Severity.NOTE: "⚪"}


def write(summary: Summary, path: Path) -> None:
    """Write the file."""
    path.write_text(text(summary), encoding="utf-8")


def text(summary: Summary) -> str:
    """Headline, one line a subject, one line a group of findings."""
    lines = ["# Logitmus", "", f"**{cell(summary.headline())}**", ""]
    lines += [f"- {cell(b.name)} could not run: {cell(b.failed)} {cell(b.hint)}" for b in _failed(summary)]
    lines += [
        "| subject | passed | absorbed | findings | coarse | not run | worst |",
        "| --- | --: | --: | --: | --: | --: | --- |",
    ]
    lines += [_subject(summary, subject) for subject in summary.asked_subjects()]
    told = [group for group in summary.groups() if group.finding.severity is not Severity.NOTE]
    if told:
        lines += ["", "| | what | who | smallest problem | expected | came |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [_group(group) for group in told]
    notes = sum(1 for group in summary.groups() if group.finding.severity is Severity.NOTE)
    if notes:
        lines += ["", f"and {notes} note{'' if notes == 1 else 's'}"]
    return "\n".join(lines) + "\n"


def _failed(summary: Summary) -> list[Backend]:
    return [backend for _, backend in sorted(summary.backends.items()) if backend.failed]


def _subject(summary: Summary, subject: str) -> str:
    cells = [summary.cell(subject, family) for family in summary.family_names()]
    counts = [
        sum(c.counts[verdict] for c in cells)
        for verdict in (Verdict.PASS, Verdict.ABSORBED, Verdict.FINDING, Verdict.COARSE, Verdict.NOT_RUN)
    ]
    severities = [c.severity for c in cells if c.severity]
    worst = min(severities, key=lambda s: s.rank) if severities else None
    mark = f"{_MARKS[worst]} {worst.value}" if worst else "🟢"
    return f"| {cell(subject)} | {' | '.join(map(str, counts))} | {mark} |"


def _group(group: Group) -> str:
    finding = group.finding
    columns = (
        f"{_MARKS[finding.severity]} {finding.severity.value}",
        cell(f"{finding.summary} ({group.count})"),
        cell(wording.names(group.subjects)),
        cell(f"{finding.problem}: {wording.question(group.problem, finding.row)}"),
        cell(f"{finding.expected} {wording.where(finding)}"),
        cell(f"{finding.observed} {wording.measure(finding)}"),
    )
    return f"| {' | '.join(columns)} |"


def cell(value: str) -> str:
    """Text that is text: no HTML, no table bars, no code, emphasis, links or line breaks of its own."""
    flat = html.escape(" ".join(value.split()), quote=False)
    for special in "\\`*_[]|~":
        flat = flat.replace(special, f"\\{special}")
    return flat
