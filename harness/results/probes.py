"""Floating-point probes in words: whether workers flushed subnormal numbers to zero around their batches of calls."""

from __future__ import annotations

from collections.abc import Iterable


def subnormals(batches: Iterable[tuple[str, bool, bool, int]]) -> list[str]:
    """A sentence for each kind of behaviour, the usual one first; empty for no batches.

    Args:
        batches: (worker, flushed before, flushed after, count), as `Store.flushing` has them.
    """
    counts: dict[tuple[bool, bool], int] = {}
    workers: dict[tuple[bool, bool], set[str]] = {}
    for worker, before, after, count in batches:
        counts[before, after] = counts.get((before, after), 0) + count
        workers.setdefault((before, after), set()).add(worker)
    total = sum(counts.values())
    words = {
        (False, False): "Subnormal numbers were kept before and after {of}",
        (True, True): "Subnormal numbers were flushed to zero before and after {of}, by {workers}",
        (False, True): "Flushing of subnormal numbers was switched on during {of}, by {workers}",
        (True, False): "Flushing of subnormal numbers was switched off during {of}, by {workers}",
    }
    return [
        text.format(of=_batches(counts[behaviour], total), workers=", ".join(sorted(workers[behaviour])))
        for behaviour, text in words.items()
        if behaviour in counts
    ]


def _batches(count: int, total: int) -> str:
    if count == total:
        return "the only batch of calls" if total == 1 else f"all {total:,} batches of calls"
    return f"{count:,} of {total:,} batches of calls"
