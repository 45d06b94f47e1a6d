"""Verdicts by rounding image: is a result what some real number within the budget rounds to?

docs/accuracy.md, section 2. Both ends of the enclosure must agree; where they do not, the value is undecided and the
judge asks the oracle for more precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from logitmus.core.floats import Array, flushes, format_of, half_gap, ulp
from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.softmax import E


@dataclass(frozen=True)
class Compared:
    """Results beside exact values, elementwise; everything float64 or bool, one shape.

    Attributes:
        r: the results, exactly. y: the exact values (mid). distance: |r - y|, uncertainty: how far that may be off.
        slack: how much of the distance rounding itself explains (half the gap to the neighbour of r).
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
        """How far beyond its own rounding a result may be from the exact value."""
        return np.asarray(self.distance - self.slack + self.uncertainty)

    def cut(self, rows: slice | tuple[int, ...]) -> Compared:
        """Some of the rows, or one element."""
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
        """(surely, possibly): where r is in the rounding image of [y - budget, y + budget]."""
        surely = self._at_most <= budget
        if self._all_numeric and surely.all():  # the usual case
            return surely, surely
        possibly = self.distance - self.slack - self.uncertainty <= budget
        if self._all_numeric:
            return surely, possibly
        surely, possibly = self.numeric & surely, self.numeric & possibly
        infinite = np.isinf(self.r) & np.isfinite(self.y)
        if infinite.any():  # an infinite result is right iff y + budget reaches omega, on its side
            reach = np.where(self.r > 0, self.y, -self.y) + budget
            omega = format_of(self.dtype).omega
            surely = surely | (infinite & (reach - self.uncertainty >= omega))
            possibly = possibly | (infinite & (reach + self.uncertainty >= omega))
        return surely | self.same, possibly | self.same

    def ulps(self) -> Array:
        """|r - y| in ulps of the exact value: 0 for equal, infinite for a wrong infinity, NaN beside a number."""
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
        """Where r is 0, y is not and does not round to 0, and |y| is inside the budget."""
        return (
            (self.r == 0)
            & self.numeric
            & (np.abs(self.y) > format_of(self.dtype).smallest_subnormal / 2)
            & (np.abs(self.y) <= budget)
        )


@np.errstate(over="ignore", invalid="ignore")
def compare(result: Array, exact: Enclosure, dtype: str, *, flushing: bool) -> Compared:
    """Results (any float dtype) beside their exact values, of one shape."""
    y, rest = exact.mid, exact.rest
    r = result.astype(np.float64, order="F" if y.flags.fnc else "C")  # two layouts in one operation are slow
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
