"""An audit, or a comparison of runs, as Markdown: for the pull request that changes a version."""

from __future__ import annotations

from typing import Final

from logitmus.auditing.headline import headline, of_audit
from logitmus.auditing.timeline import timeline
from logitmus.auditing.transitions import Audit, Step, Transition
from logitmus.reports.markdown import cell, code
from logitmus.reports.terminal.audit import extent, labelled
from logitmus.results import wording

_ROWS: Final = 40
_LENGTH: Final = 65_000  # a comment on GitHub holds 65,536 characters


def to_markdown(audit: Audit) -> str:
    """The sentence, a table of the transitions, and the details of each folded away."""
    lines = ["# Logitmus: what changed", ""]
    if len(audit.steps) > 1:
        lines += [f"**{cell(of_audit(audit))}**", "", *(_timeline(audit) if audit.is_history else [])]
    for step in audit.steps:
        lines += _step(step)
    lines += [f"⚠️ {cell(note)}" for note in audit.notes]
    text = "\n".join(lines) + "\n"
    if len(text) <= _LENGTH:
        return text
    cut = text[:_LENGTH].rpartition("\n<details>")[0]
    return f"{cut}\n\nMore transitions do not fit into this page; the JSON report lists all of them.\n"


def _step(step: Step) -> list[str]:
    heading = "**" if step.transitions else ""
    lines = [f"{heading}{cell(headline(step))}{heading}", ""]
    if step.transitions:
        lines += ["| | change | do I have to act? | where | results |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(transition) for transition in step.transitions[:_ROWS]]
        left = len(step.transitions) - _ROWS
        lines += ([f"| | {wording.plural(left, 'more transition')} in the JSON report | | | |"] if left > 0 else []) + [
            ""
        ]
        for transition in step.transitions[:_ROWS]:
            lines += _details(transition)
    return [*lines, *(f"- {cell(line)}" for line in extent(step)), ""]


def _row(transition: Transition) -> str:
    sign = "✅" if transition.accepted else "❌" if transition.worse else "·"
    words = f"**{transition.change.value}**: {cell(transition.what)}"
    results = f"{transition.results:,}" if transition.results else ""
    return f"| {sign} | {words} | {cell(transition.act)} | {cell(wording.names(transition.subjects))} | {results} |"


def _details(transition: Transition) -> list[str]:
    if transition.example is None:
        return []
    facts = [f"- {label}: {code(words)}" for label, words in labelled(transition) if label != "do I have to act?"]
    summary = f"{transition.change.value}: {cell(transition.what)}"
    return ["<details>", f"<summary>{summary}</summary>", "", *facts, "", "</details>", ""]


def _timeline(audit: Audit) -> list[str]:
    of = timeline(audit)
    lines = [f"- {cell(wording.names(row.subjects))}: {cell(of.periods(row))}" for row in of.rows]
    return [*lines, ""] if lines else []
