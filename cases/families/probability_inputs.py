"""Rows of numbers in [0, 1], for functions that take probabilities."""

import numpy as np

from logitmus.cases.build import on_canvases, two_level
from logitmus.cases.family import Canvas, Family
from logitmus.core.floats import Array, format_of, neighbour


def rows(canvas: Canvas) -> Array:
    """Certain, nearly certain, tiny, tied, and rows that do not sum to 1."""
    form, classes = format_of(canvas.dtype), canvas.classes
    near_one = neighbour(1.0, canvas.dtype, -1)
    others = 1.0 / (2.0 * max(classes - 1, 1))
    small = [form.smallest_subnormal, form.smallest_normal, 2.0**-24, 2.0**-23, 1e-7, 2.0**-10, 2.0**-4]
    pairs = [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1.0, 1.0), (near_one, 0.0), (0.5, others), (1 / classes, 1 / classes)]
    pairs += (
        [(value, others) for value in small]
        + [(1.0 - value, value) for value in small]
        + [(value, value) for value in small]
    )
    noise = np.abs(canvas.draws.dyadic((16, classes), limit=1.0))
    noise[::2] = np.where(noise[::2] > 0.5, noise[::2], 0.0)
    return np.concatenate([two_level(classes, pairs), noise])


FAMILY = Family(
    name="probability-inputs",
    idea="inputs in [0, 1]: exact 0 and 1, near them, tiny, tied, rows that do not sum to 1",
    rationale=(
        "Keras takes probabilities by default, clips them to [1e-7, 1 - 1e-7] and rescales some rows; others take "
        "the logarithm as it is. The clip gives 16.1 for -log 0, a gradient of 0 there, and means something else in "
        "half precision, where 1 - 1e-7 is 1. Functions that take logits get the same rows."
    ),
    build=on_canvases(rows, idea="probabilities as inputs"),
)
