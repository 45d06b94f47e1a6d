"""The same numbers, lying differently in memory."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

import numpy as np

from logitmus.cases.build import assorted, cotangent, labels, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, commit, issue
from logitmus.core.problem import LAYOUTS, REDUCTIONS, Problem

# "moved" is a layout of several batch axes alone.
FLAT: Final = tuple(layout for layout in LAYOUTS if layout != "moved")
SPATIAL: Final = ("transposed", "sliced", "moved")
BATCHES: Final = ((2, 4, 4), (2, 2, 4, 2))  # of 32 rows: pictures, and volumes


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


def spatial(canvas: Canvas, batch: tuple[int, ...]) -> Iterator[Problem]:
    """Pictures and volumes in each layout, logits, labels and soft targets alike, and every reduction."""
    chosen, upstream = labels(canvas), cotangent(canvas).reshape(batch)
    rows = assorted(canvas).reshape(*batch, canvas.classes)
    soft = soft_targets(canvas, chosen).reshape(rows.shape)
    for words, targets in (("labels", chosen.reshape(batch)), ("soft targets", soft)):
        for layout in SPATIAL:
            for reduction in REDUCTIONS:
                yield canvas.problem(
                    rows,
                    targets,
                    reduction=reduction,
                    cotangent=upstream if reduction == "none" else np.array(-0.75),
                    layout=layout,
                    idea=f"{layout}, {len(batch) - 1} spatial axes, {reduction}: {words}",
                )


def build(plan: Plan) -> Iterator[Problem]:
    if plan.quick:
        yield from islice(lying(plan.lead_canvas(), ("contiguous", "transposed", "sliced")), 3)
        return
    if plan.full:
        for canvas in plan.canvases():
            yield from lying(canvas, FLAT)
            if canvas.rows == 32:
                yield from chain.from_iterable(spatial(canvas, batch) for batch in BATCHES)
        return
    for canvas in plan.option_canvases():
        if canvas.dtype in (plan.lead, "bfloat16"):
            yield from lying(canvas, FLAT)
    yield from lying(plan.canvas(plan.lead, 4, 1000), ("transposed",))
    for batch in BATCHES:
        yield from spatial(plan.lead_canvas(), batch)


FAMILY = Family(
    name="layouts",
    idea="transposed, every second element, stride 0, negative strides, misaligned, channels-last",
    rationale=(
        "The numbers are the same, so the answer is. Kernels that assume a stride of 1 read the gaps (NaN here), "
        "write their gradient through a repeated row, or vectorise over misaligned memory. A picture that is stored "
        "channels-last takes another kernel than the same picture stored channels-first."
    ),
    incidents=(
        issue("pytorch/pytorch", 67167),
        issue("pytorch/pytorch", 175084),
        issue("pytorch/pytorch", 190139),
        commit("Dao-AILab/flash-attention", "bedf8774"),
    ),
    build=build,
)
