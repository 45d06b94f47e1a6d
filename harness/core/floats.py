"""Rounding: unit roundoffs, ulps and the image of a real interval under rounding to nearest-even.

Docs: docs/accuracy.md, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import ml_dtypes
import numpy as np

from logitmus.core.problem import FLOAT_DTYPES, Array

_EXPONENT: Final = 0x7FF << 52  # of float64
_SIGNED: Final = {2: np.int16, 4: np.int32, 8: np.int64}


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Attributes:
        u: unit roundoff, half the spacing of 1. eta: smallest subnormal. lam: smallest normal.
        largest: the largest finite value. omega: the least real that rounds to infinity, (2 - u) 2^emax.
        digits: p, the significant bits. emin: exponent of lam.
    """

    name: str
    u: float
    eta: float
    lam: float
    largest: float
    omega: float
    digits: int
    emin: int


@cache
def format_of(dtype: str) -> Format:
    """The format of a dtype of `FLOAT_DTYPES`."""
    info: Any = ml_dtypes.finfo(FLOAT_DTYPES[dtype])  # type: ignore[no-untyped-call]
    digits = int(info.nmant) + 1
    emin = int(info.minexp)
    largest = float(info.max)
    u = 2.0**-digits
    # Beyond float64 itself nothing can be added to its largest value: omega is then infinite for comparisons.
    omega = largest + 2.0 ** (int(info.maxexp) - 1 - digits) if dtype != "float64" else np.inf
    return Format(dtype, u, 2.0 ** (emin - digits + 1), 2.0**emin, largest, omega, digits, emin)


def ulp(y: Array, dtype: str) -> Array:
    """The unit in the last place at |y|: 2^(max(floor log2|y|, emin) - p + 1); eta at 0; emax's beyond omega."""
    f = format_of(dtype)
    magnitude = np.minimum(np.abs(np.where(np.isfinite(y), y, f.largest)), f.largest)
    return _power_of_two(np.maximum(magnitude, f.lam)) * 2.0 ** (1 - f.digits)


def half_gap(r: Array, y: Array, dtype: str) -> Array:
    """How far beyond a finite r the reals still round to r, on the side of y: half the distance to its neighbour.

    At the largest finite value the neighbour is where the next one would be, so that the image ends at omega.
    """
    f = format_of(dtype)
    magnitude = np.abs(r)
    power = _power_of_two(np.maximum(magnitude, f.lam))
    half = power * 2.0**-f.digits
    # Towards zero the spacing halves at a power of two (but not at the smallest normal).
    narrower = (np.abs(y) < magnitude) & (power == magnitude) & (magnitude > f.lam)
    return np.where(narrower, half / 2, half)


def _power_of_two(normal: Array) -> Array:
    """2^floor(log2 x) of positive float64 normals: their bits without the fraction's."""
    bits: Array = np.asarray(normal).view(np.int64) & _EXPONENT
    return bits.view(np.float64)


def distance_in_floats(a: Array, b: Array) -> Array:
    """How many representable values lie between a and b (float64: may round), elementwise; NaN beside a number: inf.

    The integer-ordered distance of the bit patterns: 0 for equal bits and for +0 and -0.
    """
    signed = _SIGNED[a.dtype.itemsize]
    lowest = -(2 ** (8 * a.dtype.itemsize - 1))

    def ordered(x: Array) -> Array:
        bits = x.view(signed)
        return np.where(bits < 0, lowest - bits.astype(np.int64), bits) if a.dtype.itemsize < 8 else _ordered64(bits)

    left, right = ordered(np.ascontiguousarray(a)), ordered(np.ascontiguousarray(b))
    steps = np.abs(left.astype(np.float64) - right.astype(np.float64))
    one_nan = np.isnan(a) != np.isnan(b)
    both_nan = np.isnan(a) & np.isnan(b)
    return np.where(one_nan, np.inf, np.where(both_nan, 0.0, steps))


def _ordered64(bits: Array) -> Array:
    return np.where(bits < 0, np.iinfo(np.int64).min - bits, bits)


def flushes(dtype: str, r: Array, y: Array) -> Array:
    """Where r = 0 is the flush of a subnormal y."""
    return np.asarray((r == 0) & (np.abs(y) < format_of(dtype).lam))
