"""Markdown for a CI job's page or a pull request."""

from __future__ import annotations

import html
import re
from pathlib import Path

from logitmus.core.finding import Severity, Verdict
from logitmus.results import detection_power, exploration, metamorphic, wording
from logitmus.results.finding_view import FindingView
from logitmus.results.groups import Group
from logitmus.results.summary import Summary

_MARKS = {Severity.BUG: "🔴", Severity.HAZARD: "🟣", Severity.DIFFERENCE: "🟡", Severity.NOTE: "⚪"}
_MOST = 30  # a comment on a pull request holds 65,536 characters
_PLAIN = re.compile(r"[\w.:+@/, -]*", re.ASCII)
_HEAD = ("| | finding | affects | minimal input | expected | got |", "| --- | --- | --- | --- | --- | --- |")
_SUBJECTS = (
    "| subject | passed | absorbed | findings | coarse | undecided | not run | worst |",
    "| --- | --: | --: | --: | --: | --: | --: | --- |",
)


def write(summary: Summary, path: Path) -> None:
    """Write the file."""
    path.write_text(text(summary), encoding="utf-8")


def text(summary: Summary) -> str:
    """Headline, a row for each group of findings, and, folded away, a row for each subject."""
    lines = ["# Logitmus", "", f"**{cell(summary.headline())}**", ""]
    for _, backend in sorted(summary.backends.items()):
        if backend.failed:
            lines += [f"⚠️ {code(backend.name)} could not run: {cell(f'{backend.failed} {backend.hint}')}", ""]
    if summary.finished and summary.finished.interrupted:
        lines += ["⚠️ The run was interrupted; this is the part that was done.", ""]
    for notice in summary.notices:
        lines += [f"⚠️ {cell(notice.text)}", ""]
    lines += _findings(summary)
    lines += _relations(summary)
    lines += _explored(summary)
    subjects = summary.requested_subjects()
    if subjects:
        lines += [f"<details><summary>{wording.plural(len(subjects), 'subject')}</summary>", "", *_SUBJECTS]
        lines += [_subject(summary, subject) for subject in subjects]
        lines += ["", "</details>", ""]
    lines += [
        cell(line) for line in (detection_power.headline(summary.power), *detection_power.shortfalls(summary.power))
    ]
    return "\n".join(lines) + "\n"


def _findings(summary: Summary) -> list[str]:
    groups = summary.groups()
    listed = [g for g in groups if g.finding.severity is not Severity.NOTE and not g.characteristic]
    counts = summary.tally()
    lines = [*_HEAD, *map(_group, listed[:_MOST]), ""] if listed else []
    left = [f"{len(listed) - _MOST} more"] if len(listed) > _MOST else []
    left += [wording.plural(counts[label], label) for label in ("note", "characteristic") if label in counts]
    lines += [f"and {' and '.join(left)} (in the HTML report)", ""] if left else []
    return [*lines, f"Reproduce a finding: {code(wording.repro(listed[0].finding))}", ""] if listed else lines


def _relations(summary: Summary) -> list[str]:
    lines = [f"- {cell(line)}" for line in metamorphic.lines(summary.related)]
    head = "<details><summary>Relations between results (no reference needed)</summary>"
    return [head, "", *lines, "", "</details>", ""] if lines else []


def _explored(summary: Summary) -> list[str]:
    lines = [cell(line) for line in exploration.lines(summary.explored)]
    head = f"<details><summary>Exploration: {lines[0]}</summary>" if lines else ""
    return [head, "", *(f"- {line}" for line in lines[1:]), "", "</details>", ""] if lines else []


def _subject(summary: Summary, subject: str) -> str:
    cells = [summary.cell(subject, family) for family in summary.family_names()]
    counts = [sum(c.counts[verdict] for c in cells) for verdict in _ORDER]
    severities = [c.severity for c in cells if c.severity]
    worst = min(severities, key=lambda s: s.rank) if severities else None
    decided = sum(sum(c.counts[v] for v in (Verdict.PASS, Verdict.ABSORBED)) for c in cells)
    mark = f"{_MARKS[worst]} {worst.value}" if worst else ("🟢" if decided else "nothing decided")
    return f"| {code(subject)} | {' | '.join(f'{n:,}' for n in counts)} | {mark} |"


_ORDER = (
    Verdict.PASS,
    Verdict.ABSORBED,
    Verdict.FINDING,
    Verdict.COARSE,
    Verdict.UNDECIDED,
    Verdict.NOT_RUN,
)


def _group(group: Group) -> str:
    finding, view = group.finding, FindingView.of(group)
    more = [
        f"{label}: {words}"
        for label, words in view.fields("without_it", "effect", "depends_on", "alternatives", "accepted")
    ]
    mark = "☑️" if group.is_accepted else _MARKS[finding.severity]
    texts = dict(view.fields())
    columns = (
        f"{mark} {finding.severity.value}",
        f"{code(finding.id)} {cell('; '.join([finding.summary, *more]))}",
        cell(f"{view.affects} ({wording.plural(group.count, 'result')})"),
        f"{code(finding.problem)} {cell(view.minimal_input)}",
        cell(texts.get("expected", "")),
        cell(texts.get("got", "")),
    )
    return f"| {' | '.join(columns)} |"


def code(value: str) -> str:
    """An id as code, where it needs no escapes; else as text."""
    return f"`{value}`" if value and _PLAIN.fullmatch(value) else cell(value)


def cell(value: str) -> str:
    """Text that is text: no HTML, table bars, code, emphasis, links, mentions of people or line breaks of its own."""
    flat = html.escape(" ".join(wording.printable(value).split()), quote=False)
    for special in "\\`*_[]|~":
        flat = flat.replace(special, f"\\{special}")
    return flat.replace("@", "@\u2060")  # a word joiner: nothing to see, and no name of a person
