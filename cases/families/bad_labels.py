"""Labels that are no class."""

from collections.abc import Iterator

from logitmus.cases.build import cotangent, labels, ordinary
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.problem import Problem


def bad(classes: int) -> tuple[int, ...]:
    """By one, by far, negative; where int32 ends, and where a 32-bit truncation makes a valid class of it."""
    return (
        -1,
        classes,
        -classes,
        -classes - 1,
        classes + 1,
        2 * classes,
        255,
        100_000,
        -100_000,
        2**31 - 1,
        2**31,
        2**32 + 3,
    )


def asking(canvas: Canvas, values: tuple[int, ...], dtype: str) -> Iterator[Problem]:
    """One bad label among ordinary rows: first, last or in the middle."""
    for number, value in enumerate(values):
        chosen = labels(canvas)
        chosen[(0, canvas.rows - 1, canvas.rows // 2)[number % 3]] = value
        yield canvas.problem(
            ordinary(canvas, canvas.rows),
            chosen.astype(dtype),
            cotangent=cotangent(canvas),
            idea=f"one label {value} of {canvas.classes} classes ({dtype})",
        )


def build(plan: Plan) -> Iterator[Problem]:
    lead = plan.lead_canvas()
    every = bad(lead.classes)
    if plan.quick:
        yield from asking(lead, every[:6], "int64")
        return
    yield from asking(lead, every, "int64")
    yield from asking(lead, every[:6], "int32")
    yield from asking(lead, (lead.classes, 255), "uint8")
    yield from asking(plan.canvas(plan.lead, 8, 257), bad(257)[:4], "int64")
    for canvas in plan.option_canvases():
        if canvas.dtype != plan.lead:
            yield from asking(canvas, every[:3], "int64")


FAMILY = Family(
    name="bad-labels",
    idea="labels out of range by one, by far, negative, beyond int32",
    rationale=(
        "The question is invalid, and the only good answers are an error or NaN. A number that looks like a loss is "
        "a hazard: memory outside the row was read, the label wrapped, or the row was dropped. The gradient counts "
        "too: a NaN loss with a finite gradient trains on. The neighbours must not change."
    ),
    incidents=(
        issue("pytorch/pytorch", 12670),
        issue("pytorch/pytorch", 32049),
        issue("pytorch/pytorch", 40858),
        issue("pytorch/pytorch", 135546),
        issue("pytorch/pytorch", 194802),
        issue("tensorflow/tensorflow", 8484),
        issue("tensorflow/tensorflow", 10268),
        issue("tensorflow/tensorflow", 126005),
        issue("google-deepmind/optax", 1185),
        issue("microsoft/onnxruntime", 27568),
        issue("ml-explore/mlx", 594),
    ),
    build=build,
)
