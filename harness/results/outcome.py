"""The outcome of a run in a few words, for a badge or a chat."""

from __future__ import annotations

from collections import Counter

from logitmus import __version__
from logitmus.core.finding import Severity
from logitmus.results import versions, wording
from logitmus.results.summary import Summary

INTERRUPTED = "interrupted"
NOT_TESTED = "nothing was tested"
NO_FINDINGS = "no findings"
NO_NEW_FINDINGS = "no new findings"


def worst(summary: Summary) -> Severity | None:
    """The worst severity of the findings that count (`Group.counts`); None: there are none."""
    severities = (group.finding.severity for group in summary.groups() if group.counts)
    return min(severities, key=lambda severity: severity.rank, default=None)


def in_words(summary: Summary) -> str:
    """How many findings count, by label; or why that is unknown."""
    return _unknown(summary) or "; ".join([_counts(summary), *_counting_notices(summary)])


def is_known(summary: Summary) -> bool:
    """Whether the run tested all that was requested, or at least found something worse than a note."""
    return not _unknown(summary)


def is_partial(summary: Summary) -> bool:
    """Whether the run was interrupted."""
    return summary.finished is not None and summary.finished.interrupted


def line(summary: Summary) -> str:
    """The outcome, the size of the run, and the versions, in one line of plain text."""
    groups = summary.groups()
    apart = {
        "accepted finding": sum(group.is_accepted for group in groups),
        "known finding": sum(bool(group.known_since()) and not group.is_accepted for group in groups),
    }
    found = _counts(summary)
    found = f"{INTERRUPTED}: {found} so far" if is_partial(summary) else found
    parts = [f"{found} over {summary.extent()}" if summary.calls else NOT_TESTED]
    parts += [wording.plural(count, label) for label, count in apart.items() if count]
    parts += [f"{backend.name} could not run" for _, backend in sorted(summary.backends.items()) if backend.failed]
    parts += summary.lost_calls()
    parts += _counting_notices(summary)
    return " ".join(wording.printable(f"{'; '.join(parts)} [{_versions(summary)}]").split())


def _versions(summary: Summary) -> str:
    found = {name: version for packages in versions.of_backends(summary).values() for name, version in packages.items()}
    return ", ".join(f"{name} {version}" for name, version in [("logitmus", __version__), *sorted(found.items())])


def _unknown(summary: Summary) -> str:
    failed = sum(bool(backend.failed) for backend in summary.backends.values())
    if not summary.calls:
        return NOT_TESTED
    if is_partial(summary):
        return INTERRUPTED
    if worst(summary) not in (None, Severity.NOTE):  # notes alone would be as good as nothing
        return ""
    lost = "calls were not made" if summary.given_up else ""
    return f"{wording.plural(failed, 'backend')} could not run" if failed else lost


def _counts(summary: Summary) -> str:
    """How many findings of each label count, the worst first; of a comparison, these are the new ones."""
    new, none = ("", NO_FINDINGS) if summary.against is None else ("new ", NO_NEW_FINDINGS)
    labels = Counter(group.label for group in summary.groups() if group.counts)
    return ", ".join(wording.plural(count, f"{new}{label}") for label, count in labels.items()) or none


def _counting_notices(summary: Summary) -> list[str]:
    """How many notices of each kind decide the exit code, in words; empty for none."""
    counts = Counter(notice.brief for notice in summary.notices if notice.counts)
    return [wording.plural(count, brief) for brief, count in counts.items()]
