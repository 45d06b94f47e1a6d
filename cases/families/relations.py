"""Problems and their images under changes that leave the answer what it is."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from logitmus.cases import metamorphic
from logitmus.cases.build import cotangent, labels, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan
from logitmus.cases.metamorphic import RELATIONS
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

_LIVE = 4  # classes of the problems that are padded: as many as the seed question has


def rows_of(canvas: Canvas) -> Array:
    """Multiples of 1/16, so that a shift is exact in every dtype; every fourth row is wide."""
    rows = ordinary(canvas, canvas.rows)
    rows[2::4] *= 8.0
    return rows


def padded(canvas: Canvas) -> Array:
    """Rows with few classes that are not at -inf."""
    rows = rows_of(canvas)
    rows[:, _LIVE:] = -np.inf
    return rows


def images(problem: Problem, *names: str) -> Iterator[Problem]:
    """The problem, and its images; of those that are many, the first two."""
    yield problem
    for name in names:
        for image in islice(RELATIONS[name].images(problem), 2):
            yield image.problem.but(idea=f"{problem.idea}: {RELATIONS[name].says}")


def whole(canvas: Canvas, *, quick: bool, lead: bool) -> Iterator[Problem]:
    """Labels and soft targets under upstream gradients of many values; rows by themselves in a single dtype."""
    rows, chosen, upstream = rows_of(canvas), labels(canvas), cotangent(canvas)
    by_label = canvas.problem(rows, chosen, cotangent=upstream, idea="labels")
    yield from images(by_label, "shift", "classes", "rows", "one_hot", *(("alone",) if lead else ()))
    soft = canvas.problem(rows, soft_targets(canvas, chosen), cotangent=upstream, idea="soft targets")
    yield from images(soft, "shift", "classes", *(() if quick else ("rows",)))


def with_masks(canvas: Canvas, *, quick: bool) -> Iterator[Problem]:
    """Classes at -inf, and the rows without them: a shape of its own."""
    chosen, upstream = labels(canvas), cotangent(canvas)
    masked = canvas.problem(padded(canvas), chosen % _LIVE, cotangent=upstream, idea="masked classes, labels")
    yield from islice(images(masked, "padding"), 2 if quick else 3)
    if not quick:
        few = np.zeros((canvas.rows, canvas.classes))
        few[:, :_LIVE] = soft_targets(replace(canvas, classes=_LIVE), chosen % _LIVE)
        dense = canvas.problem(padded(canvas), few, cotangent=upstream, idea="masked classes, soft targets")
        yield from images(dense, "padding")


def with_options(canvas: Canvas) -> Iterator[Problem]:
    """Means with class weights, and smoothing."""
    rows, chosen = rows_of(canvas), labels(canvas)
    weight = canvas.draws.choice((0.5, 1.0, 2.0, 3.0), canvas.classes)
    mean = canvas.problem(rows, chosen, weight=weight, reduction="mean", idea="mean with class weights")
    yield from images(mean, "shift", "classes", "rows")
    smooth = canvas.problem(rows, chosen, label_smoothing=0.1, idea="label smoothing")
    yield from images(smooth, "shift", "classes", "rows", "one_hot")


def build(plan: Plan) -> Iterator[Problem]:
    for canvas in plan.option_canvases():
        lead = canvas.dtype == plan.lead
        yield from whole(canvas, quick=plan.quick, lead=lead)
        if lead:
            yield from with_masks(canvas, quick=plan.quick)
        if lead and not plan.quick:
            yield from with_options(canvas)


FAMILY = Family(
    name=metamorphic.FAMILY,
    idea="a problem, and the same problem shifted, reordered, split, padded, in one-hot targets",
    rationale=(
        "What a cross-entropy is says how answers to different questions hang together. Two answers that contradict "
        "each other need no reference to be wrong: whoever doubts the exact values of this report can check these by "
        "subtraction."
    ),
    build=build,
)
