"""Unremarkable rows: the control group."""

from logitmus.cases.build import on_canvases, ordinary
from logitmus.cases.family import Canvas, Family, issue
from logitmus.core.floats import Array


def rows(canvas: Canvas) -> Array:
    return ordinary(canvas, canvas.rows)


FAMILY = Family(
    name="ordinary",
    idea="logits in [-4, 4], as the frameworks' own tests draw them",
    rationale=(
        "The control group: every implementation should be accurate here. What fails here fails for everyone, and a "
        "harness that finds bugs only here is no better than the suites that exist. The upstream gradients differ "
        "from row to row, which those suites forget."
    ),
    incidents=(issue("linkedin/Liger-Kernel", 272), issue("linkedin/Liger-Kernel", 678)),
    build=on_canvases(rows, idea="ordinary logits"),
)
