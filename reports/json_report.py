"""The summary as JSON, for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from logitmus.results import serialize
from logitmus.results.summary import Summary


def write(summary: Summary, path: Path) -> None:
    """Write `serialize.as_dict`; the field "schema" is its version, and `schema()` describes it."""
    text = dumped(serialize.as_dict(summary))
    path.write_text(text + "\n", encoding="utf-8")


def dumped(values: Mapping[str, Any]) -> str:
    """Values as JSON; on standard output, GitHub's runner finds no command in it."""
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False, default=str)
    return text.replace("##[", "#\\u0023[")  # only strings can hold it


def schema() -> str:
    """The JSON Schema of what `write` writes."""
    file = resources.files("logitmus.reports") / "schema" / f"run-{serialize.SCHEMA}.schema.json"
    return file.read_text(encoding="utf-8")
