"""The summary as JSON, for machines."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from logitmus.results import serialize
from logitmus.results.summary import Summary


def write(summary: Summary, path: Path) -> None:
    """Write `serialize.as_dict`; the field "schema" is its version, and `schema()` describes it."""
    text = json.dumps(serialize.as_dict(summary), indent=1, sort_keys=True, allow_nan=False, default=str)
    path.write_text(text + "\n", encoding="utf-8")


def schema() -> str:
    """The JSON Schema of what `write` writes."""
    file = resources.files("logitmus.reports") / "schema" / f"run-{serialize.SCHEMA}.schema.json"
    return file.read_text(encoding="utf-8")
