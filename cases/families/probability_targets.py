"""Targets that are probabilities, or nearly."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import assorted, cotangent, labels, one_hot, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import Array, format_of
from logitmus.core.problem import Problem


def targets(canvas: Canvas) -> Iterator[tuple[str, Array]]:
    """Target matrices, shape (rows, K)."""
    rows, classes = canvas.rows, canvas.classes
    chosen = labels(canvas)
    hot, soft = one_hot(chosen, classes), soft_targets(canvas, chosen)
    shape = (rows, classes)
    yield "one-hot", hot
    yield "one-hot with -0 elsewhere", np.where(hot == 0.0, -0.0, hot)
    yield "soft", soft
    yield "uniform", np.full(shape, 1.0 / classes)
    yield "one-hot times 1/2 and times 3", hot * np.where(np.arange(rows) % 2, 0.5, 3.0)[:, np.newaxis]
    yield "not normalised", np.abs(canvas.draws.dyadic(shape, limit=1.0))
    yield "all zero in every second row", soft * (np.arange(rows) % 2)[:, np.newaxis]
    yield "negative", canvas.draws.dyadic(shape, limit=1.0)
    yield "cancelling", one_hot(chosen, classes) - one_hot((chosen + 1) % classes, classes)
    yield "integer-valued", canvas.draws.integers(0, 4, shape).astype(np.float64)
    yield "tiny", soft * format_of(canvas.dtype).smallest_normal
    yield "smoothed by hand", 0.9 * hot + 0.1 / classes
    # A mean of many rows or a float16 sum of these overflows, the loss of a row does not.
    yield "large", soft * 64.0


def build(plan: Plan) -> Iterator[Problem]:
    for canvas in plan.option_canvases() if plan.quick else plan.canvases():
        rows, upstream = assorted(canvas), cotangent(canvas)
        for name, matrix in targets(canvas):
            yield canvas.problem(rows, matrix, cotangent=upstream, idea=f"targets {name}")


FAMILY = Family(
    name="probability-targets",
    idea="one-hot, soft, not summing to 1, zero, negative, integer-valued targets",
    rationale=(
        "The gradient is s * softmax - q for targets that sum to s; softmax - q is right only for s = 1, and "
        "rounding alone keeps s from being 1. One-hot targets must give what labels give. Nothing checks the "
        "targets, so whatever comes is answered, and answers differ."
    ),
    incidents=(
        issue("tensorflow/tensorflow", 2327),
        issue("tensorflow/tensorflow", 49178),
        issue("tensorflow/tensorflow", 1234),
    ),
    build=build,
)
