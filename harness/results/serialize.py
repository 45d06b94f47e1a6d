"""Serialise a summary: plain values, for JSON."""

from __future__ import annotations

from typing import Any, Final

from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.finding import Verdict
from logitmus.core.subject import Subject
from logitmus.results import exploration, metamorphic, repetition, wording
from logitmus.results.groups import Group
from logitmus.results.summary import Cell, Summary
from logitmus.results.wording import finite

SCHEMA: Final = 2


def as_dict(summary: Summary) -> dict[str, Any]:
    """The whole summary, as `reports/schema` describes it; `schema` is its version.

    Nothing in it depends on the time or on the order of the events: equal results have equal JSON.
    """
    return {
        "schema": SCHEMA,
        "headline": summary.headline(),
        "settings": summary.started.settings.as_dict() if summary.started else {},
        "interrupted": summary.finished.interrupted if summary.finished else None,
        "problems": len(summary.problems),
        "rows": summary.rows,
        "calls": summary.calls,
        "absorbed": summary.absorbed,
        "undecided": summary.undecided,
        "verdicts": {verdict.value: summary.verdicts[verdict] for verdict in Verdict},
        "not_run": dict(sorted(summary.not_run.items())),
        "harness": dict(summary.started.environment) if summary.started else {},
        "backends": [
            {"name": b.name, "failed": b.failed, "hint": b.hint, "environment": dict(b.environment)}
            for _, b in sorted(summary.backends.items())
        ],
        "subjects": [
            {"id": s, "convention": _declared(summary.subjects.get(s)), "docs": _docs(summary.subjects.get(s))}
            for s in summary.subject_ids()
        ],
        "matrix": [_cell(key, summary.cells[key]) for key in sorted(summary.cells)],
        "relations": metamorphic.as_dicts(summary.related),
        "repeated": repetition.as_dicts(summary.repeated),
        "detection": None if summary.power is None else summary.power.as_dict(),
        "explored": exploration.as_dict(summary.explored),
        "against": None if summary.against is None else summary.against.as_dict(),
        "findings": [_group(group) for group in summary.groups()],
    }


def _cell(key: tuple[str, str], record: Cell) -> dict[str, Any]:
    return {
        "subject": key[0],
        "family": key[1],
        "grade": record.grade.value if record.grade else None,
        "severity": record.severity.value if record.severity else None,
        "counts": {verdict.value: record.counts[verdict] for verdict in Verdict if record.counts[verdict]},
        "share": finite(record.share),
        "ulps": finite(record.ulps),
    }


def _group(group: Group) -> dict[str, Any]:
    finding = group.finding
    return {
        "id": finding.id,
        "fingerprint": group.fingerprint,
        "kind": finding.kind.value,
        "severity": finding.severity.value,
        "cause": finding.cause,
        "summary": finding.summary,
        "dependences": list(group.dependences),
        "subjects": sorted(group.subjects),
        "families": sorted(group.families),
        "dtypes": sorted(group.dtypes),
        "parts": sorted(filter(None, group.parts)),
        "count": group.count,
        "characteristic": group.characteristic,
        "accepted": group.accepted,
        "accepted_because": sorted(group.reasons),
        "new": group.new if group.earlier else None,
        "example": {
            "subject": finding.subject,
            "problem": finding.problem,
            "question": wording.question(group.problem, finding.row),
            "part": finding.part,
            "row": finding.row,
            "index": finding.index,
            "expected": finding.expected,
            "observed": finding.observed,
            "ulps": finite(finding.ulps),
            "share": finite(finding.share),
            **({"without": finding.without, "effect": finding.effect} if finding.without else {}),
            "detail": finding.detail,
            "alternatives": [_alternative(cause) for cause in finding.alternatives],
        },
    }


def _alternative(cause: Cause) -> str:
    """Conventions as "field=value", other causes in full: this is how the schema has it."""
    return cause.detail if cause.name in ("convention", "accepted") else cause


def _declared(subject: Subject | None) -> dict[str, str]:
    return {} if subject is None else {k: mine for k, (mine, _) in subject.convention.differences(PORTABLE).items()}


def _docs(subject: Subject | None) -> dict[str, str]:
    return {} if subject is None else dict(subject.docs)
