"""Templates of the HTML pages, and data for their scripts; the template engine escapes every value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@cache
def templates() -> Environment:
    """The pages by name ("report.html")."""
    environment = Environment(
        loader=PackageLoader("logitmus.reports.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda n: f"{n:,}"
    return environment


def embedded(data: Mapping[str, Any]) -> Markup:
    """JSON for a script element, without characters that could end the element or start another."""
    text = json.dumps(data, sort_keys=True, allow_nan=False, default=str)  # beyond ASCII: \u escapes
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  (escaped just above)
