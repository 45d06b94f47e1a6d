"""Rows of numbers that are at most 0, for functions that take log-probabilities."""

import numpy as np

from logitmus.cases.build import on_canvases, two_level
from logitmus.cases.family import Canvas, Family
from logitmus.core.floats import Array, format_of, neighbour

LN2 = 0.6931471805599453


def rows(canvas: Canvas) -> Array:
    """0 and -0 (certainty), -inf (impossibility), log-probabilities of ordinary and extreme sizes."""
    lowest, tiny = -format_of(canvas.dtype).largest, -format_of(canvas.dtype).smallest_subnormal
    values = (-0.0, 0.0, tiny, -(2.0**-24), -LN2, neighbour(-LN2, canvas.dtype), -16.125, -104.0, lowest / 2)
    pairs = [(value, other) for value in values for other in (-float("inf"), -LN2, -20.0)]
    noise = -np.abs(canvas.draws.dyadic((16, canvas.classes), limit=8.0))
    return np.concatenate([two_level(canvas.classes, pairs), noise])


FAMILY = Family(
    name="log-probability-inputs",
    idea="inputs of at most 0: -0, -inf, log-probabilities normalised and not",
    rationale=(
        "A negative log-likelihood takes its inputs as they are: -0 must not turn into a loss of -0 that is then "
        "tested for its sign, -inf elsewhere must not matter, and rows that are not normalised must not be "
        "normalised. For a function that takes logits the same rows are an ordinary question with another answer."
    ),
    build=on_canvases(rows, idea="log-probabilities as inputs"),
)
