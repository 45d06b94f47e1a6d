"""Conventions measured beside declared, as a table for a browser: a page of its own, and a section of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from logitmus.conventions.claims import Claim, Claims
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.core.events import BackendReady, Event
from logitmus.reports.html.pages import templates
from logitmus.reports.terminal.conventions import headline
from logitmus.results import wording

_PORTABLE: Final = PORTABLE.as_dict()


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of some subjects.

    Attributes:
        shown: the measured value, what is left, or "?".
        tone: "bug" (contradicted), "difference" (not the portable choice), "pass", "open" (not determined).
        declared: the declared value, where it is another or nothing was determined; docs: a link to where.
        why, evidence: what told the value apart, or what is missing; ids of problems.
    """

    shown: str
    tone: str
    declared: str
    docs: str
    why: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Subjects of one backend that are alike in every field: (function, modes) each."""

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
    text = page.render(
        headline=headline(found),
        columns=columns(found),
        fields=FIELDS,
        portable=_PORTABLE,
        versions=_versions(found, backends),
        wording=wording,
    )
    return wording.printable(text)


def columns(found: Iterable[Claims]) -> list[Column]:
    """Subjects that are alike are one column; backend by backend."""
    alike: dict[tuple[object, ...], list[Claims]] = {}
    for one in found:
        told = tuple((c.declared, c.measured.state, c.measured.values) for c in one.fields.values())
        alike.setdefault((one.subject.backend, told), []).append(one)
    return [_column(group) for _, group in sorted(alike.items(), key=lambda item: item[1][0].subject.id)]


def _column(group: Sequence[Claims]) -> Column:
    first = group[0]
    modes: dict[str, list[str]] = {}
    for one in group:
        subject = one.subject
        mode = "+".join(subject.modes) or "eager"
        modes.setdefault(subject.function, []).append(mode if subject.device == "cpu" else f"{mode}@{subject.device}")
    functions = tuple((name, "" if of == ["eager"] else ", ".join(sorted(of))) for name, of in modes.items())
    names = wording.names(one.subject.id for one in group)
    return Column(first.subject.backend, functions, names, tuple(_cell(first[name]) for name in FIELDS))


def _cell(claim: Claim) -> Cell:
    known, agreement = claim.measured, claim.agreement
    if known.state == "measured":
        (shown,) = known.values
        tone = "pass" if shown == _PORTABLE[claim.field] else "difference"
    else:
        some = len(known.values) < len(FIELDS[claim.field].values)
        shown = (" or ".join(known.values) or "none fits") if some else "?"
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
    named: dict[str, set[str]] = {}
    for one in found:
        named.setdefault(one.subject.backend, {one.subject.backend}).add(one.subject.function.split(".")[0])
    told = []
    for ready in backends:
        if isinstance(ready, BackendReady):
            names = {part for subject in ready.subjects for part in named.get(subject.backend, ())}
            packages = ready.environment.get("packages", {})
            of = [f"{name} {version}" for name, version in packages.items() if name.split("_")[0] in names]
            told.append((ready.backend, ", ".join(of)))
    return told
