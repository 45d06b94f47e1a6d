"""Problems that a function is asked with and without a switch of the process (`core.backend.Switch`)."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from logitmus.cases.build import ask, assorted, cotangent, labels, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan
from logitmus.core.floats import Array, format_of
from logitmus.core.problem import SWITCHES, Problem

_UPSTREAM = np.array(0.75)
# exp(-gap) is below the smallest normal number of the dtype, and above its smallest subnormal one.
GAPS = {"float64": 720.0, "float32": 90.0, "bfloat16": 90.0, "float16": 12.0}
# Enough for several threads: PyTorch gives each at least 32 768 elements.
SHARED = (1024, 64)


def tiny(canvas: Canvas) -> Array:
    """Rows whose logits, or whose probabilities and gradients, are subnormal."""
    form = format_of(canvas.dtype)
    rows = canvas.draws.choice([0.0, form.smallest_subnormal, -form.smallest_normal], (canvas.rows, canvas.classes))
    rows[1::2] = 0.0
    rows[1::2, 0] = GAPS[canvas.dtype]
    return rows


def masked(canvas: Canvas) -> Array:
    """Rows with classes at -inf, and one with a class at +inf."""
    rows = ordinary(canvas, canvas.rows)
    rows[:, 1::3] = -np.inf
    rows[0, 0] = np.inf
    return rows


def with_options(canvas: Canvas) -> Iterator[Problem]:
    """Means, with class weights, with ignored rows and with label smoothing; targets that are no distribution."""
    rows, chosen = assorted(canvas), labels(canvas)
    soft = soft_targets(canvas, chosen)
    weight = 2.0 ** canvas.draws.integers(-2, 3, canvas.classes)
    mean = partial(canvas.problem, rows, reduction="mean", cotangent=_UPSTREAM)
    yield mean(chosen, weight=weight, idea="a weighted mean")
    yield mean(chosen, ignore_index=int(chosen[0]), idea="a mean with ignored rows")
    yield mean(chosen, label_smoothing=0.125, idea="a mean with label smoothing")
    yield mean(soft, idea="a mean, soft targets")
    yield canvas.problem(rows, 2 * soft, cotangent=cotangent(canvas), idea="soft targets that sum to 2")


def shapes(plan: Plan) -> Iterator[Problem]:
    """A picture, and a single class."""
    canvas = plan.lead_canvas()
    yield canvas.problem(
        ordinary(canvas, canvas.rows).reshape(4, -1, canvas.classes),
        labels(canvas).reshape(4, -1),
        cotangent=cotangent(canvas).reshape(4, -1),
        idea="two batch axes",
    )
    canvas = plan.canvas(plan.lead, 4, 1)
    rows, chosen = ordinary(canvas, canvas.rows), np.zeros(canvas.rows, np.int64)
    yield canvas.problem(rows, chosen, cotangent=cotangent(canvas), idea="a single class")
    yield canvas.problem(rows, np.ones(rows.shape), cotangent=cotangent(canvas), idea="a single class, soft targets")


def invalid(canvas: Canvas) -> Iterator[Problem]:
    """Labels that are no class, a mean of nothing but ignored rows, no rows."""
    rows, chosen = ordinary(canvas, canvas.rows), labels(canvas)
    for label in (canvas.classes, -1):
        yield canvas.problem(rows, np.where(chosen == chosen[-1], label, chosen), idea=f"the label {label}")
    same = np.full_like(chosen, chosen[-1])
    yield canvas.problem(rows, same, ignore_index=int(chosen[-1]), reduction="mean", idea="every row is ignored")
    yield canvas.problem(rows[:0], chosen[:0], idea="no rows")


def shared_work(plan: Plan) -> Iterator[Problem]:
    """Sums that several threads share."""
    canvas = plan.canvas(plan.lead, *SHARED)
    rows, chosen = ordinary(canvas, canvas.rows), labels(canvas)
    soft = soft_targets(canvas, chosen)
    yield canvas.problem(rows, chosen, reduction="mean", cotangent=_UPSTREAM, idea="a mean by several threads")
    yield canvas.problem(rows, soft, reduction="sum", idea="a sum by several threads, soft targets")


def build(plan: Plan) -> Iterator[Problem]:
    if plan.quick:  # each worker with a switch costs a start of the framework
        return
    for canvas in plan.option_canvases():
        yield from ask(canvas, assorted(canvas), idea="rows of several kinds", kinds=("focus", "soft"))
        yield from ask(canvas, tiny(canvas), idea="subnormals", kinds=("focus", "soft"))
        yield from with_options(canvas)
        if canvas.dtype == plan.lead:
            yield from ask(canvas, masked(canvas), idea="infinite logits", kinds=("focus", "soft"), shuffle=False)
            yield from invalid(canvas)
    yield from shapes(plan)
    yield from shared_work(plan)


FAMILY = Family(
    name=SWITCHES,
    idea="the same call with and without a setting of the process: threads, determinism, flush-to-zero, autocast",
    rationale=(
        "A setting made elsewhere in a program chooses other kernels, another order of summation or another dtype. "
        "It must change neither the loss beyond rounding nor the fate of an invalid label, but a framework may have a "
        "second implementation for it, as TensorFlow has for op determinism. Only functions with switches are asked."
    ),
    build=build,
)
