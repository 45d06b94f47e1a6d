"""Logits up to the largest finite value, whose differences stay finite."""

import numpy as np

from logitmus.cases.build import on_canvases, two_level
from logitmus.cases.family import Canvas, Family, issue
from logitmus.core.floats import Array, format_of, neighbour


def rows(canvas: Canvas) -> Array:
    """Pairs (focus, others): all at the edge, one ulp apart at the edge, one far above or below the others."""
    top = format_of(canvas.dtype).largest
    below = neighbour(top, canvas.dtype, -1)
    pairs = [(top, top), (-top, -top), (top, below), (below, top), (-top, -below), (top, 0.0), (0.0, top), (-top, 0.0)]
    pairs += [(0.0, -top), (top / 2, -top / 2), (-top / 2, top / 2)]
    pairs += [(sign * top / 2**k, 0.0) for k in (1, 2, 5, 8) for sign in (1, -1)]
    pairs += [(top / 2**k, top / 2**k) for k in (1, 4, 9)]
    mixed = canvas.draws.dyadic((8, canvas.classes), limit=0.5) * top
    return np.concatenate([two_level(canvas.classes, pairs), mixed])


FAMILY = Family(
    name="huge-magnitudes",
    idea="logits up to the dtype's largest value, their differences finite",
    rationale=(
        "exp overflows beyond 88 in float32 and beyond 11 in float16, so an unshifted softmax gives inf/inf. A "
        "shifted one must be exact here: every difference is finite, and the loss is either a plain difference of "
        "logits or log K. Kernels that keep -inf as a finite sentinel (-1e4, -3e38) lose against real logits of that "
        "size."
    ),
    incidents=(issue("pytorch/pytorch", 11752), issue("FluxML/NNlib.jl", 68)),
    build=on_canvases(rows, idea="huge logits"),
)
