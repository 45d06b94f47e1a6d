"""The HTML report: a self-contained file, no network, no external script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from logitmus.conventions.claims import Claims
from logitmus.core.causes import Cause
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.core.finding import Kind, Severity, Verdict
from logitmus.core.subject import SubjectId
from logitmus.reports.html import convention_tools
from logitmus.reports.html.accuracy_section import experiments, plot_data, vega, worst_rows
from logitmus.reports.html.conventions_page import columns
from logitmus.reports.html.file_facts import NO_FILE, FileFacts
from logitmus.reports.html.finding_details import FindingDetails
from logitmus.reports.html.pages import embedded, templates
from logitmus.reports.terminal.conventions import headline
from logitmus.results import detection_power, exploration, metamorphic, serialize, wording
from logitmus.results.accuracy import worked_example
from logitmus.results.groups import Group
from logitmus.results.probes import subnormals
from logitmus.results.summary import Cell, Summary
from logitmus.results.verdict import in_words, provenance, sentence, wrong

# The verdicts on the calls, in the order of the page.
_VERDICTS = {
    Verdict.PASS: "passed",
    Verdict.ABSORBED: "absorbed",
    Verdict.FINDING: "with findings",
    Verdict.COARSE: "too coarse to judge",
    Verdict.UNDECIDED: "undecided",
}
_PACKAGES = "packages."
_BITES = 6  # findings on the first screen


def write(
    summary: Summary, path: Path, facts: FileFacts = NO_FILE, verdict: str = "", computes: Sequence[str] = ()
) -> None:
    """Write the report.

    Args:
        facts: what only the run's file says.
        verdict: the verdict of a check, in a sentence, for the title. computes: what the function computes, in lines.
    """
    path.write_text(render(summary, facts, verdict, computes), encoding="utf-8")


def render(summary: Summary, facts: FileFacts = NO_FILE, verdict: str = "", computes: Sequence[str] = ()) -> str:
    """The report as text; everything from data is escaped by the template engine."""
    findings = _findings(summary, facts)
    families = _families(summary)
    places, packages = _environments(summary)
    page = templates().get_template("report.html")
    text = page.render(
        summary=summary,
        title=verdict or summary.headline(),
        verdict=verdict,
        computes=computes,
        sentence=sentence(summary),
        bites=_bites(summary, findings),
        others_wrong=len(wrong(summary)) - _BITES,
        own=summary.started is not None and summary.started.settings.function is not None,
        provenance=provenance(summary, facts.made),
        headline=summary.headline(),
        tally_words=summary.findings_in_words(),
        extent=summary.extent(),
        tally=summary.tally(),
        verdicts=[(v.value, words, summary.verdicts[v]) for v, words in _VERDICTS.items() if summary.verdicts[v]],
        families=families,
        matrix=_matrix(summary, families),
        links=_links(findings),
        findings=findings,
        choices=_choices(findings, families),
        exploration=exploration,
        detection=detection_power,
        relations=metamorphic.table(summary.related),
        relation_grid=metamorphic.grid(summary.related),
        conventions=_conventions(summary),
        columns=columns(facts.measured),
        measured_headline=headline(facts.measured),
        tools=_tools(summary, facts.measured),
        fields=FIELDS,
        portable=PORTABLE.as_dict(),
        wording=wording,
        places=["harness", *sorted(summary.backends)],
        where=places,
        packages=packages,
        example=worked_example(),
        plots=embedded(plot_data(facts.curves, summary.distribution)) if facts.curves else "",
        experiments=experiments(facts.curves),
        vega=vega() if facts.curves else "",
        worst=worst_rows(facts.worst),
        trust=list(_trust(summary, facts)),
        not_run=summary.verdicts[Verdict.NOT_RUN],
        data=embedded(serialize.as_dict(summary)),
    )
    return wording.printable(text)


def _findings(summary: Summary, facts: FileFacts) -> list[FindingDetails]:
    groups = summary.groups()
    alike: dict[tuple[Kind, Cause], list[Group]] = {}
    for group in groups:
        alike.setdefault((group.finding.kind, group.finding.cause), []).append(group)
    return [
        FindingDetails.of(
            number,
            group,
            summary.subjects.get(group.finding.subject),
            summary,
            facts,
            alike[group.finding.kind, group.finding.cause],
        )
        for number, group in enumerate(groups, 1)
    ]


def _choices(findings: Sequence[FindingDetails], families: Sequence[str]) -> list[tuple[str, str, str, list[str]]]:
    """What findings can be narrowed by: the name, the word before the choice, the words for all, and the choices."""
    return [
        (name, word, words, choices)
        for name, word, words, choices in (
            ("backend", "of", "every framework", sorted({finding.backend for finding in findings})),
            ("function", "function", "every function", sorted({name for f in findings for name in f.functions})),
            ("kind", "kind", "every kind", sorted({finding.group.finding.kind.value for finding in findings})),
            ("family", "in", "every family", list(families)),
            ("dtype", "with", "every dtype", sorted({dtype for f in findings for dtype in f.group.dtypes})),
            ("device", "on", "every device", sorted({device for f in findings for device in f.devices})),
        )
        if len(choices) > 1 or name in ("backend", "family", "dtype")
    ]


def _bites(summary: Summary, findings: Sequence[FindingDetails]) -> list[tuple[int, str]]:
    """The worst findings in words, each with its number on the page."""
    numbers = {finding.group.fingerprint: finding.number for finding in findings}
    return [(numbers[group.fingerprint], in_words(group)) for group in wrong(summary)[:_BITES]]


def _families(summary: Summary) -> list[str]:
    """The families in the order of the matrix: the worst findings first, where a narrow screen shows them."""
    order = [severity.value for severity in Severity]

    def rank(family: str) -> tuple[int, str]:
        tones = {summary.cell(subject, family).tone for subject in summary.requested_subjects()}
        return min((order.index(tone) for tone in tones if tone in order), default=len(order)), family

    return sorted(summary.family_names(), key=rank)


def _matrix(summary: Summary, families: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Per backend its subjects, each with its name in parts and its cells in the order of the families."""
    subjects = summary.requested_subjects()
    several_devices = len({SubjectId.parse(subject).device for subject in subjects}) > 1
    matrix = []
    for backend, of_backend in groupby(subjects, key=lambda subject: SubjectId.parse(subject).backend):
        rows: list[dict[str, Any]] = []
        for (function, _, modes, device), subject in sorted((_parts(subject), subject) for subject in of_backend):
            cells = [_cell(subject, family, summary.cell(subject, family)) for family in families]
            again = bool(rows) and rows[-1]["function"] == function
            parts = [*modes, f"@{device}"] if several_devices else modes
            rows.append({"id": subject, "function": function, "modes": parts, "again": again, "cells": cells})
        matrix.append((backend, rows))
    return matrix


