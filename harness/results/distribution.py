"""The distribution of errors: how many calls have which largest error, in flat memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from typing import Final

from logitmus.core.finding import Judgement, Verdict

SMALLEST: Final = -6
LARGEST: Final = 30
"""The exponents of the classes: at most 2^SMALLEST, at most twice that, ..., more than 2^(LARGEST - 1)."""

Where = tuple[str, str]  # subject (id), dtype


class Distribution:
    """The number of calls by subject, dtype and exponent of the largest error.

    Attributes:
        ulps: errors in ulps of the exact value. share: in units of the B+ budget.
    """

    def __init__(self) -> None:
        self.ulps: dict[Where, Counter[int]] = {}
        self.share: dict[Where, Counter[int]] = {}

    def add(self, judgement: Judgement) -> None:
        """Count a judgement; calls without a judged value have no error."""
        if judgement.grade is None or judgement.verdict is Verdict.COARSE:
            return
        where = judgement.subject, judgement.dtype
        self.ulps.setdefault(where, Counter())[exponent(judgement.ulps)] += 1
        self.share.setdefault(where, Counter())[exponent(judgement.share)] += 1

    def of(self, subjects: Collection[str]) -> Distribution:
        """The distribution of some subjects (ids)."""
        part = Distribution()
        part.ulps = {where: counts for where, counts in self.ulps.items() if where[0] in subjects}
        part.share = {where: counts for where, counts in self.share.items() if where[0] in subjects}
        return part


def exponent(error: float) -> int:
    """The least n with error <= 2^n, from SMALLEST to LARGEST."""
    if error <= 2.0**SMALLEST:
        return SMALLEST
    return min(LARGEST, math.ceil(math.log2(error))) if math.isfinite(error) else LARGEST
