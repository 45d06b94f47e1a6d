"""Shapes at the edge of what a cross-entropy is defined for."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import assorted, cotangent, labels, one_hot, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.problem import REDUCTIONS, Problem, Reduction


def both_kinds(canvas: Canvas, idea: str) -> Iterator[Problem]:
    """Labels and soft targets on assorted rows."""
    rows, chosen, upstream = assorted(canvas), labels(canvas), cotangent(canvas)
    yield canvas.problem(rows, chosen, idea=f"{idea}: labels", cotangent=upstream)
    yield canvas.problem(rows, soft_targets(canvas, chosen), idea=f"{idea}: soft targets", cotangent=upstream)


def no_classes(canvas: Canvas) -> Iterator[Problem]:
    """K = 0: a label has nothing to point at, a distribution over nothing sums to 0."""
    empty = np.zeros((canvas.rows, 0))
    yield canvas.problem(empty, np.zeros(canvas.rows, dtype=np.int64), idea="zero classes: labels")
    yield canvas.problem(empty, empty, idea="zero classes: probabilities")


def no_rows(canvas: Canvas, reduction: Reduction) -> Iterator[Problem]:
    """N = 0: none gives an empty array, sum 0, mean 0/0."""
    empty, no_labels = np.zeros((0, canvas.classes)), np.zeros(0, dtype=np.int64)
    yield canvas.problem(empty, no_labels, reduction=reduction, idea=f"empty batch: labels, {reduction}")
    yield canvas.problem(empty, empty, reduction=reduction, idea=f"empty batch: probabilities, {reduction}")


def one_axis(canvas: Canvas, reduction: Reduction) -> Iterator[Problem]:
    """Logits of shape (K,): the batch is ()."""
    row, target = ordinary(canvas, 1)[0], np.array(3)
    hot = one_hot(target, canvas.classes)
    yield canvas.problem(row, target, reduction=reduction, idea=f"no batch axis: label, {reduction}")
    yield canvas.problem(row, hot, reduction=reduction, idea=f"no batch axis: one-hot target, {reduction}")


def build(plan: Plan) -> Iterator[Problem]:
    if plan.quick:
        dtype = plan.lead
        yield from both_kinds(plan.canvas(dtype, 32, 1), "a single class")
        for problems in (
            no_classes(plan.canvas(dtype, 4, 0)),
            no_rows(plan.canvas(dtype, 0, 10), "mean"),
            one_axis(plan.canvas(dtype, 1, 10), "none"),
        ):
            yield next(problems)
        return
    for dtype in plan.dtypes:
        if not (plan.full or dtype in (plan.lead, "bfloat16")):
            continue
        yield from both_kinds(plan.canvas(dtype, 32, 1), "a single class")
        yield from both_kinds(plan.canvas(dtype, 32, 2), "two classes")
    for dtype in plan.dtypes if plan.full else (plan.lead,):
        yield from both_kinds(plan.canvas(dtype, 1, 10), "one row")
        yield from no_classes(plan.canvas(dtype, 4, 0))
        for reduction in REDUCTIONS:
            yield from no_rows(plan.canvas(dtype, 0, 10), reduction)
        yield from one_axis(plan.canvas(dtype, 1, 10), "none")
        yield from one_axis(plan.canvas(dtype, 1, 10), "mean")


FAMILY = Family(
    name="degenerate",
    idea="one class, two classes, no classes, no rows, one row, no batch axis",
    rationale=(
        "With one class the loss is exactly 0 and so is its gradient, whatever the logit. With no rows the mean is "
        "0/0, which some call NaN, some 0 and some an error. Shapes are squeezed, broadcast and reshaped on the way, "
        "and 1 and 0 are where that goes wrong."
    ),
    incidents=(
        issue("pytorch/pytorch", 50224),
        issue("pytorch/pytorch", 70348),
        issue("pytorch/pytorch", 73165),
        issue("tensorflow/tensorflow", 67531),
    ),
    build=build,
)
