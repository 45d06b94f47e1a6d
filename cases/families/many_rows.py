"""More rows than half precision can count."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import labels, ordinary
from logitmus.cases.family import Family, Plan, issue
from logitmus.core.problem import Problem, Reduction

ROWS = 70_000
# One more than the dtype can count to in steps of 1; float16: rounds to its largest number, to inf, a power of 2, twice
# as many (there the sum of the losses overflows, too).
UNCOUNTABLE = {"bfloat16": (257, 65_536), "float16": (2_049, 65_505, 65_520, 65_536, 131_072)}
PICTURE = (1, 256, 256)  # 65 536 places


def equal_logits(plan: Plan, dtype: str) -> Iterator[Problem]:
    """The mean of losses that are all log 2, for numbers of rows that the dtype cannot hold; of the fewer the sum too.

    The sum of the losses stays finite up to 65 536 rows, so that nothing but the count goes wrong. Logits of 2 are no
    probabilities: a function of probabilities has nothing to show here.
    """
    for count in UNCOUNTABLE[dtype]:
        canvas = plan.canvas(dtype, count, 2)
        batch = PICTURE if count == np.prod(PICTURE) else (count,)
        rows, chosen = np.full((*batch, 2), 2.0), labels(canvas).reshape(batch)
        reductions: tuple[Reduction, ...] = ("mean", "sum") if count < 65_536 else ("mean",)
        for reduction in reductions:
            yield canvas.problem(rows, chosen, reduction=reduction, idea=f"{reduction} of {count} equal losses")


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
        if dtype in UNCOUNTABLE:
            yield from equal_logits(plan, dtype)


FAMILY = Family(
    name="many-rows",
    idea="means and sums over 257 to 131 072 rows in half precision",
    rationale=(
        "float16 ends at 65 504 and bfloat16 counts to 256: a mean that adds in the dtype of the result, or divides "
        "by a count held in it, gives inf, NaN, 0 or a number that stopped growing, although the mean is near 1. "
        "A batch of 70 000 tokens is nothing unusual, and a picture of 256 x 256 places is a batch of 65 536 rows."
    ),
    incidents=(issue("pytorch/executorch", 20090), issue("jax-ml/jax", 40409)),
    build=build,
)
