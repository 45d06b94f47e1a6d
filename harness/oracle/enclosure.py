"""Enclosures: arrays of intervals proven to contain exact real values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from types import EllipsisType

import numpy as np

from logitmus.core.floats import FLOAT_DTYPES, Array


@dataclass(frozen=True)
class Enclosure:
    """Exact values y with |y - (mid + rest)| <= radius, element by element; all arrays are float64, of equal shape.

    The unevaluated sum mid + rest carries about 106 bits, so that results in float64 can be judged to a fraction of
    their ulp. Where mid is NaN or infinite, so is the exact value (or it is beyond float64), and rest = radius = 0.
    """

    mid: Array
    rest: Array
    radius: Array

    @classmethod
    def of(cls, mid: Array, radius: Array) -> Enclosure:
        """An enclosure from values and their error bounds, float64 or wider; where mid is not finite it is exact."""
        if mid.dtype == np.float64:
            return cls(mid, np.zeros_like(mid), np.where(np.isfinite(mid), radius, 0.0))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            high = mid.astype(np.float64)
            finite = np.isfinite(high)
            rest = np.where(finite, mid - high, 0.0)
            low = rest.astype(np.float64)
            radius = radius + np.abs(rest - low)
            outward = np.nextafter(radius.astype(np.float64) * (1 + 2.0**-50), np.inf)
        return cls(high, low, np.where(finite & (radius != 0), outward, 0.0))

    @classmethod
    def exactly(cls, value: float, shape: tuple[int, ...] = ()) -> Enclosure:
        return cls(np.full(shape, value), np.zeros(shape), np.zeros(shape))

    @cached_property
    def magnitude(self) -> Array:
        """|mid|, and 0 where it is not finite."""
        return np.where(np.isfinite(self.mid), np.abs(self.mid), 0.0)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mid.shape

    @property
    def lo(self) -> Array:
        """A float64 not above the exact value."""
        return self._end(-1)

    @property
    def hi(self) -> Array:
        """A float64 not below the exact value."""
        return self._end(+1)

    def _end(self, side: int) -> Array:
        # Two roundings, each to nearest: two steps outward make up for them; an exact zero needs none.
        end = self.mid + (self.rest + side * self.radius)
        exact = (self.rest == 0) & (self.radius == 0)
        with np.errstate(over="ignore"):
            outward = np.nextafter(np.nextafter(end, side * np.inf), side * np.inf)
        return np.where(exact | ~np.isfinite(self.mid), self.mid, outward)

    def reshape(self, shape: tuple[int, ...]) -> Enclosure:
        return Enclosure(self.mid.reshape(shape), self.rest.reshape(shape), self.radius.reshape(shape))

    def cut(self, rows: slice | Array | tuple[int | EllipsisType, ...]) -> Enclosure:
        """Some of the rows, by a slice or by their numbers, or a single element."""
        return Enclosure(self.mid[rows], self.rest[rows], self.radius[rows])

    def contains(self, value: float, index: tuple[int, ...] = ()) -> bool:
        """Whether a float64 lies in the interval at `index` (NaN lies where the exact value is NaN)."""
        element = self.cut(index)
        lo, hi = float(element.lo), float(element.hi)
        return bool(np.isnan(value) and np.isnan(lo)) or lo <= value <= hi

    def rounded(self, dtype: str) -> Array:
        """The exact values, rounded to nearest-even into a dtype of `FLOAT_DTYPES`.

        Correct where both ends round to the same value (`decided`).
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(self.mid + self.rest).astype(FLOAT_DTYPES[dtype])

    def decided(self, dtype: str) -> Array:
        """Where both ends of the enclosure round to the same value of the dtype."""
        if dtype == "float64":  # mid is the nearest float64; do both ends round to it?
            ends = self.mid + (self.rest - self.radius), self.mid + (self.rest + self.radius)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                ends = self.lo.astype(FLOAT_DTYPES[dtype]), self.hi.astype(FLOAT_DTYPES[dtype])
        return np.asarray((ends[0] == ends[1]) | np.isnan(self.mid))

    def describe(self, index: tuple[int, ...] = ()) -> str:
        """The interval at `index` as text: the certain digits, and a further digit at each end."""
        element = self.cut(index)
        lo, hi = float(element.lo), float(element.hi)
        if np.isnan(lo) or lo == hi:
            return repr(lo)
        if np.isinf(lo) or np.isinf(hi):  # an end beyond float64's largest number
            return f"{lo!r} or more" if np.isinf(hi) else f"{hi!r} or less"
        if lo <= 0 <= hi:
            return f"0, to within {max(-lo, hi):.1g}"
        digits = min(max(3, 1 - math.floor(math.log10((hi - lo) / max(-lo, hi)))), 17)
        low, high = f"{lo:.{digits}g}", f"{hi:.{digits}g}"
        return low if low == high else f"[{low}, {high}]"
