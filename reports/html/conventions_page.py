"""Conventions, measured and documented, as an HTML table: a page, and a section of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from logitmus.conventions.claims import Claim, Claims
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.core.events import BackendReady, Event
from logitmus.reports.html import convention_tools
from logitmus.reports.html.pages import embedded, templates
from logitmus.reports.terminal.conventions import extent, headline, verdict
from logitmus.results import versions, wording

_PORTABLE: Final = PORTABLE.as_dict()


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of some subjects.

    Attributes:
        shown: the measured value, the remaining values, or "?".
        tone: "bug" (contradicted), "difference" (not the portable choice), "pass", "open" (not determined).
        declared: the documented value; docs: a link to the documentation.
        why, evidence: what distinguishes the value from others, or what is missing; ids of problems.
    """

    shown: str
    tone: str
    declared: str
    docs: str
    why: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Subjects of a backend with the same values in every field, as (function, modes)."""

    backend: str
    functions: tuple[tuple[str, str], ...]
    subjects: str
    cells: tuple[Cell, ...]


def write(found: Sequence[Claims], path: Path, backends: Iterable[Event] = ()) -> None:
    """Write the page; `backends` is what ran, as the run's file has it."""
    path.write_text(render(found, backends), encoding="utf-8")


def render(found: Sequence[Claims], backends: Iterable[Event] = ()) -> str:
    """The page as text; everything from data is escaped by the template engine."""
    page = templates().get_template("conventions.html")
    tools = convention_tools.data((claims.subject for claims in found), found)
    text = page.render(
        title=headline(found),
        extent=extent(found),
        verdict=verdict(found),
        columns=columns(found),
        fields=FIELDS,
        portable=_PORTABLE,
        versions=_versions(found, backends),
        tools=embedded(tools) if tools else "",
        wording=wording,
    )
    return wording.printable(text)


def columns(found: Iterable[Claims]) -> list[Column]:
    """The columns, backend by backend; subjects with the same values share a column."""
    alike: dict[tuple[object, ...], list[Claims]] = {}
    for claims in found:
        choices = tuple((c.declared, c.measured.state, c.measured.values) for c in claims.fields.values())
        alike.setdefault((claims.subject.backend, choices), []).append(claims)
    return [_column(group) for _, group in sorted(alike.items(), key=lambda item: item[1][0].subject.id)]


def _column(group: Sequence[Claims]) -> Column:
    first = group[0]
    modes: dict[str, list[str]] = {}
    for claims in group:
        subject = claims.subject
        mode = "+".join(subject.modes) or "eager"
        modes.setdefault(subject.function, []).append(mode if subject.device == "cpu" else f"{mode}@{subject.device}")
    functions = tuple((name, "" if of == ["eager"] else ", ".join(sorted(of))) for name, of in modes.items())
    names = wording.names(claims.subject.id for claims in group)
    return Column(first.subject.backend, functions, names, tuple(_cell(first[name]) for name in FIELDS))


def _cell(claim: Claim) -> Cell:
    known, agreement = claim.measured, claim.agreement
    if known.state == "measured":
        (shown,) = known.values
        tone = "pass" if shown == _PORTABLE[claim.field] else "difference"
    else:
        some = len(known.values) < len(FIELDS[claim.field].values)
        shown = (" or ".join(known.values) or "none fits") if some else "?"
        if known.state == "contradicted":
            shown = "no value fits"
        tone = "open"
    return Cell(
        shown=shown,
        tone="bug" if agreement == "contradicts" else tone,
        declared=claim.declared,
        docs=wording.link(claim.docs),
        why=known.why,
        evidence=known.evidence,
    )


def _versions(found: Iterable[Claims], backends: Iterable[Event]) -> list[tuple[str, str]]:
    """Each backend with the versions of the packages that its functions are named after."""
    shown = {claims.subject.id for claims in found}
    texts = []
    for ready in backends:
        if isinstance(ready, BackendReady):
            packages = versions.tested((s for s in ready.subjects if s.id in shown), ready.environment)
            texts.append((ready.backend, ", ".join(f"{name} {version}" for name, version in packages.items())))
    return texts
