"""Equal logits, and logits one ulp apart."""

import numpy as np

from logitmus.cases.build import on_canvases, two_level
from logitmus.cases.family import Canvas, Family
from logitmus.core.floats import Array, neighbour

VALUES = (1.0, -1.0, 0.1, 100.0, 2.0**-20, 11.0, 88.0)


def rows(canvas: Canvas) -> Array:
    """All equal; the focus one ulp above or below; the first half tied above the second."""
    pairs = [(0.0, 0.0), (-0.0, -0.0), (0.0, -0.0)]
    for value in VALUES:
        up, down = neighbour(value, canvas.dtype), neighbour(value, canvas.dtype, -1)
        pairs += [(value, value), (up, value), (down, value)]
    halves = two_level(canvas.classes, [(value, value) for value in VALUES])
    halves[:, : canvas.classes // 2] += 1.0
    return np.concatenate([two_level(canvas.classes, pairs), halves])


FAMILY = Family(
    name="ties",
    idea="equal logits and logits one ulp apart",
    rationale=(
        "Several classes attain the maximum, so code that takes the maximum out of the sum must take out exactly one "
        "of them. One ulp apart, the difference of the logits is the whole signal, and any rounding of the inputs (a "
        "cast to half, TF32) erases it. Equal logits add K ones: a sum in bfloat16 stops at 256."
    ),
    build=on_canvases(rows, idea="ties and near ties"),
)
