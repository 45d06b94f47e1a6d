"""The HTML report: one self-contained file, no network, no script from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from logitmus.finding import Grade, Kind, Severity, Verdict
from logitmus.problem import Array, Problem
from logitmus.reports import wording
from logitmus.reports.summary import Cell, Group, Summary

_MOST_CLASSES = 40


def write(summary: Summary, path: Path) -> None:
    """Write the report."""
    path.write_text(render(summary), encoding="utf-8")


def render(summary: Summary) -> str:
    """The report as text; everything from data is escaped by the template engine."""
    groups = [_GroupView.of(n, group) for n, group in enumerate(summary.groups(), 1)]
    return (
        _environment()
        .get_template("report.html")
        .render(
            summary=summary,
            groups=groups,
            matrices=_matrices(summary),
            links=_links(groups),
            severities=wording.SEVERITIES,
            grades=wording.GRADES,
            kinds=wording.KINDS,
            Severity=Severity,
            Verdict=Verdict,
            Kind=Kind,
            Grade=Grade,
            data=_embedded(summary.as_dict()),
            environment=_facts(dict(summary.started.environment) if summary.started else {}),
            backends=[(b, _facts(dict(b.environment))) for _, b in sorted(summary.backends.items())],
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("logitmus.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda n: f"{n:,}"
    return environment


def _embedded(data: Mapping[str, Any]) -> Markup:
    """JSON inside a script element: no character of it can end the element or start another."""
    text = json.dumps(data, sort_keys=True, allow_nan=False, default=str)
    for character, escape in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(character, escape)
    return Markup(text)  # noqa: S704  (escaped just above)


# --- the matrix ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _CellView:
    """A cell of the matrix: its letter, its class for the style sheet, and the words behind it."""

    letter: str
    tone: str
    title: str

    @classmethod
    def of(cls, subject: str, family: str, cell: Cell) -> _CellView:
        if not cell.asked:
            return cls("·", "none", f"{subject}, {family}: not run")
        known = cell.grade is not None and cell.grade is not Grade.COARSE
        letter = cell.grade.value if known and cell.grade else ("ok" if cell.counts[Verdict.PASS] else "?")
        counts = ", ".join(f"{n} {verdict.value}" for verdict, n in sorted(cell.counts.items()) if n)
        worst = f"; worst {cell.share:.2g} of its budget, {cell.ulps:.3g} ulps" if known else ""
        tone = cell.severity.value if cell.severity and cell.severity is not Severity.NOTE else "pass"
        if tone == "pass" and cell.counts[Verdict.ABSORBED]:
            tone = "absorbed"
        return cls(letter, tone, f"{subject}, {family}: {counts}{worst}")


def _matrices(summary: Summary) -> list[dict[str, Any]]:
    """One table a backend: families by its subjects."""
    out = []
    families = summary.family_names()
    by_backend: dict[str, list[str]] = {}
    for subject in summary.asked_subjects():
        by_backend.setdefault(subject.split(":", 1)[0], []).append(subject)
    for backend, subjects in by_backend.items():
        rows = [
            (family, [(s, _CellView.of(s, family, summary.cell(s, family))) for s in subjects]) for family in families
        ]
        names = [(s, s.split(":", 1)[1]) for s in subjects]
        out.append({"backend": backend, "subjects": names, "rows": rows})
    return out


def _links(groups: list[_GroupView]) -> dict[tuple[str, str], list[int]]:
    """The findings behind each cell."""
    links: dict[tuple[str, str], list[int]] = {}
    for view in groups:
        for cell in view.group.cells:
            links.setdefault(cell, []).append(view.number)
    return links


# --- the findings --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _GroupView:
    """A group of findings with everything the page shows of it."""

    number: int
    group: Group
    who: str
    question: str
    where: str
    measure: str
    why: str
    options: list[tuple[str, str]]
    classes: list[tuple[int, str, str, str]]
    left_out: int

    @classmethod
    def of(cls, number: int, group: Group) -> _GroupView:
        finding, problem = group.finding, group.problem
        classes = _classes(problem, finding.row or 0)
        return cls(
            number=number,
            group=group,
            who=wording.names(group.subjects),
            question=wording.question(problem, finding.row),
            where=wording.where(finding),
            measure=wording.measure(finding),
            why=wording.why(finding),
            options=_options(problem),
            classes=classes[:_MOST_CLASSES],
            left_out=max(0, problem.classes - _MOST_CLASSES),
        )


def _options(problem: Problem) -> list[tuple[str, str]]:
    said = {
        "shape": f"{problem.dtype}{list(problem.logits.shape)}",
        "reduction": problem.reduction,
        "ignore_index": "" if problem.ignore_index is None else str(problem.ignore_index),
        "label_smoothing": f"{problem.label_smoothing!r}" if problem.label_smoothing else "",
        "layout": "" if problem.layout == "contiguous" else problem.layout,
        "family": problem.family,
        "idea": problem.idea,
    }
    return [(name, value) for name, value in said.items() if value]


def _classes(problem: Problem, row: int) -> list[tuple[int, str, str, str]]:
    """Per class: number, logit (decimal and exact), target, weight; of the row concerned."""
    if not problem.rows or not problem.classes:
        return []
    x = problem.logits.reshape(problem.rows, problem.classes)[row].astype(np.float64)
    if problem.target_kind == "labels":
        label = int(problem.targets.reshape(problem.rows)[row])
        targets = ["target" if k == label else "" for k in range(problem.classes)]
        if not 0 <= label < problem.classes:
            targets[0] = f"(label {label})"
    else:
        targets = _decimals(problem.targets.reshape(problem.rows, problem.classes)[row])
    weights = [""] * problem.classes if problem.weight is None else _decimals(problem.weight)
    return [(k, f"{v!r} = {v.hex()}", targets[k], weights[k]) for k, v in enumerate(x.tolist()[:_MOST_CLASSES])]


def _decimals(values: Array) -> list[str]:
    return [f"{v!r}" for v in values.astype(np.float64).tolist()]


def _facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """An environment as name and value, one level deep; installed packages last and together."""
    facts = []
    for name, value in environment.items():
        if name == "packages":
            continue
        if isinstance(value, Mapping):
            facts += [(f"{name}.{key}", str(item)) for key, item in value.items() if not isinstance(item, Mapping)]
        else:
            facts.append((name, str(value)))
    packages = environment.get("packages", {})
    if isinstance(packages, Mapping) and packages:
        facts.append(("packages", ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))))
    return facts
