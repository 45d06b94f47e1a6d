"""The target far below the best class: the loss is the gap."""

from logitmus.cases.build import on_canvases, two_level
from logitmus.cases.family import Canvas, Family, issue
from logitmus.core.floats import Array, format_of

GAPS = (
    20.0,
    60.0,
    64.0,
    65.0,
    87.0,
    88.0,
    89.0,
    90.0,
    103.0,
    105.0,
    200.0,
    500.0,
    709.0,
    745.0,
    746.0,
    1e3,
    1e4,
    6e4,
    1e6,
    1e30,
)


def rows(canvas: Canvas) -> Array:
    """The focus at -gap below equal others; and at 0 below others that are high."""
    gaps = [gap for gap in GAPS if gap < format_of(canvas.dtype).largest]
    return two_level(canvas.classes, [pair for gap in gaps for pair in ((-gap, 0.0), (0.0, gap))])


FAMILY = Family(
    name="big-gap",
    idea="the target lies 20 to 1e30 below the best class; the loss must say so",
    rationale=(
        "log(softmax) underflows: beyond 104 in float32 the probability is 0 and its logarithm -inf; guards such as "
        "log(p + 1e-20) or a clip put a ceiling on the loss (46, 64, 16.1) and a zero on the gradient, exactly for "
        "the rows that most need one. The exact answer is simply the gap."
    ),
    incidents=(issue("PaddlePaddle/Paddle", 20994), issue("PaddlePaddle/Paddle", 21154), issue("FluxML/NNlib.jl", 68)),
    build=on_canvases(rows, idea="big gaps"),
)
