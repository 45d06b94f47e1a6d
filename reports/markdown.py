"""Markdown for a CI job's page or a pull request: the findings in short, and folded away all that explains them.

A comment on GitHub holds 65,536 characters, and a job's page 1 MiB. The text stays below the lower limit: what does not
fit is left out, and a line says how much that is and where it is.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from logitmus.core.finding import Severity, Verdict
from logitmus.results import detection_power, exploration, metamorphic, wording
from logitmus.results.finding_view import FindingView
from logitmus.results.groups import Group
from logitmus.results.summary import Summary

LIMIT: Final = 65_000
_MOST: Final = 30  # findings, and warnings, that are listed
_LONGEST: Final = 600  # characters of a text in a table or a warning
_RESERVED: Final = 500  # characters for what is added whatever fits
_MARKS = {Severity.BUG: "🔴", Severity.HAZARD: "🟣", Severity.DIFFERENCE: "🟡", Severity.NOTE: "⚪"}
_MORE = ("without_it", "effect", "depends_on", "alternatives", "accepted", "known_since", "new_since")
_PLAIN = re.compile(r"[\w.:+@/, -]*", re.ASCII)
_FINDINGS = ("| | finding | affects |", "| --- | --- | --- |")
_EXAMPLES = ("| finding | minimal input | expected | got |", "| --- | --- | --- | --- |")
_SUBJECTS = (
    "| subject | passed | absorbed | findings | coarse | undecided | not run | worst |",
    "| --- | --: | --: | --: | --: | --: | --: | --- |",
)


def write(summary: Summary, path: Path) -> None:
    """Write the file."""
    path.write_text(text(summary), encoding="utf-8")


def text(summary: Summary, limit: int = LIMIT) -> str:
    """Headline, a row for each group of findings, and, folded away, examples, accepted findings and subjects.

    Args:
        limit: the most characters; what is essential takes some thousands.
    """
    ending = [
        cell(line) for line in (detection_power.headline(summary.power), *detection_power.shortfalls(summary.power))
    ]
    lines = [
        "# Logitmus",
        "",
        f"**{cell(summary.headline())}**",
        "",
        *_warnings(summary, limit // 2),
        *_against(summary),
    ]
    shown = [group for group in summary.groups() if _is_listed(group)]
    counting = [group for group in shown if group.counts]
    accepted = [group for group in shown if group.is_accepted]
    known = [group for group in shown if not (group.counts or group.is_accepted)]
    room = limit - _size(lines) - _size(ending) - _RESERVED
    rows = _fitting(map(_group, counting[:_MOST]), room)
    lines += [*_FINDINGS, *rows, ""] if rows else []
    lines += _left_out(summary, len(counting) - len(rows))
    listed = counting[: len(rows)]
    if listed:
        lines += [f"Reproduce a finding: {code(wording.repro(listed[0].finding))}", ""]
    subjects = summary.requested_subjects()
    explored = [cell(line) for line in exploration.lines(summary.explored)] or [""]
    relations = [f"- {cell(line)}" for line in metamorphic.lines(summary.related)]
    for title, head, folded in (
        ("Minimal inputs", _EXAMPLES, [_example(group) for group in listed]),
        (wording.plural(len(accepted), "accepted finding"), _FINDINGS, [_group(group) for group in accepted]),
        (wording.plural(len(known), "known finding"), _FINDINGS, [_group(group) for group in known]),
        ("Relations between results (no reference needed)", (), relations),
        (f"Exploration: {explored[0]}", (), [f"- {line}" for line in explored[1:]]),
        (wording.plural(len(subjects), "subject"), _SUBJECTS, [_subject(summary, subject) for subject in subjects]),
    ):
        room = limit - _size(lines) - _size(ending) - _RESERVED
        lines += _fold(title, head, folded, room)
    return "\n".join([*lines, *ending]) + "\n"


def _warnings(summary: Summary, room: int) -> Iterator[str]:
    """Backends that could not run, an interruption, and notices, each with an empty line after it."""
    warnings = [
        f"{code(backend.name)} could not run: {_cut(f'{backend.failed} {backend.hint}')}"
        for _, backend in sorted(summary.backends.items())
        if backend.failed
    ]
    if summary.finished and summary.finished.interrupted:
        warnings.append("The run was interrupted; this is the part that was done.")
    warnings += [_cut(notice.text) for notice in summary.notices]
    shown = _fitting(warnings[:_MOST], room)
    if len(shown) < len(warnings):
        shown.append(wording.plural(len(warnings) - len(shown), "more warning"))
    for warning in shown:
        yield from (f"⚠️ {warning}", "")


def _is_listed(group: Group) -> bool:
    return group.finding.severity is not Severity.NOTE and not group.is_declared


def _left_out(summary: Summary, more: int) -> list[str]:
    """How many findings are not listed, and where they are."""
    counts = Counter(group.label for group in summary.groups() if not _is_listed(group))
    left = [wording.plural(more, "more finding")] if more else []
    left += [wording.plural(count, label) for label, count in counts.items()]
    where = "all are in the HTML report, `logitmus report RUN --html report.html`"
    return [f"Not listed here: {' and '.join(left)}; {where}", ""] if left else []


def _against(summary: Summary) -> list[str]:
    """What is new since the earlier run."""
    if summary.against is None:
        return []
    groups = summary.groups()
    lines = [f"- {_cut(line)}" for line in summary.against.lines(groups)]
    return [f"**{cell(summary.against.headline(groups))}**", "", *lines, *([""] if lines else [])]


def _fold(title: str, head: Sequence[str], rows: Sequence[str], room: int) -> list[str]:
    """A section that opens at a click, with as many rows as fit; empty if there are none, or none fits."""
    frame = [f"<details><summary>{title}</summary>", "", *head, "", "</details>", ""]
    fitting = _fitting(rows, room - _size(frame))
    if not fitting:
        return []
    left = len(rows) - len(fitting)
    rest = ["", f"and {left:,} more"] if left else []
    return [*frame[: 2 + len(head)], *fitting, *rest, *frame[-3:]]


def _fitting(rows: Iterable[str], room: int) -> list[str]:
    """The first rows, as many as have room."""
    fitting = []
    for row in rows:
        room -= _size([row])
        if room < 0:
            break
        fitting.append(row)
    return fitting


def _size(lines: Iterable[str]) -> int:
    return sum(len(line) + 1 for line in lines)


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
    more = [f"{label}: {words}" for label, words in view.fields(*_MORE)]
    mark = "☑️" if group.is_accepted else _MARKS[finding.severity]
    columns = (
        f"{mark} {group.label}",
        f"{code(finding.id)} {_cut('; '.join([finding.summary, *more]))}",
        _cut(f"{view.affects} ({wording.plural(group.count, 'result')})"),
    )
    return f"| {' | '.join(columns)} |"


def _example(group: Group) -> str:
    finding, view = group.finding, FindingView.of(group)
    texts = dict(view.fields())
    columns = (
        code(finding.id),
        f"{code(finding.problem)} {_cut(view.minimal_input)}",
        _cut(texts.get("expected", "")),
        _cut(texts.get("got", "")),
    )
    return f"| {' | '.join(columns)} |"


def _cut(value: str) -> str:
    """Text as in `cell`, without the end of a long one."""
    return cell(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…")


def code(value: str) -> str:
    """An id as code, where it needs no escapes; else as text."""
    return f"`{value}`" if value and _PLAIN.fullmatch(value) else cell(value)


def cell(value: str) -> str:
    """Text that is text: no HTML, table bars, code, emphasis, links, mentions of people or line breaks of its own."""
    flat = html.escape(" ".join(wording.printable(value).split()), quote=False)
    for special in "\\`*_[]|~":
        flat = flat.replace(special, f"\\{special}")
    return flat.replace("@", "@\u2060")  # a word joiner: nothing to see, and no name of a person
