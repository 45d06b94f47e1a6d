"""How two outcomes of a call differ: in ulps, or in what is no distance ("answered -> raised", "number -> NaN")."""

from __future__ import annotations

from typing import Final

import numpy as np

from logitmus.core.floats import FLOAT_DTYPES, Array, little_endian_bytes, ulp_distance
from logitmus.core.observation import Answered, Outcome, PartName

SAME_VALUES: Final = "zero's sign or NaN's bits"
"""A change of bits that is no change of values."""


def difference(old: Outcome, new: Outcome) -> tuple[int, set[str]]:
    """(the largest distance in ulps of the result's dtype, the changes that are no distance).

    Texts of warnings and exceptions do not count.
    """
    if not (isinstance(old, Answered) and isinstance(new, Answered)):
        left, right = _called(old), _called(new)
        return 0, {f"{left} -> {right}"} if left != right else set()
    ulps, other = 0, set()
    for name in PartName:
        left, right = getattr(old, name), getattr(new, name)
        if left is None and right is None:
            continue
        if left is None or right is None:
            other.add(f"{name} {'appeared' if left is None else 'vanished'}")
        elif left.shape != right.shape:
            other.add("shape")
        elif left.dtype != right.dtype:
            other.add("dtype")
        elif left.dtype.name in FLOAT_DTYPES:
            distance, changes = _float_difference(left, right)
            ulps = max(ulps, distance)
            other |= changes
        elif little_endian_bytes(left) != little_endian_bytes(right):
            other.add("values")
    if old.written != new.written:
        other.add("inputs written into")
    return ulps, other


def _float_difference(left: Array, right: Array) -> tuple[int, set[str]]:
    names = ("NaN", "-inf", "+inf", "number")
    old, new = _classes(left), _classes(right)
    other = {f"{names[i]} -> {names[j]}" for i, j in set(zip(old[old != new], new[old != new], strict=True))}
    numbers = (old == 3) & (new == 3)
    ulps = int(ulp_distance(left, right)[numbers].max(initial=0))
    if not ulps and not other and little_endian_bytes(left) != little_endian_bytes(right):
        other.add(SAME_VALUES)
    return ulps, other


def _classes(array: Array) -> Array:
    wide = array.astype(np.float64)
    return np.select([np.isnan(wide), np.isneginf(wide), np.isposinf(wide)], [0, 1, 2], 3)


def _called(outcome: Outcome) -> str:
    kind = type(outcome).__name__
    return f"{kind} {getattr(outcome, 'type', getattr(outcome, 'status', ''))}".strip().lower()
