"""Logits at the points where exp overflows, becomes subnormal, or underflows to 0."""

from types import MappingProxyType

import numpy as np

from logitmus.cases.build import on_canvases, two_level
from logitmus.cases.family import Canvas, Family, issue
from logitmus.core.floats import Array, neighbour

# ln of: the largest value; the smallest normal; the smallest subnormal; half of that.
_SINGLE = (88.72283905206835, -87.33654475055310, -103.27892990343185, -103.97207708399179)
THRESHOLDS = MappingProxyType(
    {
        "float64": (709.782712893384, -708.3964185322641, -744.4400719213812, -745.1332191019412),
        "float32": _SINGLE,
        "bfloat16": _SINGLE,
        "float16": (11.089866488461016, -9.704060527839234, -16.635532333438686, -17.328679513998632),
    }
)


def rows(canvas: Canvas) -> Array:
    """Each threshold and its neighbours, as the difference to the others and as a common value."""
    pairs = []
    for threshold in dict.fromkeys(THRESHOLDS[canvas.dtype] + THRESHOLDS["float32"]):
        for value in (neighbour(threshold, canvas.dtype, steps) for steps in (-1, 0, 1)):
            pairs += [(value, 0.0), (0.0, value), (value, value)]
    return np.asarray(two_level(canvas.classes, pairs))


FAMILY = Family(
    name="exp-thresholds",
    idea="differences at which exp overflows, turns subnormal or vanishes",
    rationale=(
        "Vectorised exp routines take shortcuts at the ends of their range: some flush subnormal results, some clamp "
        "their argument, some return inf one ulp early. Probabilities in the subnormal range carry gradients that a "
        "flush-to-zero mode silently drops."
    ),
    incidents=(issue("PaddlePaddle/Paddle", 21154),),
    build=on_canvases(rows, idea="thresholds of exp"),
)
