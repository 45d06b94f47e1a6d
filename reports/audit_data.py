"""An audit, or a comparison of runs, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from logitmus.auditing.headline import headline, of_audit
from logitmus.auditing.transitions import Audit, Step
from logitmus.results import wording

SCHEMA: Final = 1


def as_dict(audit: Audit) -> dict[str, Any]:
    """Plain values; infinity is "infinite"."""
    plain: dict[str, Any] = wording.all_finite(
        {
            "schema": SCHEMA,
            "headline": of_audit(audit),
            "changed": audit.changed,
            "worse": audit.worse,
            "columns": [{"name": name, "file": file} for name, file in zip(audit.columns, audit.files, strict=True)],
            "steps": [_step(step) for step in audit.steps],
            "notes": list(audit.notes),
        }
    )
    return plain


def to_json(audit: Audit) -> str:
    """The same as text."""
    return json.dumps(as_dict(audit), indent=1, allow_nan=False, default=str)


def _step(step: Step) -> dict[str, Any]:
    c = step.comparison
    return {
        "title": step.title,
        "headline": headline(step),
        "before": step.before,
        "after": step.after,
        "compared": {
            "problems": c.problems,
            "calls": c.pairs,
            "only_before": c.only_before,
            "only_after": c.only_after,
            "not_made": c.not_made,
            "backends_gone": list(c.backends_gone),
        },
        "environment": [asdict(change) for change in c.environment],
        "transitions": [asdict(transition) for transition in step.transitions],
        "moved": asdict(step.moved),
        "subjects": {
            name: {"before": asdict(before), "after": asdict(after)} for name, (before, after) in step.states.items()
        },
    }
