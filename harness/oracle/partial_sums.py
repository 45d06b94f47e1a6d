"""Normalising sums that are wrong for many classes: some are left out, or blocks of them are not rescaled.

A kernel that works on blocks of classes, or on a part of them, is right for few classes. What it computes is the
logsumexp of other numbers, which `summed` makes from the logits. All of it depends on a whole number k.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np

from logitmus.core.floats import Array
from logitmus.oracle import arithmetic
from logitmus.oracle.arithmetic import Number

PARTIAL_SUMS: Final = MappingProxyType(
    {
        "first": "leaves out all classes but the first {k}",
        "largest": "leaves out all logits but the {k} largest",
        "whole_blocks": "leaves out the classes beyond the last whole block of {k}",
        "not_rescaled": "is taken in blocks of {k} and not rescaled where the running maximum grows",
        "rescaled_wrongly": "is taken in blocks of {k} and multiplied by e^(new - old) where the running maximum grows",
    }
)
"""What is wrong with the sum, by name."""
# A term of block b has the factor e^(M - M_b) to the power of this, with M_b the running maximum and M the last one.
_EXCESS: Final = {"not_rescaled": 1, "rescaled_wrongly": 2}


def summed(name: str, k: int, z: Number) -> Number:
    """The numbers whose logsumexp is taken for that of the logits.

    Args:
        name: of `PARTIAL_SUMS`. z: (R, K).
    """
    at = arithmetic.value(z)
    classes = at.shape[-1]
    if name == "first":
        return z[:, :k]
    if name == "whole_blocks":
        return z[:, : max(classes // k * k, min(k, classes))]
    rows = np.arange(len(at))[:, None]
    if name == "largest":
        return z[rows, np.argsort(at, axis=-1)[:, -k:]]
    running = z[rows, _running_maxima(at, k)]
    return z + (arithmetic.column(arithmetic.pick(z, at.argmax(axis=-1))) - running) * _EXCESS[name]


def _running_maxima(at: Array, block: int) -> Array:
    """For each class, the index of the largest logit up to the end of its block: (R, K)."""
    columns = []
    for start in range(0, at.shape[-1], block):
        end = min(start + block, at.shape[-1])
        columns += [at[:, :end].argmax(axis=-1)] * (end - start)
    return np.stack(columns, axis=-1)
