"""Rows whose logits are all far below 0."""

import numpy as np

from logitmus.cases.build import on_canvases
from logitmus.cases.family import Canvas, Family, issue
from logitmus.core.floats import Array

LEVELS = (-20.0, -64.0, -1024.0, -10240.0)  # exact in every dtype, with room for a few different logits beside


def rows(canvas: Canvas) -> Array:
    """For each level: equal logits, and logits that differ by up to 4 (by as much as the dtype can hold there)."""
    level = np.array(LEVELS).reshape(-1, 1)
    equal = np.broadcast_to(level, (len(LEVELS), canvas.classes))
    different = level + canvas.draws.dyadic((len(LEVELS), canvas.classes))
    return np.stack([equal, different], axis=1).reshape(-1, canvas.classes)


FAMILY = Family(
    name="low-rows",
    idea="all logits near -20, -64, -1024, -10240",
    rationale=(
        "A vocabulary is padded to a multiple of a block, and the lanes beyond it must count as -inf. Lanes that enter "
        "as a logit of 0 are a few classes among many ordinary ones; where every real logit is far below 0, they "
        "are the whole sum. A running maximum that starts at 0 leaves nothing of such a row."
    ),
    incidents=(issue("volcengine/verl", 2899), issue("apple/ml-cross-entropy", 52)),
    build=on_canvases(rows, idea="all logits far below 0"),
)
