"""Repeated calls in words: which results are not reproducible, for every report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from logitmus.core.events import Repeated
from logitmus.results import wording

_WHERE = {False: "in the same process", True: "in a new process"}


def headline(repeated: Iterable[Repeated]) -> str:
    """How many calls were repeated and how many results changed; "" where none was to be repeated."""
    known = list(repeated)
    calls, changed, missing = (sum(getattr(of, name) for of in known) for name in ("calls", "changed", "missing"))
    if not calls + missing:
        return ""
    says = "no result differs" if not changed else f"{wording.plural(changed, 'result')} not reproducible"
    words = [f"{wording.plural(calls, 'call')} repeated: {says}"] if calls else []
    words += [f"{wording.plural(missing, 'repeated call')} missing"] if missing else []
    return "; ".join(words)


def lines(repeated: Iterable[Repeated]) -> Iterator[str]:
    """A line for each subject whose results are not reproducible, and one if repeated calls are missing."""
    known = sorted(repeated, key=lambda of: (of.subject, of.new_process))
    for of in known:
        if of.changed:
            how = [f"by up to {wording.ulps(of.ulps)}"] if of.ulps else []
            how += [f"{kind} ({wording.plural(count, 'call')})" for kind, count in of.other.items()]
            yield (
                f"not reproducible: {of.subject}: {of.changed:,} of {wording.plural(of.calls, 'call')} repeated "
                f"{_WHERE[of.new_process]} gave another result: {', '.join(how)}, e.g. problem {of.example}"
            )
    missing = sum(of.missing for of in known)
    if missing:
        due = wording.plural(missing + sum(of.calls for of in known), "repeated call")
        yield f"{missing:,} of {due} missing, so other results may differ, too; `logitmus run --resume` makes them"


def as_dicts(repeated: Iterable[Repeated]) -> list[dict[str, Any]]:
    """Plain values, for JSON."""
    return [asdict(of) for of in sorted(repeated, key=lambda of: (of.subject, of.new_process))]
