"""Classes masked with a large negative finite number."""

import numpy as np

from logitmus.cases.build import on_canvases, ordinary
from logitmus.cases.family import Canvas, Family
from logitmus.core.floats import Array, format_of


def rows(canvas: Canvas) -> Array:
    """Per mask value: others masked, all but the focus, the focus itself, everything, everything plus the logits."""
    lowest = -format_of(canvas.dtype).largest
    masks = [mask for mask in (-1e4, -6e4, -1e9, -1e30, -3.4e38) if mask > lowest] + [lowest]
    made = []
    for mask in masks:
        block = ordinary(canvas, 5)
        block[0, (canvas.classes + 1) // 2 :] = mask
        block[1, 1:] = mask
        block[2, 0] = mask
        block[3] = mask
        block[4] = np.maximum(block[4] + mask, lowest)
        made.append(block)
    return np.concatenate(made)


FAMILY = Family(
    name="finite-masks",
    idea="-1e4, -1e9, -1e30, the dtype's lowest value as a mask",
    rationale=(
        "Most models mask with a finite number because -inf makes NaN. A row masked everywhere must give log K, a "
        "masked target a loss of the mask's size, and nothing may overflow; an error measured against the largest "
        "logit hides everything else in such a row."
    ),
    build=on_canvases(rows, idea="finite masks"),
)
