"""Sums and means, and upstream gradients that are not ones."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np

from logitmus.cases.build import assorted, labels, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import format_of
from logitmus.core.problem import Problem, Reduction

NINE = (9, 4)  # a shape of "row-counts"


def reduced(canvas: Canvas, reduction: Reduction) -> Iterator[Problem]:
    """Labels and soft targets under scalar upstream gradients."""
    rows, chosen = assorted(canvas), labels(canvas)
    soft = soft_targets(canvas, chosen)
    for upstream in (1.0, -0.75, 0.0, 1024.0):
        reduce = partial(canvas.problem, rows, reduction=reduction, cotangent=np.array(upstream))
        yield reduce(chosen, idea=f"{reduction}, upstream {upstream:g}: labels")
        yield reduce(soft, idea=f"{reduction}, upstream {upstream:g}: soft targets")
    hard = np.zeros((canvas.rows, canvas.classes))
    hard[:, 0] = 120.0
    first = np.zeros(canvas.rows, dtype=np.int64)
    yield canvas.problem(-hard, first, reduction=reduction, idea=f"{reduction} of large losses")
    hard[0] = rows[0]
    yield canvas.problem(hard, first, reduction=reduction, idea=f"{reduction} of one loss and many near 0")


def upstream_rows(canvas: Canvas) -> Iterator[Problem]:
    """Reduction none under upstream gradients that differ from row to row, or are extreme."""
    form, place = format_of(canvas.dtype), np.arange(canvas.rows)
    rows, chosen = ordinary(canvas, canvas.rows), labels(canvas)
    soft = soft_targets(canvas, chosen)
    for name, upstream in (
        ("for one row alone", np.where(place == canvas.rows // 2, 1.0, 0.0)),
        ("alternating", np.where(place % 2, 1.0, -1.0)),
        ("growing", np.ldexp(1.0, place % 16 - 8)),
        ("huge", np.full(canvas.rows, form.largest / 4)),
        ("tiny", np.full(canvas.rows, form.smallest_normal * 8)),
        ("zero", np.zeros(canvas.rows)),
    ):
        yield canvas.problem(rows, chosen, cotangent=upstream, idea=f"upstream gradients {name}: labels")
        yield canvas.problem(rows, soft, cotangent=upstream, idea=f"upstream gradients {name}: soft targets")


def single_rows(canvas: Canvas) -> Iterator[Problem]:
    """An upstream gradient for each row in turn and 0 for the others; and 0 for the first row alone."""
    rows, chosen = ordinary(canvas, canvas.rows), labels(canvas)
    soft, place = soft_targets(canvas, chosen), np.arange(canvas.rows)
    for row in range(canvas.rows):
        upstream, words = np.where(place == row, -0.75, 0.0), f"upstream gradient for row {row} alone"
        yield canvas.problem(rows, chosen, cotangent=upstream, idea=f"{words}: labels")
        yield canvas.problem(rows, soft, cotangent=upstream, idea=f"{words}: soft targets")
    upstream = np.where(place == 0, 0.0, 1.0)
    yield canvas.problem(rows, chosen, cotangent=upstream, idea="upstream gradient zero for the first row: labels")
    yield canvas.problem(rows, soft, cotangent=upstream, idea="upstream gradient zero for the first row: soft targets")


def build(plan: Plan) -> Iterator[Problem]:
    for canvas in plan.option_canvases():
        yield from islice(upstream_rows(canvas), 0, None, 2 if plan.quick else 1)  # in a hurry labels alone
        yield from reduced(canvas, "mean")
        if not plan.quick:
            yield from reduced(canvas, "sum")
    if not plan.quick:
        yield from single_rows(plan.canvas(plan.lead, *NINE))


FAMILY = Family(
    name="reductions",
    idea="sum and mean; upstream gradients zero, negative, huge, tiny, different in every row, for one row alone",
    rationale=(
        "Fused kernels compute the gradient in the forward pass, for an upstream gradient of 1, and scale it later "
        "or not at all. Test suites call loss.backward() on a mean, where every row's upstream gradient is the same."
    ),
    incidents=(
        issue("linkedin/Liger-Kernel", 272),
        issue("linkedin/Liger-Kernel", 678),
        issue("NVIDIA/TransformerEngine", 2139),
        issue("unslothai/unsloth", 5002),
        issue("modelscope/ms-swift", 10129),
    ),
    build=build,
)
