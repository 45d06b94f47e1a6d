"""Many classes, few of them alive, at the edges of blocks."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import ask, cotangent, one_hot
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

EDGES = (
    31,
    32,
    63,
    64,
    127,
    128,
    255,
    256,
    511,
    512,
    1023,
    1024,
    2047,
    2048,
    4095,
    4096,
    8191,
    8192,
    32767,
    32768,
    65535,
    65536,
)
DEAD = -256.0  # e^-256 is below 1e-111: with every class but the live ones here the sum is that of the live ones


def rows(canvas: Canvas, count: int) -> tuple[Array, Array]:
    """Rows with two to eight live classes; each is about a live class: the last, the last but one, or at an edge."""
    classes = canvas.classes
    edges = [edge for edge in EDGES if edge < classes - 1]
    values, starts = canvas.draws.dyadic((count, 8), limit=2.0), canvas.draws.integers(0, len(edges), count)
    made = np.full((count, classes), DEAD)
    at = np.empty(count, dtype=np.int64)
    for row in range(count):
        near = [edges[(int(starts[row]) + step) % len(edges)] for step in range(min(6, len(edges)))]
        live = ([classes - 1, classes - 2, *near], [classes - 1, near[0]], [*near[:2], 0, classes - 1])[row % 3]
        made[row, live] = values[row, : len(live)]
        made[row] += (0.0, -64.0, 32.0)[row // 3 % 3]  # below 0, a padded lane left at 0 outweighs the row
        at[row] = live[row // 3 % len(live)]
    return made, at


def on(canvas: Canvas, chunks: int, *, dense: bool) -> Iterator[Problem]:
    """Labels and one-hot targets on live classes only: a loss of 256 would hide what the sum lost."""
    made, at = rows(canvas, chunks * canvas.rows)
    yield from ask(canvas, made, focus=at, shuffle=False, kinds=("focus",), idea="live classes at block edges")
    if dense:
        targets = one_hot(at[-canvas.rows :], canvas.classes)
        idea = "live classes at block edges: one-hot targets"
        yield canvas.problem(made[-canvas.rows :], targets, cotangent=cotangent(canvas), idea=idea)


def build(plan: Plan) -> Iterator[Problem]:
    for canvas in plan.canvases():
        if canvas.classes >= 33:
            yield from on(canvas, 3, dense=True)
    for canvas in plan.large_canvases():
        single = canvas.dtype == "float32"
        yield from on(canvas, 2 if single else 1, dense=single and canvas.classes == 50257)


FAMILY = Family(
    name="block-edges",
    idea="at most 8 live classes, at 31, 32, ..., 65536, and last; all others at -256",
    rationale=(
        "In a row of 50 257 equal logits a dropped last class or a padded lane changes the loss by 2e-5 and hides in "
        "every honest error budget. With eight live classes it cannot hide: each carries a share of the sum. Below "
        "0, a lane padded with 0 outweighs the whole row."
    ),
    incidents=(
        issue("apple/ml-cross-entropy", 52),
        issue("apple/ml-cross-entropy", 59),
        issue("Dao-AILab/flash-attention", 1930),
    ),
    build=build,
)
