"""SARIF 2.1.0, for code scanning: a rule for each cause that was found, and a result for each group of findings.

What the common readers need of it:

- GitHub shows a result only with a physical location, on a path in the repository; `logitmus.results.source_location`
  chooses the file. It recognises an alert by `primaryLocationLineHash`. Where a result stands at a line, the upload
  action computes this hash from the source, as for any linter; where it stands at a file as a whole, this module gives
  a hash of the cause. Rules need a short and a full description and a help text. GitHub ignores suppressions: accepted
  findings are shown there unless the workflow dismisses suppressed alerts.
- The viewer of VS Code hides suppressed results by default, and resolves paths from the folder that is open.
- A reader of plain text sees the first sentence of a message, which therefore names the function and the fault.

Nothing in the file depends on the time or the machine, so that equal runs write equal bytes.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from logitmus import __version__
from logitmus.core import catalogue
from logitmus.core.causes import Cause
from logitmus.core.finding import Severity
from logitmus.results import detection_power, outcome, versions, wording
from logitmus.results.finding_view import FindingView
from logitmus.results.groups import Group
from logitmus.results.source_location import SourceLocation
from logitmus.results.summary import Summary

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {
    Severity.BUG: "error",
    Severity.HAZARD: "warning",
    Severity.DIFFERENCE: "note",
    Severity.NOTE: "note",
}
_MOST = 1000  # characters of a description: GitHub cuts them at 1,024
_PLACEHOLDER: Final = re.compile(r"\{(\d+)\}")


def write(summary: Summary, path: Path, locate: Callable[[Group], SourceLocation]) -> None:
    """Write the file.

    Args:
        locate: the location of a group of findings (`logitmus.results.source_location`).
    """
    text = json.dumps(as_dict(summary, locate), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def as_dict(summary: Summary, locate: Callable[[Group], SourceLocation]) -> dict[str, Any]:
    """The log, with one run in it."""
    groups = summary.groups()
    causes = sorted({group.finding.cause for group in groups})
    driver = {
        "name": "Logitmus",
        "version": __version__,
        "semanticVersion": __version__,
        "shortDescription": _message("Conformance tests of cross-entropy functions against exact values."),
        "rules": [_rule(cause) for cause in causes],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [_invocation(summary)],
        "columnKind": "unicodeCodePoints",
        "results": [_result(group, causes.index(group.finding.cause), locate(group)) for group in groups],
        "properties": {
            "headline": _plain(summary.headline()),
            "detectionPower": detection_power.score(summary.power),
            "packages": versions.of_backends(summary),
        },
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(cause: Cause) -> dict[str, Any]:
    row = catalogue.CAUSES.get(cause.name)
    short = _plain(catalogue.summary(cause))[:_MOST]
    impact = catalogue.impact(cause)
    full = f"{short}. Why it matters: {impact}." if impact else f"{short}."
    documented = f" Documentation of Logitmus: {', '.join(row.links)}." if row is not None and row.links else ""
    accept = f"If this is intended, accept it: logitmus accept RUN --cause {shlex.quote(_plain(cause))} --reason ..."
    return {
        "id": _plain(cause),
        "shortDescription": {"text": short},
        "fullDescription": {"text": full[:_MOST]},
        "help": {"text": f"{full}{documented} {accept}"},
        "defaultConfiguration": {"level": _LEVELS[row.severity if row is not None else Severity.BUG]},
        "properties": {"tags": ["numerics", "cross-entropy"]},
    }


def _result(group: Group, rule: int, location: SourceLocation) -> dict[str, Any]:
    finding = group.finding
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(location.path)}}
    fingerprints = {"logitmusGroup/v1": group.fingerprint}
    if location.line is None:
        fingerprints["primaryLocationLineHash"] = group.fingerprint
    else:
        physical["region"] = {"startLine": location.line}
    accepted = sorted(group.reasons) if group.is_accepted else ()
    return {
        "ruleId": _plain(finding.cause),
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": _message(FindingView.of(group).message),
        "locations": [{"physicalLocation": physical, "logicalLocations": [*map(_logical, sorted(group.subjects))]}],
        "partialFingerprints": fingerprints,
        "occurrenceCount": group.count,
        **({"baselineState": "new" if group.new else "unchanged"} if group.earlier else {}),
        "suppressions": [
            {"kind": "external", "status": "accepted", "justification": _plain(reason)} for reason in accepted
        ],
        "properties": {
            "finding": finding.id,
            "severity": finding.severity.value,
            "kind": finding.kind.value,
            "characteristic": group.characteristic,
            "problem": _plain(finding.problem),
            "families": [*map(_plain, sorted(group.families))],
            "dtypes": sorted(group.dtypes),
        },
    }


def _logical(subject: str) -> dict[str, str]:
    return {"fullyQualifiedName": _plain(subject), "kind": "function"}


def _invocation(summary: Summary) -> dict[str, Any]:
    failed = [backend for _, backend in sorted(summary.backends.items()) if backend.failed]
    return {
        "executionSuccessful": not (failed or outcome.is_partial(summary)),
        "toolExecutionNotifications": [
            {"level": "error", "message": _message(f"{backend.name} could not run: {backend.failed}")}
            for backend in failed
        ],
        "toolConfigurationNotifications": [
            {"level": "warning", "message": _message(notice.text)} for notice in summary.notices
        ],
    }


def _message(text: str) -> dict[str, str]:
    """A message that is nothing but text: `[words](address)` would be a link, and `{0}` a placeholder."""
    return {"text": _PLACEHOLDER.sub(r"{{\1}}", _plain(text).replace("](", "] ("))}


def _plain(text: str) -> str:
    return wording.printable(text)
