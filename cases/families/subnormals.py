"""Subnormal logits and signed zeros."""

import numpy as np

from logitmus.cases.build import on_canvases, two_level
from logitmus.cases.family import Canvas, Family
from logitmus.core.floats import Array, format_of


def rows(canvas: Canvas) -> Array:
    form = format_of(canvas.dtype)
    tiny, normal = form.smallest_subnormal, form.smallest_normal
    pairs = [
        (a, b) for a in (tiny, -tiny, normal, -normal, normal - tiny, 0.0, -0.0) for b in (0.0, -0.0, tiny, -normal)
    ]
    mixed = canvas.draws.choice([0.0, -0.0, tiny, -tiny, normal, -normal, 1.0], (8, canvas.classes))
    return np.concatenate([two_level(canvas.classes, pairs), mixed])


FAMILY = Family(
    name="subnormals",
    idea="subnormal logits, the smallest normal one, +0 and -0",
    rationale=(
        "The loss must be log K as for zeros, however the process treats subnormals: flush-to-zero may not change "
        "it, and a comparison of -0 with +0 may not pick a maximum that is then subtracted twice. Beside an ordinary "
        "logit they must behave as 0."
    ),
    build=on_canvases(rows, idea="subnormals and signed zeros"),
)
