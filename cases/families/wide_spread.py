"""Rows whose logits range over many orders of magnitude."""

import numpy as np

from logitmus.cases.build import on_canvases
from logitmus.cases.family import Canvas, Family
from logitmus.core.floats import Array, format_of

STEPS = (0.0625, 0.5, 1.0, 3.0, 8.0, 16.0)


def rows(canvas: Canvas) -> Array:
    """Falling lines, geometric rows of both signs, and noise scaled by powers of two."""
    places, top = np.arange(canvas.classes), format_of(canvas.dtype).largest
    lines = [-step * places for step in STEPS] + [step * (places - canvas.classes / 2) for step in STEPS]
    signs = np.where(places % 2, -1.0, 1.0)
    geometric = [
        signs * base * np.ldexp(1.0, places % span) for base, span in ((1.0, 10), (2.0**-12, 24), (2.0**-24, 30))
    ]
    noise = [canvas.draws.dyadic(canvas.classes) * 2.0**k for k in (-20, -8, 2, 4, 6, 8, 10)]
    return np.asarray(np.clip(np.array(lines + geometric + noise), -top / 4, top / 4))


FAMILY = Family(
    name="wide-spread",
    idea="one row from 2^-24 to thousands",
    rationale=(
        "The error of a shifted softmax grows with the spread of the row (Blanchard, Higham & Higham 2021): rounding "
        "of x - max is multiplied by exp. Rows that mix magnitudes tell a careful subtraction from one done after "
        "scaling by log2(e), as exp2-based kernels do."
    ),
    build=on_canvases(rows, idea="wide spread"),
)
