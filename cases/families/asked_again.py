"""The same question once more; its gradient once more, by the other way of differentiation, and differentiated."""

from collections.abc import Iterator

import numpy as np

from logitmus.cases.build import cotangent, labels, ordinary, soft_targets
from logitmus.cases.family import Canvas, Family, Plan, issue
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

_UPSTREAM = np.array(0.75)  # of a mean: not 1, because a second factor of 1 would not show
_LARGE = 16384.0  # inside float16; its exponential is outside float64


def rows_of(canvas: Canvas) -> Array:
    """Ordinary rows, wide ones and tied ones: easy for every function, so that only the call mode differs."""
    rows = ordinary(canvas, canvas.rows)
    rows[1::4] *= 8.0
    rows[3::8] = 0.0
    return rows


def repeated(canvas: Canvas) -> Iterator[Problem]:
    """The whole call again, by itself and after others."""
    for words, targets in _targets(canvas):
        problem = canvas.problem(rows_of(canvas), targets, cotangent=cotangent(canvas), idea=words)
        yield problem.but(manner="again", idea=f"asked again: {words}")
        yield problem.but(manner="after_others", idea=f"asked again, after others: {words}")


def backward_twice(canvas: Canvas, *, mean: bool) -> Iterator[Problem]:
    """Only the gradient again: of the losses row by row, or of their mean."""
    for words, targets in _targets(canvas):
        upstream = _UPSTREAM if mean else cotangent(canvas)
        problem = canvas.problem(
            rows_of(canvas),
            targets,
            cotangent=upstream,
            reduction="mean" if mean else "none",
            idea=f"gradient{' of a mean' if mean else ''} taken twice: {words}",
        )
        yield problem.but(manner="backward_twice")


def forward_mode(canvas: Canvas) -> Iterator[Problem]:
    """The gradient by forward mode, of rows with a masked class and with a class whose exponential overflows too."""
    rows = rows_of(canvas)
    rows[4::8, -1] = -np.inf
    rows[6::8, 0] = _LARGE
    for words, targets in _targets(canvas, np.isneginf(rows)):
        yield canvas.problem(rows, targets, idea=f"gradient by forward mode: {words}").but(manner="forward_mode")


def second_order(canvas: Canvas, *, mean: bool) -> Iterator[Problem]:
    """The gradient differentiated, of ordinary rows and of rows with a masked class."""
    rows = rows_of(canvas)
    rows[4::8, -1] = -np.inf
    (words, targets), _ = _targets(canvas, np.isneginf(rows))
    problem = canvas.problem(
        rows,
        targets,
        cotangent=_UPSTREAM if mean else cotangent(canvas),
        reduction="mean" if mean else "none",
        idea=f"gradient{' of a mean' if mean else ''} differentiated: {words}",
    )
    yield problem.but(manner="second_order")


def _targets(canvas: Canvas, dead: Array | None = None) -> tuple[tuple[str, Array], ...]:
    chosen = labels(canvas)
    if dead is not None:  # a masked class is never the target
        chosen = np.where(dead[np.arange(canvas.rows), chosen], 1, chosen)
    return ("labels", chosen), ("soft targets", soft_targets(canvas, chosen, dead))


def build(plan: Plan) -> Iterator[Problem]:
    if plan.quick:  # every other way of differentiation is another compilation, for every function
        for canvas in plan.option_canvases():
            yield from repeated(canvas)
        return
    for canvas in plan.option_canvases():
        leading = canvas.dtype == plan.lead or plan.full
        if leading:  # the others are hardly another question, and as many compilations
            yield from backward_twice(canvas, mean=False)
            yield from forward_mode(canvas)
            yield from backward_twice(canvas, mean=True)
            yield from repeated(canvas)
            yield from second_order(canvas, mean=True)
        if leading or canvas.dtype == "float64":
            yield from second_order(canvas, mean=False)


FAMILY = Family(
    name="asked-again",
    idea="the same question again, after others, its gradient taken twice, differentiated, and by forward mode",
    rationale=(
        "A function is asked more than once: at every step, for an auxiliary loss, in a retained graph. One that "
        "scales the gradient it has saved, writes into a buffer that it keeps, or remembers the shape or the maximum "
        "of the last call is right the first time only. Forward mode goes through formulas of its own, where 0 * -inf "
        "may stand beside a gradient that reverse mode gets right. A kernel that saves "
        "its gradient in forward has a constant for a gradient, and the derivative of that is silently 0."
    ),
    incidents=(
        issue("modelscope/ms-swift", 10129),
        issue("unslothai/unsloth", 5002),
        issue("Dao-AILab/quack", 209),
        issue("google-deepmind/optax", 1762),
        issue("pytorch/pytorch", 73741),
    ),
    build=build,
)
