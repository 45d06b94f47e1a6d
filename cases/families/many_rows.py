"""More rows than half precision can count."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import ordinary
from logitmus.cases.family import Family, Plan, issue
from logitmus.core.problem import Problem

ROWS = 70_000


def build(plan: Plan) -> Iterator[Problem]:
    if plan.quick:
        return
    for dtype in plan.dtypes:
        if dtype in ("float16", "bfloat16") or plan.full:
            canvas = plan.canvas(dtype, ROWS, 2)
            rows, chosen = ordinary(canvas, ROWS), canvas.draws.integers(0, 2, ROWS)
            yield canvas.problem(rows, chosen, reduction="mean", cotangent=np.array(2.0), idea=f"mean of {ROWS} rows")
            if dtype == "float16" or plan.full:
                yield canvas.problem(rows, chosen, reduction="sum", idea=f"sum of {ROWS} rows")


FAMILY = Family(
    name="many-rows",
    idea="a mean over 70 000 rows in half precision",
    rationale=(
        "float16 ends at 65 504 and bfloat16 counts to 256: a mean that adds in the dtype of the result, or divides "
        "by a count held in it, gives inf, NaN or a number that stopped growing, although the mean itself is near 1. "
        "A batch of 70 000 tokens is nothing unusual."
    ),
    incidents=(issue("pytorch/executorch", 20090), issue("jax-ml/jax", 40409)),
    build=build,
)
