"""Sums that a careless order of addition gets wrong."""

from collections.abc import Iterator
from types import MappingProxyType

import numpy as np

from logitmus.cases.build import ask
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

# A gap just beyond the gap whose exp is half an ulp of 1: each small term alone is absorbed, together they are not.
JUST_ABSORBED = MappingProxyType({"float64": 37.5, "float32": 17.5, "bfloat16": 6.5, "float16": 8.5})


def rows(canvas: Canvas) -> tuple[Array, Array]:
    """The rows and the class each is about; the order of the classes is the idea."""
    classes, gap = canvas.classes, JUST_ABSORBED[canvas.dtype]
    line = np.arange(classes) * (gap / max(classes, 1))
    made: list[Array] = []
    at: list[int] = []
    for depth in (gap, gap - 2.0, gap / 2):
        for place in (0, classes - 1, classes // 2):
            one_large = np.full(classes, -depth)
            one_large[place] = 0.0
            made.append(one_large)
            at.append(place)
    alternating = np.where(np.arange(classes) % 2, 0.0, -gap)
    for row, place in (
        (line, classes - 1),
        (-line, 0),
        (alternating, 1 % classes),
        (line[::-1] / 4, 0),
        (line * 0.0, 0),
    ):
        made.append(row)
        at.append(place)
    return np.array(made), np.array(at)


def build(plan: Plan) -> Iterator[Problem]:
    for canvas in plan.canvases():
        made, at = rows(canvas)
        yield from ask(canvas, made, focus=at, shuffle=False, idea="order of summation")


FAMILY = Family(
    name="summation-killers",
    idea="one large term among many that are absorbed one by one; ascending, descending, alternating",
    rationale=(
        "Added one after the other to 1, a thousand terms of 0.4 ulp vanish; added to each other first they make the "
        "loss. Sequential sums and sums kept in half precision fail, pairwise and float32 ones pass. Sorted rows "
        "show online softmax that forgets to rescale when the maximum grows."
    ),
    incidents=(issue("jax-ml/jax", 40409), issue("jax-ml/ml_dtypes", 63), issue("apple/ml-cross-entropy", 52)),
    build=build,
)
