"""Conventions measured beside declared: for a person at a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from logitmus.conventions.claims import Claim, Claims
from logitmus.core.convention import FIELDS
from logitmus.core.subject import SubjectId
from logitmus.reports.terminal.run import text
from logitmus.results import wording

SCHEMA: Final = 1
_LABEL: Final = len("declared")
_WIDEST: Final = max(len(value) for field in FIELDS.values() for value in field.values)
LEGEND: Final = "!! not as declared, or no value explains what came; ? open: not determined, and why"
Said = tuple[Claims, Claim]
Row = tuple[str, str, str]


def render(found: Sequence[Claims], console: Console) -> None:
    """Print every field: who was measured to have which value, and what told it apart."""
    totals = _totals(found)
    for name, field in FIELDS.items():
        said = [(one, one[name]) for one in found]
        console.print(text(f"{name}: {field.decides}", "bold"))
        console.print(Padding(_table(_rows(said, totals)), (0, 0, 1, 1)))
    console.print(text(LEGEND))
    console.print(text(headline(found)))


def render_field(found: Sequence[Claims], name: str, console: Console) -> None:
    """Print one field in full: formulas, every subject, what it declares and by which documentation, all evidence."""
    field = FIELDS[name]
    console.print(text(f"{name}: {field.decides}", "bold"))
    said = [(one, one[name]) for one in found]
    for value, means in field.values.items():
        formula = f"  [{field.formulas[value]}]" if value in field.formulas else ""
        console.print(Padding(text(f"{value}: {means}{formula}", "bold"), (1, 0, 0, 1)))
        having = [(one, claim) for one, claim in said if _has(claim, value)]
        console.print(Padding(_table(_in_full(having), _LABEL) if having else text("nobody here"), (0, 0, 0, 3)))
    for state, title in (("contradicted", "no value explains all that came"), ("undetermined", "not determined")):
        of_state = [one for one in said if one[1].measured.state == state]
        if of_state:
            console.print(Padding(text(title, "bold"), (1, 0, 0, 1)))
            console.print(Padding(_table(_in_full(of_state), _LABEL), (0, 0, 0, 3)))


def as_dict(found: Sequence[Claims], names: Iterable[str] | None = None) -> dict[str, Any]:
    """As JSON has it, all fields or those of these names; "schema" is its version."""
    names = list(FIELDS if names is None else names)
    return {
        "schema": SCHEMA,
        "fields": {
            name: {
                "decides": FIELDS[name].decides,
                "values": {
                    value: {"means": means, "formula": FIELDS[name].formulas.get(value)}
                    for value, means in FIELDS[name].values.items()
                },
            }
            for name in names
        },
        "subjects": [
            {
                "subject": one.subject.id,
                "targets": one.card.targets,
                "calls": one.card.calls,
                "remarks": list(one.card.remarks),
                "fields": [_claim(one[name]) for name in names],
            }
            for one in found
        ],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "field": claim.field,
        "declared": claim.declared,
        "docs": wording.link(claim.docs) or None,
        "agreement": claim.agreement,
        **{name: value for name, value in asdict(claim.measured).items() if name != "field"},
    }


def headline(found: Sequence[Claims]) -> str:
    """How many of the declarations hold."""
    counted = {"agrees": 0, "contradicts": 0, "undetermined": 0}
    for one in found:
        for claim in one.fields.values():
            counted[claim.agreement] += 1
    told = f"{counted['agrees']:,} as declared, {counted['contradicts']:,} otherwise, {counted['undetermined']:,} open"
    return f"{wording.plural(len(found), 'subject')}, {len(FIELDS)} fields each: {told}"


# --- all fields ------------------------------------------------------------------------------------------------------


def _rows(said: Sequence[Said], totals: dict[str, int]) -> Iterator[Row]:
    """By value, then what is contradicted, then what is open: a mark, the value, what it means, who and why."""
    field = FIELDS[said[0][1].field]
    for value, means in field.values.items():
        having = [(one, claim) for one, claim in said if _has(claim, value)]
        if having:
            yield "", value, means
            yield from _having(having, totals)
    for state, mark in (("contradicted", "!!"), ("undetermined", "?")):
        for (left, declared, why), who in _by((one for one in said if one[1].measured.state == state), _open).items():
            values = " or ".join(left) if len(left) < len(field.values) else ""
            against = f" (declared: {declared})" if declared else ""
            names = "; ".join(_who(who, totals, brief=mark == "?"))
            evidence = "".join(f" ({problem})" for problem in who[0][1].measured.evidence[:1] if declared)
            yield "!!" if declared else mark, values, f"{names}: {why}{evidence}{against}"


def _having(having: Sequence[Said], totals: dict[str, int]) -> Iterator[Row]:
    """Who is measured to have a value, backend by backend; and the problem that tells it apart."""
    for (agreement, declared), who in _by(having, lambda claim: (claim.agreement, claim.declared)).items():
        wrong = agreement == "contradicts"
        for names in _who(who, totals):
            yield "!!" if wrong else "", "", f"{names} (declared: {declared})" if wrong else names
    measured = having[0][1].measured
    if measured.evidence:
        yield "", "", f"{measured.why} ({measured.evidence[0]})"


def _has(claim: Claim, value: str) -> bool:
    return claim.measured.state == "measured" and claim.measured.values == (value,)


def _open(claim: Claim) -> tuple[tuple[str, ...], str, str]:
    """What is left, what was declared where that is ruled out, and why it is open."""
    declared = claim.declared if claim.agreement == "contradicts" else ""
    return claim.measured.values, declared, claim.measured.why


def _by(said: Iterable[Said], key: Any) -> dict[Any, list[Said]]:
    groups: dict[Any, list[Said]] = {}
    for one in said:
        groups.setdefault(key(one[1]), []).append(one)
    return groups


def _totals(found: Iterable[Claims]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in found:
        totals[one.subject.backend] = totals.get(one.subject.backend, 0) + 1
    return totals


def _who(said: Iterable[Said], totals: dict[str, int], *, brief: bool = False) -> Iterator[str]:
    """Backend by backend: all of its subjects, or their names (brief: how many)."""
    for backend, of_backend in groupby(
        sorted(one.subject.id for one, _ in said), key=lambda subject: SubjectId.parse(subject).backend
    ):
        subjects, total = list(of_backend), totals[backend]
        if 1 < len(subjects) == total:
            yield f"{backend}: all {total}"
        elif brief:
            yield f"{backend}: {len(subjects)} of {total}"
        else:
            yield wording.names(subjects)


# --- one field in full -----------------------------------------------------------------------------------------------


def _in_full(said: Sequence[Said]) -> Iterator[Row]:
    def told(claim: Claim) -> tuple[object, ...]:
        return claim.declared, claim.agreement, claim.measured, wording.link(claim.docs)

    for backend, of_backend in groupby(said, key=lambda one: one[0].subject.backend):
        del backend
        for (_, agreement, measured, docs), who in _by(of_backend, told).items():
            mark = {"contradicts": "!!", "undetermined": "?"}.get(agreement, "")
            declared = who[0][1].declared
            yield mark, "who", wording.names(one.subject.id for one, _ in who)
            yield "", "declared", f"{declared}{f', {docs}' if docs else '; no documentation is named'}"
            if measured.state != "measured" and len(measured.values) < len(FIELDS[measured.field].values):
                yield "", "left", " or ".join(measured.values) or "nothing"
            yield "", "why", measured.why
            if measured.evidence:
                yield "", "problems", ", ".join(measured.evidence)


def _table(rows: Iterable[Row], width: int = _WIDEST) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(width=2)
    table.add_column(width=width)
    table.add_column(overflow="fold")  # links are told whole
    for row in rows:
        table.add_row(*map(text, row))
    return table