def _parts(subject: str) -> tuple[str, int, list[str], str]:
    """`torch:cross_entropy+compile@cpu`: function, number of modes, modes, device; eager sorts first."""
    parts = SubjectId.parse(subject)
    return parts.function, len(parts.modes), list(parts.modes), parts.device


def _cell(subject: str, family: str, cell: Cell) -> dict[str, str]:
    words = {**_VERDICTS, Verdict.NOT_RUN: "not run"}
    counts = ", ".join(f"{cell.counts[verdict]:,} {words[verdict]}" for verdict in words if cell.counts[verdict])
    graded = cell.letter not in ("ok", "?", ".")
    worst = f"; worst {wording.budgets(cell.share)}, {wording.ulps(cell.ulps)}" if graded else ""
    grade = f"grade {cell.letter}, " if graded else ""
    return {
        "family": family,
        "letter": cell.letter if cell.requested else "·",
        "tone": cell.tone,
        "title": f"{subject}, {family}: {grade}{counts or 'not run'}{worst}",
    }


def _links(findings: list[FindingDetails]) -> dict[tuple[str, str], list[int]]:
    """The findings behind each cell."""
    links: dict[tuple[str, str], list[int]] = {}
    for finding in findings:
        for cell in finding.group.cells:
            links.setdefault(cell, []).append(finding.number)
    return links


def _conventions(summary: Summary) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """What subjects declare other than the portable convention, with links; equal declarations are merged."""
    declared: dict[tuple[str, tuple[tuple[str, str, str], ...]], list[str]] = {}
    for subject in serialize.as_dict(summary)["subjects"]:
        choices = tuple(
            (FIELDS[name].decides, FIELDS[name].values[value], wording.link(subject["docs"].get(name, "")))
            for name, value in subject["convention"].items()
        )
        declared.setdefault((SubjectId.parse(subject["id"]).backend, choices), []).append(subject["id"])
    return sorted((wording.names(subjects), list(choices)) for (_, choices), subjects in declared.items())


def _tools(summary: Summary, measured: Sequence[Claims]) -> Markup | str:
    subjects = [summary.subjects[name] for name in summary.requested_subjects() if name in summary.subjects]
    tools = convention_tools.data(subjects, measured)
    return embedded(tools) if tools else ""


def _environments(summary: Summary) -> tuple[list[tuple[str, list[str]]], list[tuple[str, list[str]]]]:
    """Facts and package versions, each with a column for the harness and for every backend."""
    harness = summary.started.environment if summary.started else {}
    places = [_flat(harness), *(_flat(b.environment) for _, b in sorted(summary.backends.items()))]
    names = sorted({name for place in places for name in place})
    rows = [(name, [place.get(name, "") for place in places]) for name in names]
    facts = [row for row in rows if not row[0].startswith(_PACKAGES)]
    packages = [(name.removeprefix(_PACKAGES), of) for name, of in rows if name.startswith(_PACKAGES)]
    return facts, packages


def _trust(summary: Summary, facts: FileFacts) -> Iterator[tuple[str, str, str]]:
    """What the verdicts rest on and do not cover: a name, a sentence, and the section with the details."""
    yield (
        "Exact values",
        "Each is an interval that is proven to hold the exact value, and each budget is derived from rounding errors. "
        "No framework is the reference of another.",
        "",
    )
    yield "Detection power", f"{_capital(detection_power.score(summary.power))}.", "detection"
    for words in subnormals(facts.flushing):
        yield "Floating point", f"{words}.", "environment"
    not_run = summary.verdicts[Verdict.NOT_RUN]
    if not_run:
        words = (
            f"{wording.plural(not_run, 'call')} not made: the function does not take such input, or it could not run."
        )
        yield "Not run", words, "environment"
    open_calls = summary.verdicts[Verdict.COARSE] + summary.verdicts[Verdict.UNDECIDED]
    if open_calls:
        words = "the budget would let any number pass, or the interval is too wide to decide."
        yield "Not decided", f"{wording.plural(open_calls, 'call')}: {words}", "legend"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, part in value.items():
        if isinstance(part, Mapping):
            flat |= _flat(part, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = ", ".join(map(str, part)) if isinstance(part, list | tuple) else str(part)
    return flat
