"""One class far above the rest: losses so small that most implementations return 0."""

from itertools import chain

import numpy as np

from logitmus.cases.build import on_canvases, two_level
from logitmus.cases.family import Canvas, Family, issue
from logitmus.core.floats import Array

# Where e^-gap passes the unit roundoff of bfloat16, float16, float32, float64, and where float32's exp underflows.
NEAR_ABSORPTION = (
    5.0,
    5.5,
    5.75,
    7.5,
    7.625,
    7.75,
    16.0,
    16.5,
    16.75,
    17.0,
    17.5,
    36.5,
    36.75,
    37.0,
    87.0,
    88.0,
    103.5,
    104.0,
)
SWEEP = (
    0.125,
    0.5,
    1.0,
    2.0,
    3.0,
    4.0,
    6.0,
    8.0,
    10.0,
    12.0,
    14.0,
    20.0,
    24.0,
    30.0,
    40.0,
    50.0,
    60.0,
    80.0,
    100.0,
    120.0,
)


def rows(canvas: Canvas) -> Array:
    """The gap sweep twice: the others at 0, and the focus at 0 with the others falling off below the gap."""
    gaps = list(chain.from_iterable(zip(SWEEP, NEAR_ABSORPTION, strict=False)))
    gaps += [*SWEEP[len(NEAR_ABSORPTION) :]]
    falling = two_level(canvas.classes, [(0.0, -gap) for gap in gaps])
    falling[:, 1:] -= np.arange(canvas.classes - 1) % 4
    both = np.stack([two_level(canvas.classes, [(gap, 0.0) for gap in gaps]), falling], axis=1)
    return both.reshape(-1, canvas.classes)


FAMILY = Family(
    name="confident-rows",
    idea="a gap of 1 to 120 between the best class and the others",
    rationale=(
        "At a gap of 20 the exact loss is 2.06e-9, and log(1 + e^-20) in float32 is 0: absorbed. A trained model "
        "lives here, and the gradient (p - 1 at the target) must not be rounded to 0 or computed as a difference of "
        "nearly equal numbers: its row has to sum to 0. The sweep passes the absorption threshold of every dtype."
    ),
    incidents=(
        issue("linkedin/Liger-Kernel", 1268),
        issue("pytorch/pytorch", 113708),
        issue("NVIDIA/TransformerEngine", 3193),
    ),
    build=on_canvases(rows, idea="confident rows"),
)
