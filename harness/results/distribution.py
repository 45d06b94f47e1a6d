"""The distribution of errors: how many calls have which largest error, in flat memory."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

from logitmus.core.finding import Judgement, Verdict
from logitmus.core.subject import SubjectId

SMALLEST: Final = -6
LARGEST: Final = 30
"""The exponents of the classes: at most 2^SMALLEST, at most twice that, ..., more than 2^(LARGEST - 1)."""

Where = tuple[str, str, str]  # backend, device, dtype


class Distribution:
    """The number of calls by backend, device, dtype and exponent of the largest error.

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
        subject = SubjectId.parse(judgement.subject)
        where = subject.backend, subject.device, judgement.dtype
        self.ulps.setdefault(where, Counter())[exponent(judgement.ulps)] += 1
        self.share.setdefault(where, Counter())[exponent(judgement.share)] += 1


def exponent(error: float) -> int:
    """The least n with error <= 2^n, from SMALLEST to LARGEST."""
    if error <= 2.0**SMALLEST:
        return SMALLEST
    return min(LARGEST, math.ceil(math.log2(error))) if math.isfinite(error) else LARGEST
