"""Finite logits whose difference does not fit the dtype."""

import numpy as np

from logitmus.cases.build import on_canvases, two_level
from logitmus.cases.family import Canvas, Family
from logitmus.core.floats import Array, format_of


def rows(canvas: Canvas) -> Array:
    """The focus at one end of the range, another class at the other, the rest small; and whole rows so."""
    top = format_of(canvas.dtype).largest
    ends = [(a * top, b * top) for a, b in ((1, -1), (0.875, -0.875), (0.75, -0.5), (0.5, -0.75), (1, -0.0625))]
    ends += [(low, high) for high, low in ends]
    two_sided = two_level(canvas.classes, ends)
    lone = np.zeros_like(two_sided)
    lone[:, 0] = two_sided[:, 0]
    lone[:, 1:2] = two_sided[:, 1:2]
    lone[:, -1:] += 1.0
    return np.concatenate([two_sided, lone])


FAMILY = Family(
    name="overflowing-differences",
    idea="finite logits further apart than the dtype's largest value: [3e38, -3e38, 0, 1]",
    rationale=(
        "x - max(x) overflows to -inf although both are finite. exp of it is a harmless 0, but 0 * -inf is NaN, and "
        "a dense target multiplies every class. With a label at the lower end the exact loss lies beyond the dtype: "
        "inf is then the right answer; with the label at the top it is 0."
    ),
    build=on_canvases(rows, idea="overflowing differences"),
)
