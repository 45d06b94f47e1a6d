"""Is a mechanism coherent with all results? What it must show and what it must not, on every hard problem.

A mechanism (no maximum subtracted, a logsumexp formed and then subtracted, ...) is emulated within the model of the
function, on all hard problems at once. With the exact value y_i, the model's budget b_i and the emulated result m_i:

    it must show      where m_i is not finite, or |m_i - y_i| > 4 b_i
    it must not show  where |m_i - y_i| <= b_i
    as predicted      |r_i - m_i| <= b_i + |m_i - y_i| / 4, or the same infinity, or both NaN

A mechanism that explains three results and is absent from sixty where it must show is refuted, and is never named.
Judged result by result instead, coincidences name false mechanisms for half of all sound functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from logitmus.core.floats import Array

_FEWEST: Final = 5  # results on which it must show; with fewer it cannot be seen
_ABSENT: Final = 0.02  # the largest share of these where it does not
_PREDICTED: Final = 0.8  # the smallest share of these that are as predicted
_STRAY: Final = 0.1  # the largest share of what is outside its budget where it must not show


@dataclass(frozen=True)
class Coherence:
    """How a mechanism fares on all hard results.

    Attributes:
        must, absent, predicted: on how many it must show; of these, how many are within budget, and as predicted.
        outside, stray: how many results are outside budget; of these, how many where it must not show.
        explained: (R,) bool: results outside budget that are as predicted.
    """

    must: int
    absent: int
    predicted: int
    outside: int
    stray: int
    explained: Array

    @property
    def seen(self) -> bool:
        """Whether it could be seen at all."""
        return self.must >= _FEWEST

    @property
    def holds(self) -> bool:
        """Whether it may be named."""
        return (
            self.seen
            and self.absent <= _ABSENT * self.must
            and self.predicted >= _PREDICTED * self.must
            and self.stray <= _STRAY * max(self.outside, 1)
        )


def coherence(exact: Array, budgets: Array, emulated: Array, observed: Array) -> Coherence:
    """Compares a mechanism with all hard results.

    Args:
        exact: y, (R,). budgets: b, (R,), of the model without the mechanism. emulated: m, (R,): the whole model,
            emulated with the mechanism in the working dtype. observed: r, (R,). All float64 or long double.
    """
    with np.errstate(all="ignore"):
        shown = np.abs(emulated - exact)
        must = ~np.isfinite(emulated) & np.isfinite(exact) | (shown > 4 * budgets)
        must_not = shown <= budgets
        outside = ~(np.abs(observed - exact) <= budgets) & ~(observed == exact)
        predicted = (np.abs(observed - emulated) <= budgets + shown / 4) | (observed == emulated)
        predicted |= np.isnan(observed) & np.isnan(emulated)
    return Coherence(
        must=int(must.sum()),
        absent=int((must & ~outside).sum()),
        predicted=int((must & predicted).sum()),
        outside=int(outside.sum()),
        stray=int((outside & must_not).sum()),
        explained=np.asarray(outside & predicted),
    )
