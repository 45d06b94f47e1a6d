"""Rows whose label says: leave me out."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from logitmus.cases.build import assorted, cotangent, labels
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import Array, format_of
from logitmus.core.problem import Problem, Reduction

# dtype, rows, classes, and the first integer that the dtype cannot hold.
UNREPRESENTABLE = (("bfloat16", 8, 257, 257), ("float16", 4, 2050, 2049))


def patterns(canvas: Canvas) -> Iterator[tuple[str, Array]]:
    """Which rows are ignored."""
    place = np.arange(canvas.rows)
    yield "some", place % 3 == 1
    yield "the first", place == 0
    yield "the last", place == canvas.rows - 1
    yield "all but one", place != 5
    yield "all", place >= 0
    yield "none", place < 0


def ignoring(canvas: Canvas, index: int, reduction: Reduction) -> Iterator[Problem]:
    """Assorted rows under each pattern; a kept row never has the ignored label."""
    rows, chosen = assorted(canvas), labels(canvas)
    kept = np.where(chosen == index, (index + 1) % canvas.classes, chosen)
    upstream = cotangent(canvas) if reduction == "none" else np.array(0.75)
    for name, ignored in patterns(canvas):
        yield canvas.problem(
            rows,
            np.where(ignored, index, kept),
            ignore_index=index,
            reduction=reduction,
            cotangent=upstream,
            idea=f"label {index} ignored in {name} of the rows, {reduction}",
        )


def special_rows(canvas: Canvas, reduction: Reduction) -> Problem:
    """NaN and inf in ignored rows, which must not be read."""
    rows, place = assorted(canvas), np.arange(canvas.rows)
    rows[place % 6 == 0] = float("nan")
    rows[place % 6 == 2, ::2] = float("inf")
    rows[place % 6 == 4] = -float("inf")
    targets = np.where(place % 2 == 0, -100, labels(canvas))
    idea = f"NaN and inf in ignored rows, {reduction}"
    return canvas.problem(rows, targets, ignore_index=-100, reduction=reduction, idea=idea)


FILLINGS = ("nan", "inf", "-inf", "largest", "-largest")


def filled(canvas: Canvas, filling: str, reduction: Reduction) -> Problem:
    """Every second row ignored, and filled with a single value: nothing of it may reach the others."""
    rows, ignored = assorted(canvas), np.arange(canvas.rows) % 2 == 0
    largest = format_of(canvas.dtype).largest
    rows[ignored] = {"largest": largest, "-largest": -largest}.get(filling) or float(filling)
    return canvas.problem(
        rows,
        np.where(ignored, -100, labels(canvas)),
        ignore_index=-100,
        reduction=reduction,
        cotangent=cotangent(canvas) if reduction == "none" else np.array(0.75),
        idea=f"ignored rows full of {filling}, {reduction}",
    )


def rounded_index(canvas: Canvas, index: int, reduction: Reduction) -> Problem:
    """An ignored label that the dtype rounds to its neighbour, which is a class, and a label of half the rows."""
    place = np.arange(canvas.rows)
    targets = np.select([place % 4 == 1, place % 2 == 0], [index, index - 1], default=place % canvas.classes)
    return canvas.problem(
        assorted(canvas),
        targets,
        ignore_index=index,
        reduction=reduction,
        idea=f"label {index} ignored, which {canvas.dtype} rounds to {index - 1}, a class; {reduction}",
    )


def unnamed(canvas: Canvas, label: int) -> Problem:
    """A usual sentinel among the labels of a call that names none: the default of the function decides."""
    targets = np.where(np.arange(canvas.rows) % 3 == 1, label, labels(canvas))
    return canvas.problem(assorted(canvas), targets, idea=f"labels of {label} though no label was named as ignored")


def build(plan: Plan) -> Iterator[Problem]:
    for canvas in plan.option_canvases():
        reductions: tuple[Reduction, ...] = ("none", "mean")
        if canvas.dtype == plan.lead and not plan.quick:
            reductions += ("sum",)
        for reduction in reductions:
            # Without a reduction every row is judged by itself: in a hurry one pattern shows what six would.
            one_is_enough = plan.quick and reduction == "none"
            yield from islice(ignoring(canvas, -100, reduction), 1 if one_is_enough else None)
            yield special_rows(canvas, reduction)
            if not plan.quick:
                yield from (filled(canvas, filling, reduction) for filling in FILLINGS)
    lead = plan.lead_canvas()
    yield from (unnamed(lead, label) for label in (-100, -1))
    if not plan.quick:
        for index in (-1, 0, 3, lead.classes - 1, lead.classes, 255):
            yield from ignoring(lead, index, "none")
        for index in (-1, 0):
            yield from ignoring(lead, index, "mean")
        yield from ignoring(lead, 2**31 - 1, "none")
        for dtype, rows, classes, index in UNREPRESENTABLE:
            if dtype in plan.dtypes:
                canvas = plan.canvas(dtype, rows, classes)
                yield from (rounded_index(canvas, index, reduction) for reduction in ("none", "mean"))


FAMILY = Family(
    name="ignored-rows",
    idea="ignore_index -100, -1, 0, a class, C-1, C, 255, 2^31-1; some, all, none of the rows; NaN, inf in them",
    rationale=(
        "An ignored row gives 0, no gradient, and does not count in the mean; a batch of nothing else has a mean of "
        "0/0. A sentinel that is a valid class, or that a kernel uses for itself, is taken for the other; an "
        "out-of-range sentinel is used as an index before it is masked; NaN in a row that is left out leaks through "
        "0 * NaN."
    ),
    incidents=(
        issue("pytorch/pytorch", 15508),
        issue("pytorch/pytorch", 95794),
        issue("pytorch/pytorch", 105736),
        issue("pytorch/pytorch", 69339),
        issue("FlagOpen/FlagGems", 5025),
        issue("onnx/onnx", 2680),
        issue("iree-org/iree", 24228),
    ),
    build=build,
)
