"""Classes masked with -inf."""

from collections.abc import Iterator

from logitmus.cases.build import ask, ordinary
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

INF = float("inf")


def masked_elsewhere(canvas: Canvas) -> Array:
    """The focus stays live: a class masked, half of them, a block, all but the focus; ordinary rows between."""
    rows, classes = ordinary(canvas, 16), canvas.classes
    rows[0::4, -1] = -INF
    rows[1::4, (classes + 1) // 2 :] = -INF
    rows[2::8, 1:] = -INF
    rows[6::8, 1::2] = -INF
    return rows


def masked_focus(canvas: Canvas) -> Array:
    """The focus itself masked, alone or with half of the others, in every second row."""
    rows = ordinary(canvas, 8)
    rows[0::2, 0] = -INF
    rows[2::4, : canvas.classes // 2] = -INF
    return rows


def build(plan: Plan) -> Iterator[Problem]:
    for canvas in plan.canvases():
        yield from ask(
            canvas, masked_elsewhere(canvas), kinds=("focus", "one_hot", "soft"), idea="-inf on other classes"
        )
        yield from ask(canvas, masked_focus(canvas), kinds=("focus", "one_hot"), idea="-inf at the target")
        nothing_left = ordinary(canvas, 8)
        nothing_left[::4] = -INF
        yield from ask(canvas, nothing_left, shuffle=False, kinds=("focus", "one_hot"), idea="whole rows at -inf")


FAMILY = Family(
    name="masked-classes",
    idea="-inf at other classes, at the target, everywhere but one, everywhere",
    rationale=(
        "A masked class has probability 0 and must leave the rest as if it were not there; with a dense target 0 * "
        "-inf makes NaN of it. A masked target has infinite loss but a finite gradient. A whole block of -inf makes "
        "online softmax compute -inf - -inf. Every special row has ordinary neighbours, which must not notice."
    ),
    incidents=(
        issue("tensorflow/tensorflow", 40606),
        issue("google-deepmind/optax", 896),
        issue("google-deepmind/optax", 916),
        issue("Dao-AILab/flash-attention", 1930),
        issue("unslothai/unsloth", 10616),
    ),
    build=build,
)
