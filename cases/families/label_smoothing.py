"""Label smoothing, alone and with what it meets."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np

from logitmus.cases.build import assorted, cotangent, labels, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.problem import Problem, Reduction

EPSILONS = (0.1, 1e-3, 0.5, 1.0)


def alone(canvas: Canvas, epsilons: tuple[float, ...]) -> Iterator[Problem]:
    rows, chosen, upstream = assorted(canvas), labels(canvas), cotangent(canvas)
    for epsilon in epsilons:
        yield canvas.problem(rows, chosen, label_smoothing=epsilon, cotangent=upstream, idea=f"epsilon {epsilon}")


def combined(canvas: Canvas, reductions: tuple[Reduction, ...]) -> Iterator[Problem]:
    """With class weights, with ignored rows, of probabilities."""
    rows, chosen = assorted(canvas), labels(canvas)
    ignoring = np.where(np.arange(canvas.rows) % 3 == 1, -100, chosen)
    weight = canvas.draws.choice((0.5, 1.0, 2.0, 0.25, 3.0), canvas.classes)
    for reduction in reductions:
        smooth = partial(canvas.problem, rows, label_smoothing=0.1, reduction=reduction)
        yield smooth(chosen, weight=weight, idea=f"with weights, {reduction}")
        yield smooth(soft_targets(canvas, chosen), idea=f"of probabilities, {reduction}")
        yield smooth(ignoring, ignore_index=-100, idea=f"with ignored rows, {reduction}")
        yield smooth(ignoring, ignore_index=-100, weight=weight, idea=f"with weights and ignored rows, {reduction}")


def build(plan: Plan) -> Iterator[Problem]:
    lead = plan.lead_canvas()
    if plan.quick:
        yield from alone(lead, EPSILONS[:1])
        yield from islice(combined(lead, ("mean",)), 2)
        return
    for canvas in plan.option_canvases():
        yield from alone(canvas, EPSILONS if plan.full or canvas.dtype == plan.lead else EPSILONS[:1])
    yield from combined(lead, ("none", "mean"))
    for classes in (1, 2):
        yield from alone(plan.canvas(lead.dtype, 32, classes), EPSILONS[:1])
    for canvas in plan.large_canvases():
        if canvas.dtype == "float16":
            rows, ends = ordinary(canvas, canvas.rows), np.array([canvas.classes - 1, 0])
            yield canvas.problem(rows, ends, label_smoothing=0.1, idea="epsilon 0.1 over a large vocabulary")


FAMILY = Family(
    name="label-smoothing",
    idea="epsilon 0.001 to 1, with weights, with ignored rows, of probabilities, one and two classes",
    rationale=(
        "Smoothing adds epsilon/K times the sum of all -log p: a sum that overflows float16 at large K, that class "
        "weights may or may not enter, that ignored rows must not enter, and that is 0 for a single class. At "
        "epsilon 1 the target does not matter at all."
    ),
    incidents=(
        issue("pytorch/pytorch", 61309),
        issue("pytorch/pytorch", 73205),
        issue("NVIDIA/TransformerEngine", 2476),
        issue("NVIDIA/Megatron-LM", 5522),
    ),
    build=build,
)
