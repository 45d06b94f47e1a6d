"""A badge: the findings that are not accepted, as an SVG image, or as JSON for the endpoint of shields.io."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Final

from logitmus.core.finding import Severity
from logitmus.results import outcome, wording
from logitmus.results.summary import Summary

_LABEL: Final = "logitmus"
_COLOURS: Final = {
    Severity.BUG: ("red", "#c62828"),
    Severity.HAZARD: ("orange", "#b45309"),
    Severity.DIFFERENCE: ("yellow", "#8a6d00"),
    Severity.NOTE: ("brightgreen", "#2e7d32"),
    None: ("brightgreen", "#2e7d32"),
}
_UNKNOWN: Final = ("lightgrey", "#616161")
_CHARACTER: Final = 6.6  # pixels, on average, of an 11 pixel sans-serif letter


def write(summary: Summary, path: Path) -> None:
    """Write the file: JSON if its name ends in ".json", else SVG."""
    text = _endpoint(summary) if path.suffix == ".json" else _svg(summary)
    path.write_text(text, encoding="utf-8")


def _message(summary: Summary) -> str:
    return wording.printable(outcome.in_words(summary))


def _colour(summary: Summary) -> tuple[str, str]:
    """The colour by the name that shields.io has for it, and one on which white text is readable."""
    if not outcome.is_known(summary):
        return _UNKNOWN
    worst = outcome.worst(summary)
    if worst is None and any(notice.counts for notice in summary.notices):
        worst = Severity.DIFFERENCE
    return _COLOURS[worst]


def _endpoint(summary: Summary) -> str:
    """See https://shields.io/badges/endpoint-badge."""
    badge = {"schemaVersion": 1, "label": _LABEL, "message": _message(summary), "color": _colour(summary)[0]}
    return json.dumps(badge, indent=1) + "\n"


def _svg(summary: Summary) -> str:
    message = _message(summary)
    left, right = (round(_CHARACTER * len(text)) + 12 for text in (_LABEL, message))
    width, title, words = left + right, html.escape(f"{_LABEL}: {message}"), html.escape(message)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n"
        f'<rect width="{left}" height="20" fill="#444"/>\n'
        f'<rect x="{left}" width="{right}" height="20" fill="{_colour(summary)[1]}"/>\n'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\n'
        f'<text x="{left / 2:g}" y="14">{_LABEL}</text>\n'
        f'<text x="{left + right / 2:g}" y="14">{words}</text>\n'
        "</g>\n</svg>\n"
    )
