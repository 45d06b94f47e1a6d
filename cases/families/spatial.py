"""Several batch axes: segmentation and the like."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from logitmus.cases.build import assorted, cotangent, labels, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

BATCH = (2, 4, 4)


def folded(array: Array) -> Array:
    """(32, ...) as (2, 4, 4, ...)."""
    return array.reshape(*BATCH, *array.shape[1:])


def plain(canvas: Canvas) -> Iterator[Problem]:
    chosen = labels(canvas)
    rows, upstream = folded(assorted(canvas)), folded(cotangent(canvas))
    yield canvas.problem(rows, folded(chosen), cotangent=upstream, idea="two spatial axes: labels")
    soft = folded(soft_targets(canvas, chosen))
    yield canvas.problem(rows, soft, cotangent=upstream, idea="two spatial axes: soft targets")


def with_options(canvas: Canvas) -> Iterator[Problem]:
    """Means, over places; with ignored places, weights, smoothing; and a single spatial axis."""
    chosen = labels(canvas)
    rows, targets, soft = (folded(array) for array in (assorted(canvas), chosen, soft_targets(canvas, chosen)))
    weight = canvas.draws.choice((0.5, 1.0, 2.0, 3.0), canvas.classes)
    ignoring = np.where(canvas.draws.integers(0, 3, BATCH) == 0, -100, targets)
    mean = partial(canvas.problem, rows, reduction="mean")
    yield mean(targets, idea="two spatial axes: mean")
    yield mean(soft, idea="two spatial axes: soft targets, mean")
    yield mean(ignoring, ignore_index=-100, idea="two spatial axes: ignored places, mean")
    yield mean(targets, weight=weight, idea="two spatial axes: weights, mean")
    yield mean(targets, label_smoothing=0.1, idea="two spatial axes: smoothing, mean")
    yield mean(soft, label_smoothing=0.1, idea="two spatial axes: soft targets, smoothing, mean")
    flat = rows.reshape(2, 16, canvas.classes)
    yield canvas.problem(flat, targets.reshape(2, 16), idea="one spatial axis: labels")
    volume = partial(canvas.problem, rows.reshape(2, 2, 4, 2, canvas.classes))
    yield volume(targets.reshape(2, 2, 4, 2), ignore_index=-100, reduction="mean", idea="three spatial axes: mean")


def build(plan: Plan) -> Iterator[Problem]:
    if plan.quick:
        yield next(plain(plan.lead_canvas()))
        return
    for canvas in plan.option_canvases():
        if canvas.dtype in (plan.lead, "bfloat16") or plan.full:
            yield from plain(canvas)
    yield from with_options(plan.lead_canvas())


FAMILY = Family(
    name="spatial",
    idea="logits (N, C, d1, d2): one, two or three axes beside batch and classes",
    rationale=(
        "PyTorch and ONNX put the classes on axis 1, the others last; everything that uses K must use that axis: "
        "smoothing, weights, the softmax itself. A mean divides by all places, not by the batch."
    ),
    incidents=(
        issue("tensorflow/tensorflow", 32231),
        issue("tensorflow/tensorflow", 39329),
        issue("keras-team/keras", 23451),
        issue("google-deepmind/optax", 1162),
        issue("PaddlePaddle/Paddle", 27311),
    ),
    build=build,
)
