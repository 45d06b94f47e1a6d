"""+inf and NaN among the logits."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import ask, ordinary
from logitmus.cases.family import Canvas, Family, Kind, Plan
from logitmus.core.problem import Problem

INF, NAN = float("inf"), float("nan")


def build(plan: Plan) -> Iterator[Problem]:
    for canvas in plan.canvases():
        if not (plan.full or canvas.classes in (4, 10, 257)):
            continue
        for idea, values in (
            ("+inf", (INF,)),
            ("two +inf", (INF, INF)),
            ("NaN", (NAN,)),
            ("+inf and -inf", (INF, -INF)),
        ):
            rows = ordinary(canvas, canvas.rows)
            rows[::4, : len(values)] = values
            yield from ask(canvas, rows, kinds=_kinds(canvas, idea), idea=f"{idea} in every fourth row")
        everywhere = ordinary(canvas, canvas.rows)
        everywhere[np.arange(canvas.rows) % 8 == 0] = INF
        everywhere[np.arange(canvas.rows) % 8 == 4] = NAN
        yield from ask(canvas, everywhere, kinds=("focus",), shuffle=False, idea="whole rows of +inf or NaN")


def _kinds(canvas: Canvas, idea: str) -> tuple[Kind, ...]:
    return ("focus", "elsewhere", "one_hot") if idea in ("+inf", "NaN") else ("focus",)


FAMILY = Family(
    name="non-finite",
    idea="+inf and NaN among the logits, in some rows only",
    rationale=(
        "One +inf has a limit: probability 1 there. Two have none, and NaN in must be NaN out: a maximum that "
        "ignores NaN, or a comparison that is false for it, turns a broken model into a plausible loss. The other "
        "rows of the batch must keep their answers."
    ),
    build=build,
)
