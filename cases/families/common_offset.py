"""The same offset on every logit of a row."""

import numpy as np

from logitmus.cases.build import on_canvases
from logitmus.cases.family import Canvas, Family, issue
from logitmus.core.floats import Array, format_of, ulp

OFFSETS = (1024.0, 1e4, 3e4, 6e4, 65536.0, 1e6, 2.0**24, 1e8, 1e12, 1e30)


def rows(canvas: Canvas) -> Array:
    """Per offset and sign: equal logits, a class a step above, a grid of steps (an ulp, 1/4 at least)."""
    made = []
    for offset in (sign * size for size in OFFSETS if size < format_of(canvas.dtype).largest for sign in (1, -1)):
        step = max(float(ulp(np.array(offset), canvas.dtype)), 0.25)
        hot = np.zeros(canvas.classes)
        hot[:1] = step
        grid = canvas.draws.integers(-4, 5, canvas.classes) * step
        made += [np.zeros(canvas.classes) + offset, hot + offset, grid + offset]
    return np.array(made)


FAMILY = Family(
    name="common-offset",
    idea="logits + c for c up to 1e30; equal logits at 1e8 must still give log K",
    rationale=(
        "Cross-entropy does not change when every logit grows by c. An implementation that forms logsumexp and then "
        "subtracts the target's logit cancels: at 1e8 in float32 the rest of two equal logits, log 2, is below one "
        "ulp, and the loss reads 0. Shifting by the maximum first loses nothing."
    ),
    incidents=(
        issue("pytorch/pytorch", 11752),
        issue("pytorch/pytorch", 38839),
        issue("ml-explore/mlx", 4169),
        issue("google-deepmind/optax", 1792),
    ),
    build=on_canvases(rows, idea="common offset"),
)
