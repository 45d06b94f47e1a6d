"""Examples: questions so small that a person can follow them by hand, each about a single choice. Simplest first.

What `logitmus port` shows its differences by. The logits are fair as logits and as probabilities, where the question
allows it, and a row is the seed question.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from logitmus.core.floats import Array, float_array
from logitmus.core.problem import Problem, Reduction, TargetKind

INF: Final = float("inf")
SEED: Final = np.array([[0.0, 0.0, 0.0, 1.0]])
PAIR: Final = np.array([[0.125, 0.125, 0.25, 0.5], [0.125, 0.25, 0.5, 0.125]])
BELOW_ZERO: Final = np.array([[-2.0, -1.0, -1.0, -0.5], [-1.0, -3.0, -0.5, -2.0]])
HALF: Final = np.array([[0.0, 0.125, 0.125, 0.25]])
WIDE: Final = np.array([[2.0**25, 2.0**25 + 1]])  # equal in float32
SPATIAL: Final = np.array([[[0.25, 0.75], [0.625, 0.375]]])
WEIGHT: Final = np.array([1.0, 1.0, 1.0, 3.0])
LABELS: Final = np.array([3, 1])
SOFT: Final = np.array([[0.0, 0.0, 0.25, 0.75], [0.5, 0.5, 0.0, 0.0]])
EPSILON: Final = 0.1
IGNORED: Final = (-100, -1)


def examples(kind: str) -> Iterator[Problem]:
    """The examples with targets of this kind ("labels" or "probabilities"); the first is a plain call.

    Row losses where the question is not about a reduction.
    """
    yield from _of_labels() if kind == TargetKind.LABELS else _of_probabilities()


def plain_call(kind: str) -> Problem:
    """Two rows, without a reduction or an option."""
    return _problem(PAIR, LABELS if kind == TargetKind.LABELS else np.eye(4)[LABELS], reduction="default")


def _problem(
    logits: Array, targets: Array, *, weight: Array | None = None, dtype: str = "float32", **options: Any
) -> Problem:
    return Problem(
        logits=float_array(logits, dtype),
        targets=targets if targets.dtype.kind == "i" else float_array(targets, dtype),
        weight=None if weight is None else float_array(weight, dtype),
        family="examples",
        **options,
    )


def _reduced(logits: Array, targets: Array, **options: Any) -> Iterator[Problem]:
    reductions: tuple[Reduction, ...] = ("none", "mean", "default")
    yield from (_problem(logits, targets, reduction=reduction, **options) for reduction in reductions)


def _of_labels() -> Iterator[Problem]:
    seed = partial(_problem, SEED)
    for rows in (SEED, PAIR, BELOW_ZERO, HALF):
        yield _problem(rows, LABELS[: len(rows)])
        yield _problem(rows, np.zeros(len(rows), np.int64))
    for rows in (PAIR, BELOW_ZERO):
        for reduction in ("default", "mean", "sum"):
            yield _problem(rows, LABELS, reduction=reduction)
        for label in IGNORED:
            yield from _reduced(rows, np.array([3, label]))
        ignoring: dict[str, Any] = {"ignore_index": -100}
        yield from _reduced(rows, np.array([3, -100]), **ignoring)
        yield from _reduced(rows, LABELS, weight=WEIGHT)
        yield from _reduced(rows, LABELS, label_smoothing=EPSILON)
        yield from _reduced(rows, LABELS, label_smoothing=EPSILON, weight=WEIGHT)
        yield from _reduced(rows, np.array([3, -100]), weight=WEIGHT, **ignoring)
        yield from _reduced(np.concatenate([rows[:1], rows[:1] + np.nan]), np.array([3, -100]), **ignoring)
        yield _problem(rows, np.array([-100, -100]), reduction="mean", **ignoring)
        yield _problem(rows[:0], LABELS[:0], reduction="mean")
    for label in (4, -2, 2**32 + 3):
        yield seed(np.array([label]))
    for logits, label in (([0, 0, INF, 1], 3), ([0, 0, INF, 1], 2), ([0, 0, -INF, 1], 2)):
        yield _problem(np.array([logits]), np.array([label]))
        yield _problem(np.array([logits]), np.array([label]), weight=np.array([1.0, 1.0, 0.0, 1.0]))
    yield _problem(np.array([[3e38, -3e38, 0.0, 1.0]]), np.array([1]), weight=np.full(4, 0.25))
    yield _problem(WIDE, np.array([0]), dtype="float64")
    yield _problem(SPATIAL, np.array([[1, 1]]))


def _of_probabilities() -> Iterator[Problem]:
    hot = np.eye(4)[LABELS]
    for rows in (SEED, PAIR, BELOW_ZERO, HALF):
        yield _problem(rows, hot[: len(rows)])
        yield _problem(rows, SOFT[: len(rows)])
        yield _problem(rows, np.roll(hot, 1, axis=1)[: len(rows)])
    for rows in (PAIR, BELOW_ZERO):
        for reduction in ("default", "mean", "sum"):
            yield _problem(rows, hot, reduction=reduction)
        yield from _reduced(rows, SOFT, weight=WEIGHT)
        yield from _reduced(rows, hot, weight=WEIGHT)
        yield from _reduced(rows, SOFT, label_smoothing=EPSILON)
        yield from _reduced(rows, SOFT, label_smoothing=EPSILON, weight=WEIGHT)
        yield from _reduced(rows, hot, ignore_index=1)
        yield _problem(rows[:0], hot[:0], reduction="mean")
    yield _problem(PAIR, np.array([[0.5], [2.0]]) * SOFT)
    for logits in ([-INF, 0, 0, 1], [0, 0, 0, INF], [INF, 0, 0, 1]):
        yield _problem(np.array([logits]), SOFT[:1])
    yield _problem(np.array([[3e38, -3e38, 0.0, 1.0]]), np.array([[0.75, 0.0, 0.0, 0.25]]))
    yield _problem(WIDE, np.array([[1.0, 0.0]]), dtype="float64")
    yield _problem(SPATIAL, np.array([[[0.0, 1.0], [0.0, 1.0]]]))
    yield _problem(SPATIAL, np.array([[[0.25, 0.75], [0.5, 0.5]]]))
