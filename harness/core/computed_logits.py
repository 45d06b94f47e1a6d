"""Logits that are computed in the same function as the loss, and compiled with it: what they are computed from.

Light (numpy, ml_dtypes): the worker imports it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from logitmus.core.floats import Array

# Call modes (`problem.MANNERS`).
SCALED: Final = "scaled_inside"
PRODUCT: Final = "product_inside"
COMPUTED: Final = (SCALED, PRODUCT)
_FACTOR: Final = 10 / 3  # no power of 2: a product with it is rounded


class Operands(NamedTuple):
    """The logits are `source * other` (a number), or the matrix product `source @ other` (a permutation)."""

    source: Array
    other: Array


def scaled(source: Array) -> Array:
    """The logits that a call in the mode SCALED computes from `source`, of any shape and dtype."""
    with np.errstate(over="ignore"):
        return np.asarray(source * _factor(source))


def operands(logits: Array, manner: str) -> Operands | None:
    """What the logits are computed from in this call mode, to the bit; None: from nothing that this finds.

    Args:
        logits: (..., K).
        manner: of COMPUTED.
    """
    if not np.isfinite(logits).all():
        return None
    if manner == PRODUCT:
        classes = logits.shape[-1]
        return Operands(np.roll(logits, -1, axis=-1), np.roll(np.eye(classes, dtype=logits.dtype), 1, axis=1))
    source = logits / _factor(logits)
    for direction in (-np.inf, np.inf):
        nearby = np.nextafter(source, direction, dtype=source.dtype)
        source = np.where(scaled(nearby) == logits, nearby, source)
    return Operands(source, _factor(logits)) if bool((scaled(source) == logits).all()) else None


def _factor(array: Array) -> Array:
    return np.asarray(_FACTOR, array.dtype)
