"""The same numbers, lying differently in memory."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from logitmus.cases.build import assorted, cotangent, labels, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, commit, issue
from logitmus.core.problem import LAYOUTS, Problem


def lying(canvas: Canvas, layouts: Iterable[str]) -> Iterator[Problem]:
    """The same assorted rows in each layout ("expanded" repeats a row): labels, then soft targets."""
    chosen, upstream = labels(canvas), cotangent(canvas)
    varied, repeated = assorted(canvas), np.tile(ordinary(canvas, 1), (canvas.rows, 1))
    for words, targets in (("labels", chosen), ("soft targets", soft_targets(canvas, chosen))):
        for layout in layouts:
            rows = repeated if layout == "expanded" else varied
            yield canvas.problem(rows, targets, cotangent=upstream, layout=layout, idea=f"{layout}: {words}")
        # Beside "expanded", so that a difference between the two shows as a difference of layout.
        yield canvas.problem(repeated, targets, cotangent=upstream, idea=f"contiguous, equal rows: {words}")


def build(plan: Plan) -> Iterator[Problem]:
    if plan.quick:
        yield from islice(lying(plan.lead_canvas(), ("contiguous", "transposed", "sliced")), 3)
        return
    if plan.full:
        for canvas in plan.canvases():
            yield from lying(canvas, LAYOUTS)
        return
    for canvas in plan.option_canvases():
        if canvas.dtype in (plan.lead, "bfloat16"):
            yield from lying(canvas, LAYOUTS)
    yield from lying(plan.canvas(plan.lead, 4, 1000), ("transposed",))


FAMILY = Family(
    name="layouts",
    idea="transposed, every second element, one row repeated with stride 0, negative strides",
    rationale=(
        "The numbers are the same, so the answer is. Kernels that assume a stride of 1 read the gaps (NaN here), "
        "write their gradient through a repeated row, or vectorise over misaligned memory."
    ),
    incidents=(
        issue("pytorch/pytorch", 67167),
        issue("pytorch/pytorch", 175084),
        issue("pytorch/pytorch", 190139),
        commit("Dao-AILab/flash-attention", "c79de85f"),
    ),
    build=build,
)
