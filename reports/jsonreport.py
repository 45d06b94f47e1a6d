"""The summary as JSON, for machines."""

from __future__ import annotations

import json
from pathlib import Path

from logitmus.reports.summary import Summary


def write(summary: Summary, path: Path) -> None:
    """Write `summary.as_dict()`; the field "schema" says its version."""
    text = json.dumps(summary.as_dict(), indent=1, sort_keys=True, allow_nan=False, default=str)
    path.write_text(text + "\n", encoding="utf-8")
