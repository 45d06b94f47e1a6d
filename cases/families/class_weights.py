"""Class weights, and the mean that divides by them."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np

from logitmus.cases.build import assorted, cotangent, labels, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import Array, format_of
from logitmus.core.problem import REDUCTIONS, Problem, Reduction


def weights(canvas: Canvas) -> Iterator[tuple[str, Array]]:
    """Vectors of shape (K,)."""
    classes, form = canvas.classes, format_of(canvas.dtype)
    usual = canvas.draws.choice((0.5, 1.0, 2.0, 0.25, 3.0, 1.5), classes)
    even = np.arange(classes) % 2 == 0
    yield "ordinary", usual
    yield "zero for every second class", np.where(even, 0.0, usual)
    yield "zero for all", usual * 0.0
    yield "negative for every second class", np.where(even, -usual, usual)
    yield "summing to nearly nothing", np.where(even, 1.0, -1.0)
    yield "huge", usual * 2.0**10 if canvas.dtype == "float16" else usual * (form.largest / 2.0**12)
    yield "tiny", usual * form.smallest_normal
    yield "not exact in binary", 0.1 + usual / 3.0


def weighting(canvas: Canvas, reduction: Reduction) -> Iterator[Problem]:
    """Every weight vector, and a vector that is zero for exactly the labels present."""
    rows, chosen = assorted(canvas), labels(canvas)
    upstream = cotangent(canvas) if reduction == "none" else np.array(1.5)
    weighted = partial(canvas.problem, rows, reduction=reduction, cotangent=upstream)
    for name, weight in weights(canvas):
        yield weighted(chosen, weight=weight, idea=f"weights {name}, {reduction}")
    absent_only = np.where(np.isin(np.arange(canvas.classes), (1, 2)), 0.0, 2.0)
    yield weighted(1 + chosen % 2, weight=absent_only, idea=f"weights zero for the labels present, {reduction}")


def infinite_loss(canvas: Canvas) -> Problem:
    """A weight of 0 at a target of probability 0."""
    rows, targets = ordinary(canvas, canvas.rows), np.zeros(canvas.rows, dtype=np.int64)
    rows[::2, 0] = -float("inf")
    targets[1::2] = labels(canvas)[1::2]
    weight = np.where(np.arange(canvas.classes) == 0, 0.0, 1.5)
    return canvas.problem(rows, targets, weight=weight, idea="weight zero where the loss is infinite")


def silenced(canvas: Canvas, filling: str) -> Problem:
    """Rows full of NaN, inf or the largest number, with labels of weight 0: the other rows must not see them."""
    rows, silent = assorted(canvas), np.arange(canvas.rows) % 2 == 0
    rows[silent] = format_of(canvas.dtype).largest if filling == "largest" else float(filling)
    targets = np.where(silent, 0, 1 + labels(canvas) % (canvas.classes - 1))
    weight = np.where(np.arange(canvas.classes) == 0, 0.0, 1.5)
    return canvas.problem(
        rows, targets, weight=weight, cotangent=cotangent(canvas), idea=f"weight zero for rows full of {filling}"
    )


def combined(canvas: Canvas) -> Iterator[Problem]:
    """Means with ignored rows, and of probability targets (which divide by rows, or by weights)."""
    rows, chosen = assorted(canvas), labels(canvas)
    ignoring = np.where(np.arange(canvas.rows) % 3 == 1, -100, chosen)
    soft = soft_targets(canvas, chosen)
    for name, weight in islice(weights(canvas), 2):
        weighted = partial(canvas.problem, rows, weight=weight, reduction="mean")
        yield weighted(ignoring, ignore_index=-100, idea=f"weights {name}, ignored rows, mean")
        yield weighted(soft, idea=f"weights {name}, soft targets, mean")


def build(plan: Plan) -> Iterator[Problem]:
    reductions: tuple[Reduction, ...] = ("mean",) if plan.quick else REDUCTIONS
    for canvas in plan.option_canvases():
        for reduction in reductions:
            yield from weighting(canvas, reduction)
    lead = plan.lead_canvas()
    yield infinite_loss(lead)
    yield from combined(lead)
    if not plan.quick:
        yield from (silenced(lead, filling) for filling in ("nan", "inf", "-inf", "largest"))
        soft, (_, weight) = soft_targets(lead, labels(lead)), next(weights(lead))
        yield lead.problem(assorted(lead), soft, weight=weight, idea="weights ordinary, soft targets, none")


FAMILY = Family(
    name="class-weights",
    idea="weights ordinary, zero, huge, negative, zero for all labels present",
    rationale=(
        "The weighted mean divides by the sum of the weights of the labels present; some divide by the number of "
        "rows, or by all rows, ignored ones too. The sum can be 0, can cancel, can overflow in half precision; a "
        "weight of 0 must silence even an infinite loss."
    ),
    incidents=(
        issue("pytorch/pytorch", 61309),
        issue("PaddlePaddle/Paddle", 23708),
        issue("PaddlePaddle/Paddle", 30180),
        issue("PaddlePaddle/Paddle", 32545),
        issue("PaddlePaddle/Paddle", 48663),
        issue("onnx/onnx", 2696),
    ),
    build=build,
)
