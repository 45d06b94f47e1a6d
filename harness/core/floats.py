"""The dtypes of Logitmus, and floating-point numbers as bits: formats, ulps, ordinals, rounding.

Every function that looks at the bits of a float lives here. Docs: docs/accuracy.md, section 2. Light (numpy,
ml_dtypes): the worker imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FLOAT_DTYPES: Final = MappingProxyType(
    {
        "float64": np.dtype(np.float64),
        "float32": np.dtype(np.float32),
        "bfloat16": np.dtype(ml_dtypes.bfloat16),
        "float16": np.dtype(np.float16),
    }
)
LABEL_DTYPES: Final = MappingProxyType(
    {name: np.dtype(name) for name in ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64")}
)
_EXPONENT: Final = 0x7FF << 52  # of float64


def dtype_name(array: npt.NDArray[Any] | np.generic[Any]) -> str:
    """`array.dtype.name`, remembered: NumPy makes it anew each time, which takes longer than encoding a small array."""
    return _name_of(array.dtype)


@cache
def _name_of(dtype: np.dtype[Any]) -> str:
    return dtype.name


def little_endian_bytes(array: Array) -> bytes:
    """The array's exact bits, row-major, little-endian whatever the machine."""
    array = np.ascontiguousarray(array)
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and not np.little_endian):
        array = array.byteswap()
    return array.tobytes()


def float_array(values: npt.ArrayLike, dtype: str) -> Array:
    """`values` rounded to nearest-even into a dtype of `FLOAT_DTYPES`, without overflow warnings."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(values, dtype=np.float64).astype(FLOAT_DTYPES[dtype])


def frozen(array: npt.ArrayLike) -> Array:
    """A read-only, row-major array of these values; `array` itself where it already is."""
    source = np.asarray(array)
    if not source.flags.writeable and source.flags.c_contiguous:
        return source
    copy = np.array(source, order="C", copy=True)
    copy.flags.writeable = False
    return copy


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Attributes:
        u: the unit roundoff, half the spacing of the numbers above 1.
        smallest_subnormal, smallest_normal: eta and lambda in docs/accuracy.md.
        largest: the largest finite number. omega: the smallest real that rounds to infinity, (2 - u) 2^emax.
        digits: p, the number of significant bits. emin: the exponent of the smallest normal number.
    """

    name: str
    u: float
    smallest_subnormal: float
    smallest_normal: float
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
    return _power_of_two(np.maximum(magnitude, f.smallest_normal)) * 2.0 ** (1 - f.digits)


def half_gap(r: Array, y: Array, dtype: str) -> Array:
    """How far beyond a finite r the reals still round to r, on the side of y: half the distance to its neighbour.

    At the largest finite value the neighbour is where the next number would be, so that the image ends at omega.
    """
    f = format_of(dtype)
    magnitude = np.abs(r)
    power = _power_of_two(np.maximum(magnitude, f.smallest_normal))
    half = power * 2.0**-f.digits
    # Towards zero the spacing halves at a power of two (but not at the smallest normal).
    narrower = (np.abs(y) < magnitude) & (power == magnitude) & (magnitude > f.smallest_normal)
    return np.where(narrower, half / 2, half)


def _power_of_two(normal: Array) -> Array:
    """2^floor(log2 x) of positive float64 normals: their bits without the fraction's."""
    bits: Array = np.asarray(normal).view(np.int64) & _EXPONENT
    return bits.view(np.float64)


def ordinals(array: Array) -> npt.NDArray[np.int64]:
    """The place of each number among all numbers of its dtype in ascending order: 0 for +0 and -0, 1 for the smallest
    positive number. Infinities are the outermost places; NaN has a meaningless place.
    """
    bits = np.ascontiguousarray(array).view(f"i{array.dtype.itemsize}").astype(np.int64)
    lowest = np.int64(np.iinfo(f"i{array.dtype.itemsize}").min)
    return np.where(bits < 0, lowest - bits, bits)


def ordinal(value: float, dtype: str) -> int:
    """The ordinal of `value` rounded to a dtype of `FLOAT_DTYPES`."""
    return int(ordinals(float_array(value, dtype).reshape(1))[0])


def from_ordinal(place: int, dtype: str) -> float:
    """The number of a dtype that has this ordinal; +0 for 0."""
    kind = FLOAT_DTYPES[dtype]
    magnitude = float(np.array(abs(place), f"u{kind.itemsize}").view(kind))
    return -magnitude if place < 0 else magnitude


def neighbour(value: float, dtype: str, steps: int = 1) -> float:
    """`value` rounded to the dtype, then `steps` representable numbers away from zero (towards it if negative)."""
    place = ordinal(value, dtype)
    return from_ordinal(place - steps if place < 0 else place + steps, dtype)


def ulp_distance(left: Array, right: Array) -> npt.NDArray[np.uint64]:
    """The number of steps between neighbouring representable numbers between `left` and `right`, elementwise, exactly.

    Both have the same shape and dtype of `FLOAT_DTYPES`, and no NaN.
    """
    a, b = ordinals(left), ordinals(right)
    # Modulo 2^64, where the difference of two int64 always fits.
    return np.maximum(a, b).view(np.uint64) - np.minimum(a, b).view(np.uint64)


def row_sums(array: Array) -> Array:
    """The sums along the last axis, (R,) of an (R, K) array, in an order of summation that only K decides.

    The memory order would decide it, too, and with it the last digits of what is reported: a problem is judged in
    column order beside many others, and in row order alone.
    """
    return np.asarray(np.ascontiguousarray(array).sum(axis=-1))


def flushes(dtype: str, r: Array, y: Array) -> Array:
    """Where r = 0 is the flush of a subnormal y."""
    return np.asarray((r == 0) & (np.abs(y) < format_of(dtype).smallest_normal))


def decimal(value: float, dtype: str) -> str:
    """The shortest decimal number that identifies a value among those of its dtype."""
    if not np.isfinite(value):
        return repr(float(value))
    typed = np.float64(value).astype(FLOAT_DTYPES[dtype])
    return str(typed) if dtype != "float64" else repr(float(value))
