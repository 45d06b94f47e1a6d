"""The summary as JSON, for machines."""

from __future__ import annotations

import json
from pathlib import Path

from logitmus.results import serialize
from logitmus.results.summary import Summary


def write(summary: Summary, path: Path) -> None:
    """Write `machine.as_dict`; the field "schema" says its version."""
    text = json.dumps(serialize.as_dict(summary), indent=1, sort_keys=True, allow_nan=False, default=str)
    path.write_text(text + "\n", encoding="utf-8")
