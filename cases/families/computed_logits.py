"""Logits that are computed in the function that is compiled."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import ask, ordinary
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.computed_logits import PRODUCT, SCALED, scaled
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

LEVELS = (3e2, 5e3, 3e4, 7e5, 3e6, 3e9, 7e14, 7e29)


def tied(canvas: Canvas) -> Array:
    """Two equal maxima far above the rest, of a size that the product with a number must round.

    The exact loss depends on the maxima being equal, and hardly on their rounding.
    """
    level = np.array(LEVELS).reshape(-1, 1)
    rows = np.zeros((len(LEVELS), canvas.classes))
    rows[:, :2] = level
    rows[:, 3::2] = -level
    return rows


def rounded(canvas: Canvas, source: Array) -> Array:
    """The logits that are computed from `source`, as the canvas' dtype rounds them."""
    return scaled(source.astype(canvas.dtype)).astype(np.float64)


def build(plan: Plan) -> Iterator[Problem]:
    if plan.quick:  # every way to compute the logits is another compilation, for every function
        return
    for canvas in plan.option_canvases():
        if canvas.dtype != plan.lead or canvas.dtype in ("bfloat16", "float16"):
            continue  # a compiler may legitimately keep more digits of a half than its dtype has
        plain = ordinary(canvas, canvas.rows) / 2
        for problem in ask(canvas, rounded(canvas, tied(canvas)), idea="two equal maxima, scaled"):
            yield problem.but(manner=SCALED)
        for problem in ask(canvas, rounded(canvas, plain), kinds=("focus", "soft"), idea="ordinary rows, scaled"):
            yield problem.but(manner=SCALED)
        for problem in ask(canvas, plain, kinds=("focus", "soft"), idea="ordinary rows, a matrix product"):
            yield problem.but(manner=PRODUCT)


FAMILY = Family(
    name="computed-logits",
    idea="the logits are scaled, or are a matrix product, in the same compiled function",
    rationale=(
        "A compiler fuses the loss with what makes its logits, which a function that gets its logits as arguments "
        "never shows. A product that is rounded for the maximum and not for the difference from it makes that "
        "difference large where it is 0: the loss is -inf or NaN, and eagerly it is right."
    ),
    incidents=(issue("jax-ml/jax", 37234),),
    build=build,
)
