"""GitLab's Code Quality report: an issue for each group of findings that is not accepted.

GitLab compares the fingerprints of two branches and shows what is new; they must be unique in the file. The path must
lie in the repository, or the issue is not linked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from logitmus.core.finding import Severity
from logitmus.results import wording
from logitmus.results.finding_view import FindingView
from logitmus.results.groups import Group
from logitmus.results.source_location import SourceLocation
from logitmus.results.summary import Summary

_SEVERITIES: Final = {
    Severity.BUG: "critical",
    Severity.HAZARD: "major",
    Severity.DIFFERENCE: "minor",
    Severity.NOTE: "info",
}


def write(summary: Summary, path: Path, locate: Callable[[Group], SourceLocation]) -> None:
    """Write the file.

    Args:
        locate: the location of a group of findings (`logitmus.results.source_location`).
    """
    issues = [_issue(group, locate(group)) for group in summary.groups() if group.counts]
    path.write_text(json.dumps(issues, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _issue(group: Group, location: SourceLocation) -> dict[str, Any]:
    severity = Severity.NOTE if group.characteristic else group.finding.severity
    identity = f"{location.path}\n{group.fingerprint}"
    return {
        "description": FindingView.of(group).message,
        "check_name": wording.printable(group.finding.cause),
        "fingerprint": hashlib.blake2b(identity.encode(), digest_size=16).hexdigest(),
        "severity": _SEVERITIES[severity],
        "location": {"path": wording.printable(location.path), "lines": {"begin": location.line or 1}},
    }
