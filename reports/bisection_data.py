"""A bisection as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from logitmus.auditing.bisection import Bisection, Trial
from logitmus.results import wording

SCHEMA: Final = 1


def as_dict(bisection: Bisection) -> dict[str, Any]:
    """Plain values; infinity is "infinite"."""
    found = bisection.found
    plain: dict[str, Any] = wording.all_finite(
        {
            "schema": SCHEMA,
            "headline": bisection.headline,
            "package": bisection.package,
            "compared": bisection.symptom,
            "first": {"version": bisection.versions[0], "shows": bisection.ends[0]},
            "last": {"version": bisection.versions[-1], "shows": bisection.ends[1]},
            "found": found,
            "unchanged": bisection.unchanged.version if found else None,
            "changed": bisection.changed.version if found else None,
            "date": (bisection.changed.date or None) if found else None,
            "candidates": list(bisection.candidates) if found else [],
            "also_different": list(bisection.also_different) if found else [],
            "transitions": [asdict(transition) for transition in bisection.transitions],
            "releases": [_release(trial) for trial in bisection.trials],
            "not_tested": list(bisection.not_tested),
        }
    )
    return plain


def to_json(bisection: Bisection) -> str:
    """The same as text."""
    return json.dumps(as_dict(bisection), indent=1, allow_nan=False, default=str)


def _release(trial: Trial) -> dict[str, Any]:
    return {
        "version": trial.version,
        "date": trial.date or None,
        "state": trial.state,
        "reason": trial.reason or None,
        "file": trial.file or None,
    }
