"""Labels in every integer dtype."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import assorted, cotangent, labels, ordinary
from logitmus.cases.family import Family, Plan, issue
from logitmus.core.floats import LABEL_DTYPES
from logitmus.core.problem import Problem


def build(plan: Plan) -> Iterator[Problem]:
    canvas = plan.lead_canvas()
    rows, chosen, upstream = assorted(canvas), labels(canvas), cotangent(canvas)
    for name in ("int64", "int32") if plan.quick else LABEL_DTYPES:
        narrow = chosen.astype(LABEL_DTYPES[name])
        yield canvas.problem(rows, narrow, cotangent=upstream, idea=f"{name} labels")
    if not plan.quick:
        wide = plan.canvas(plan.lead, 8, 257)
        edges = np.array([0, 1, 126, 127, 64, 2, 100, 127])
        for name, many in (("int8", edges), ("uint8", edges * 2 + 1), ("int16", edges * 2 + 2)):
            narrow = many.astype(LABEL_DTYPES[name])
            yield wide.problem(ordinary(wide, 8), narrow, idea=f"{name} labels of 257 classes")


FAMILY = Family(
    name="label-dtypes",
    idea="int8 to uint64 labels, also where there are more classes than the dtype can count",
    rationale=(
        "A label is cast on its way: to a float it loses its last bits, to a narrower integer it wraps. A comparison "
        "with -100 in uint8 means 156, and `label < C` in int8 with C = 257 compares with 1."
    ),
    incidents=(issue("keras-team/keras", 15012),),
    build=build,
)
