"""Conventions, measured and documented, on a terminal and as JSON."""

from __future__ import annotations

from collections import Counter
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
_LABEL: Final = len("documented")
_WIDEST: Final = max(len(value) for field in FIELDS.values() for value in field.values)
LEGEND: Final = (
    "!! contradicts the documentation, or no known choice explains the results; ? not determined, with the reason"
)
Said = tuple[Claims, Claim]
Row = tuple[str, str, str]


def render(found: Sequence[Claims], console: Console) -> None:
    """Print every field: the functions with each value, and the evidence."""
    totals = _totals(found)
    for name, field in FIELDS.items():
        claims = [(subject, subject[name]) for subject in found]
        console.print(text(f"{name}: {field.decides}", "bold"))
        console.print(Padding(_table(_rows(claims, totals)), (0, 0, 1, 1)))
    console.print(text(LEGEND))
    console.print(text(headline(found)))


def render_field(found: Sequence[Claims], name: str, console: Console) -> None:
    """Print a field in full: formulas, every function, what its documentation says, all evidence."""
    field = FIELDS[name]
    console.print(text(f"{name}: {field.decides}", "bold"))
    claims = [(subject, subject[name]) for subject in found]
    for value, means in field.values.items():
        formula = f"  [{field.formulas[value]}]" if value in field.formulas else ""
        console.print(Padding(text(f"{value}: {means}{formula}", "bold"), (1, 0, 0, 1)))
        having = [(subject, claim) for subject, claim in claims if _has(claim, value)]
        console.print(Padding(_table(_in_full(having), _LABEL) if having else text("no function"), (0, 0, 0, 3)))
    for state, title in (("contradicted", "no known choice explains the results"), ("undetermined", "not determined")):
        of_state = [subject for subject in claims if subject[1].measured.state == state]
        if of_state:
            console.print(Padding(text(title, "bold"), (1, 0, 0, 1)))
            console.print(Padding(_table(_in_full(of_state), _LABEL), (0, 0, 0, 3)))


def as_dict(found: Sequence[Claims], names: Iterable[str] | None = None) -> dict[str, Any]:
    """All fields, or these, as plain values for JSON; "schema" is the version."""
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
                "subject": subject.subject.id,
                "targets": subject.card.targets,
                "calls": subject.card.calls,
                "remarks": list(subject.card.remarks),
                "fields": [_claim(subject[name]) for name in names],
            }
            for subject in found
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
    """How many of the declarations are confirmed, in a sentence."""
    return f"{extent(found)}: {verdict(found)}"


def extent(found: Sequence[Claims]) -> str:
    """How much was measured."""
    return f"{wording.plural(len(found), 'subject')}, {len(FIELDS)} fields each"


def verdict(found: Sequence[Claims]) -> str:
    """How many of the declarations are confirmed."""
    counts = Counter(claim.agreement for claims in found for claim in claims.fields.values())
    return (
        f"{counts['agrees']:,} confirmed, {counts['contradicts']:,} contradicted, "
        f"{counts['undetermined']:,} undetermined"
    )


def _rows(claims: Sequence[Said], totals: dict[str, int]) -> Iterator[Row]:
    """By value, then contradictions, then undetermined fields: a mark, the value, its meaning or the functions."""
    field = FIELDS[claims[0][1].field]
    for value, means in field.values.items():
        having = [(subject, claim) for subject, claim in claims if _has(claim, value)]
        if having:
            yield "", value, means
            yield from _having(having, totals)
    for state, mark in (("contradicted", "!!"), ("undetermined", "?")):
        for (left, declared, why), who in _by(
            (pair for pair in claims if pair[1].measured.state == state), _open
        ).items():
            values = " or ".join(left) if len(left) < len(field.values) else ""
            against = f" (documented: {declared})" if declared else ""
            names = "; ".join(_who(who, totals, brief=mark == "?"))
            evidence = "".join(f" ({problem})" for problem in who[0][1].measured.evidence[:1] if declared)
            yield "!!" if declared else mark, values, f"{names}: {why}{evidence}{against}"


def _having(having: Sequence[Said], totals: dict[str, int]) -> Iterator[Row]:
    """The functions with a value, backend by backend, and the evidence."""
    for (agreement, declared), who in _by(having, lambda claim: (claim.agreement, claim.declared)).items():
        wrong = agreement == "contradicts"
        for names in _who(who, totals):
            yield "!!" if wrong else "", "", f"{names} (documented: {declared})" if wrong else names
    measured = having[0][1].measured
    if measured.evidence:
        yield "", "", f"{measured.why} ({measured.evidence[0]})"


def _has(claim: Claim, value: str) -> bool:
    return claim.measured.state == "measured" and claim.measured.values == (value,)


def _open(claim: Claim) -> tuple[tuple[str, ...], str, str]:
    """The remaining values, the documented value if it is ruled out, and the reason."""
    declared = claim.declared if claim.agreement == "contradicts" else ""
    return claim.measured.values, declared, claim.measured.why


def _by(claims: Iterable[Said], key: Any) -> dict[Any, list[Said]]:
    groups: dict[Any, list[Said]] = {}
    for pair in claims:
        groups.setdefault(key(pair[1]), []).append(pair)
    return groups


def _totals(found: Iterable[Claims]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for subject in found:
        totals[subject.subject.backend] = totals.get(subject.subject.backend, 0) + 1
    return totals


def _who(claims: Iterable[Said], totals: dict[str, int], *, brief: bool = False) -> Iterator[str]:
    """Backend by backend: all of its subjects, or their names (brief: how many)."""
    for backend, of_backend in groupby(
        sorted(subject.subject.id for subject, _ in claims), key=lambda subject: SubjectId.parse(subject).backend
    ):
        subjects, total = list(of_backend), totals[backend]
        if 1 < len(subjects) == total:
            yield f"{backend}: all {total}"
        elif brief:
            yield f"{backend}: {len(subjects)} of {total}"
        else:
            yield wording.names(subjects)


def _in_full(claims: Sequence[Said]) -> Iterator[Row]:
    def shared(claim: Claim) -> tuple[object, ...]:
        return claim.declared, claim.agreement, claim.measured, wording.link(claim.docs)

    for backend, of_backend in groupby(claims, key=lambda pair: pair[0].subject.backend):
        del backend
        for (_, agreement, measured, docs), who in _by(of_backend, shared).items():
            mark = {"contradicts": "!!", "undetermined": "?"}.get(agreement, "")
            declared = who[0][1].declared
            yield mark, "functions", wording.names(subject.subject.id for subject, _ in who)
            yield "", "documented", f"{declared}{f', {docs}' if docs else '; no link'}"
            if measured.state != "measured" and len(measured.values) < len(FIELDS[measured.field].values):
                yield "", "remaining", " or ".join(measured.values) or "nothing"
            yield "", "reason", measured.why
            if measured.evidence:
                yield "", "problems", ", ".join(measured.evidence)


def _table(rows: Iterable[Row], width: int = _WIDEST) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(width=2)
    table.add_column(width=width)
    table.add_column(overflow="fold")  # links stay whole
    for row in rows:
        table.add_row(*map(text, row))
    return table
