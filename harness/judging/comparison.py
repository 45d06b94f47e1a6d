"""Comparison: is a result the rounding of some real number within the budget of the exact value?

The exact value is an enclosure. If its two ends lead to different verdicts, the value is undecided, and the oracle has
to compute it with more precision (docs/accuracy.md, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import EllipsisType

import numpy as np

from logitmus.core.floats import Array, flushes, format_of, half_gap, ulp
from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.softmax import E


@dataclass(frozen=True)
class Compared:
    """Results and exact values, element by element; all arrays are float64 or bool and have the same shape.

    Attributes:
        r: the results, exactly. y: the exact values (mid). distance: |r - y|. uncertainty: a bound on its error.
        slack: the part of the distance that the rounding of r accounts for (half the gap to its neighbour).
        numeric: both finite. same: both the same infinity, or both NaN.
    """

    r: Array
    y: Array
    distance: Array
    uncertainty: Array
    slack: Array
    numeric: Array
    same: Array
    dtype: str

    @cached_property
    def _all_numeric(self) -> bool:
        return bool(self.numeric.all())

    @cached_property
    def _at_most(self) -> Array:
        """An upper bound on the distance beyond the rounding of r."""
        return np.asarray(self.distance - self.slack + self.uncertainty)

    def cut(self, rows: slice | tuple[int | EllipsisType, ...]) -> Compared:
        """Some of the rows, or a single element."""
        return Compared(
            self.r[rows],
            self.y[rows],
            self.distance[rows],
            self.uncertainty[rows],
            self.slack[rows],
            self.numeric[rows],
            self.same[rows],
            self.dtype,
        )

    @np.errstate(over="ignore", invalid="ignore")
    def within(self, budget: Array) -> tuple[Array, Array]:
        """(surely, possibly): where r is the rounding of a number in [y - budget, y + budget]."""
        surely = self._at_most <= budget
        if self._all_numeric and surely.all():  # the usual case
            return surely, surely
        possibly = self.distance - self.slack - self.uncertainty <= budget
        if self._all_numeric:
            return surely, possibly
        surely, possibly = self.numeric & surely, self.numeric & possibly
        infinite = np.isinf(self.r) & np.isfinite(self.y)
        if infinite.any():  # an infinity is right iff y + budget, on its side, reaches omega
            reach = np.where(self.r > 0, self.y, -self.y) + budget
            omega = format_of(self.dtype).omega
            surely = surely | (infinite & (reach - self.uncertainty >= omega))
            possibly = possibly | (infinite & (reach + self.uncertainty >= omega))
        return surely | self.same, possibly | self.same

    def ulps(self) -> Array:
        """|r - y| in ulps of the exact value: 0 if equal, infinite for a wrong infinity, NaN if only r or y is NaN."""
        with np.errstate(invalid="ignore", over="ignore"):
            out = self.distance / ulp(self.y, self.dtype)
        if self._all_numeric:
            return out
        overflowed = np.isinf(self.r) & np.isfinite(self.y)
        beyond = overflowed & (np.abs(self.y) >= format_of(self.dtype).omega)
        out = np.where(overflowed, np.where(beyond, 0.0, np.inf), out)
        out = np.where(self.same, 0.0, out)
        return np.where(~self.same & (np.isnan(self.r) | np.isnan(self.y)), np.nan, out)

    def absorbed(self, budget: Array) -> Array:
        """Where r is 0 and y does not round to 0, but |y| is inside the budget."""
        return (
            (self.r == 0)
            & self.numeric
            & (np.abs(self.y) > format_of(self.dtype).smallest_subnormal / 2)
            & (np.abs(self.y) <= budget)
        )


@np.errstate(over="ignore", invalid="ignore")
def compare(result: Array, exact: Enclosure, dtype: str, *, flushing: bool) -> Compared:
    """Compare results (any float dtype) with exact values of the same shape."""
    y, rest = exact.mid, exact.rest
    r = result.astype(np.float64, order="F" if y.flags.fnc else "C")  # operations on mixed layouts are slow
    numeric = np.isfinite(r) & np.isfinite(y)
    if numeric.all():  # the usual case, at half the cost
        distance, slack = np.abs((r - y) - rest), half_gap(r, y, dtype)
        uncertainty, same = exact.radius + 2 * E * distance, np.zeros_like(numeric)
    else:
        distance = np.where(numeric, np.abs((r - y) - rest), np.inf)
        slack = np.where(numeric, half_gap(np.where(numeric, r, 0.0), y, dtype), 0.0)
        uncertainty = exact.radius + np.where(numeric, 2 * E * distance, 0.0)
        same = (np.isnan(r) & np.isnan(y)) | ((r == y) & np.isinf(r))
    if flushing:
        slack = np.where(numeric & flushes(dtype, r, y), format_of(dtype).smallest_normal, slack)
    return Compared(
        r=r, y=y, distance=distance, uncertainty=uncertainty, slack=slack, numeric=numeric, same=same, dtype=dtype
    )
