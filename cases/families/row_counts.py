"""Batches of few rows, and of numbers of rows that no block divides."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from logitmus.cases.build import cotangent, labels, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

# What vectors of 4, 8 and 16 lanes and blocks of 32, 64 and 128 rows leave over; a single row comes with "degenerate".
COUNTS = (2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, 129)
SEVERAL = (3, 9)  # without a reduction, where a count costs every compiled function a compilation
QUICK = (3, 7)
CLASSES = 4
_UPSTREAM = np.array(-0.75)


def distinct(canvas: Canvas) -> Array:
    """Ordinary rows that differ by much: the loss of any of them, left out or counted twice, shows in the sum."""
    rows = ordinary(canvas, canvas.rows)
    rows[:, 0] += np.arange(canvas.rows) % 7
    return rows


def reduced(canvas: Canvas, *, dense: bool) -> Iterator[Problem]:
    """The sum and the mean: of labels, and of soft targets."""
    rows, chosen = distinct(canvas), labels(canvas)
    reduce = partial(canvas.problem, rows, cotangent=_UPSTREAM)
    yield reduce(chosen, reduction="sum", idea=f"sum of {canvas.rows} different rows: labels")
    yield reduce(chosen, reduction="mean", idea=f"mean of {canvas.rows} different rows: labels")
    if dense:
        soft = soft_targets(canvas, chosen)
        yield reduce(soft, reduction="sum", idea=f"sum of {canvas.rows} different rows: soft targets")
        yield reduce(soft, reduction="mean", idea=f"mean of {canvas.rows} different rows: soft targets")


def separate(canvas: Canvas) -> Iterator[Problem]:
    """The rows by themselves, each with an upstream gradient of its own."""
    rows, chosen, upstream = distinct(canvas), labels(canvas), cotangent(canvas)
    yield canvas.problem(rows, chosen, cotangent=upstream, idea=f"{canvas.rows} different rows: labels")
    soft = soft_targets(canvas, chosen)
    yield canvas.problem(rows, soft, cotangent=upstream, idea=f"{canvas.rows} different rows: soft targets")


def build(plan: Plan) -> Iterator[Problem]:
    for dtype in plan.dtypes if plan.full else (plan.lead,):
        for count in QUICK if plan.quick else COUNTS:
            yield from reduced(plan.canvas(dtype, count, CLASSES), dense=plan.full or count in SEVERAL)
        if not plan.quick:
            for count in COUNTS if plan.full else SEVERAL:
                yield from separate(plan.canvas(dtype, count, CLASSES))


FAMILY = Family(
    name="row-counts",
    idea="2 to 129 rows, all different: one more than a block, one less, no multiple of four",
    rationale=(
        "Sums over a batch run in vectors of 4, 8 or 16 rows and blocks of 32, 64 or 128, and the rows that are left "
        "over have code of their own. A suite whose batches are all of 4 or 32 rows never reaches it. With a single "
        "row a reduction over the wrong axis looks right."
    ),
    build=build,
)
