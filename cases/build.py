"""What the families share: number formats, packing rows into problems, labels, soft targets, upstream gradients.

Rows are float64 matrices (R, K), rounded into the dtype at the very end. By agreement class 0 of a row is its focus:
the class that the idea is about (the confident class, the masked class, ...). Packing moves it about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from logitmus.cases.family import Canvas, Kind, Plan
from logitmus.core.floats import Array
from logitmus.core.problem import Problem

UPSTREAM: Final = (1.0, -1.0, 0.5, 2.0, -0.25, 3.0, 0.75, -1.5, 0.0)
"""Upstream gradients: neither uniform nor positive, and exact in bfloat16."""


def two_level(classes: int, pairs: Sequence[tuple[float, float]]) -> Array:
    """One row per pair: the focus at the first value, every other class at the second."""
    rows = np.empty((len(pairs), classes))
    rows[:] = np.array([other for _, other in pairs]).reshape(-1, 1)
    rows[:, :1] = np.array([focus for focus, _ in pairs]).reshape(-1, 1)
    return rows


def ordinary(canvas: Canvas, count: int) -> Array:
    """Unremarkable rows: multiples of 1/16 in [-4, 4]."""
    return canvas.draws.dyadic((count, canvas.classes))


def assorted(canvas: Canvas) -> Array:
    """Finite rows of several kinds, for the families whose idea is an option: ordinary, confident, wide, tied,
    and shifted by a common offset. Shape (rows, classes).
    """
    rows = ordinary(canvas, canvas.rows)
    rows[1::4] = two_level(canvas.classes, [(gap, 0.0) for gap in (8.0, 20.0, 60.0, 100.0)] * 64)[: len(rows[1::4])]
    rows[2::4] *= 16.0
    rows[3::8] = 0.0
    rows[7::8] += 1024.0
    return rows


def cotangent(canvas: Canvas) -> Array:
    """One upstream gradient per row."""
    return canvas.draws.choice(UPSTREAM, canvas.rows)


def labels(canvas: Canvas) -> Array:
    """int64 labels that meet first and last class and everything between."""
    chosen = canvas.draws.integers(0, canvas.classes, canvas.rows)
    chosen[:2] = (0, canvas.classes - 1)[: canvas.rows]
    return chosen


def one_hot(chosen: Array, classes: int) -> Array:
    targets = np.zeros((*chosen.shape, classes))
    np.put_along_axis(targets, chosen[..., np.newaxis], 1.0, axis=-1)
    return targets


def soft_targets(canvas: Canvas, focus: Array, dead: Array | None = None) -> Array:
    """Probabilities, shape (len(focus), K): even rows on up to four neighbouring classes, odd rows smoothed over all.

    Even rows are dyadic and sum to exactly 1. Where `dead` is true (a class at -inf) the mass goes to the focus.
    """
    count, classes = len(focus), canvas.classes
    targets = np.full((count, classes), 0.1 / classes)
    np.put_along_axis(targets, focus[:, np.newaxis], 0.9 + 0.1 / classes, axis=1)
    parts = {1: (1.0,), 2: (0.75, 0.25), 3: (0.5, 0.25, 0.25)}.get(classes, (0.5, 0.25, 0.125, 0.125))
    first = focus - canvas.draws.integers(0, len(parts), count)
    targets[::2] = 0.0
    for step, part in enumerate(parts):
        np.put_along_axis(targets[::2], ((first + step) % classes)[::2, np.newaxis], part, axis=1)
    if dead is not None and dead.any():
        # fsum: NumPy promises no order of addition, and the bits must not depend on the order.
        lost = np.array([math.fsum(row) for row in np.where(dead, targets, 0.0)])
        targets[dead] = 0.0
        targets[np.arange(count), focus] += lost
    return targets


def ask(
    canvas: Canvas,
    rows: Array,
    *,
    idea: str,
    shuffle: bool = True,
    focus: Array | None = None,
    kinds: Sequence[Kind] | None = None,
) -> Iterator[Problem]:
    """The rows as problems on the canvas, in each kind: label on the focus, label elsewhere, one-hot and soft targets.

    Fewer rows than the canvas holds are repeated; more make further problems, up to `canvas.chunks`, and beyond
    that a selection is taken.

    Args:
        rows: shape (R, K).
        shuffle: permute the classes of every row; False where the order is the idea.
        focus: the class each row is about; None: class 0.
        kinds: None: the canvas' own.
    """
    focus = np.zeros(len(rows), dtype=np.int64) if focus is None else focus
    for kind in canvas.kinds if kinds is None else [kind for kind in kinds if kind in canvas.kinds]:
        chunks = min(-(-len(rows) // canvas.rows), canvas.chunks if kind in ("focus", "elsewhere") else 1)
        for chunk in np.split(_spread(len(rows), chunks * canvas.rows), chunks):
            logits, at = rows[chunk], focus[chunk]
            if shuffle:
                order = canvas.draws.permutations(*logits.shape)
                logits, at = np.take_along_axis(logits, order, axis=1), np.argmax(order == at[:, np.newaxis], axis=1)
            yield canvas.problem(
                logits,
                _targets(canvas, kind, logits, at),
                idea=f"{idea}: {_KIND_WORDS[kind]}",
                cotangent=None if kind == "focus" else cotangent(canvas),
            )


_KIND_WORDS: Final = {
    "focus": "label on the class it is about",
    "elsewhere": "label on another class",
    "one_hot": "one-hot targets",
    "soft": "soft targets",
}


def _spread(available: int, wanted: int) -> Array:
    """`wanted` row numbers: all rows, over and over; or, of too many, some from everywhere.

    The stride has no divisor in common with the number of rows: rows often come in groups of two or three kinds, and an
    even spacing would meet a single kind.
    """
    if available <= wanted:
        return np.arange(wanted) % available
    stride = next(step for step in range(available * 5 // 8, available) if math.gcd(step, available) == 1)
    return np.arange(wanted) * stride % available


def _targets(canvas: Canvas, kind: Kind, logits: Array, focus: Array) -> Array:
    others = max(canvas.classes - 1, 1)
    elsewhere = (focus + 1 + canvas.draws.integers(0, others, len(focus))) % canvas.classes
    match kind:
        case "focus":
            return focus
        case "elsewhere":
            return elsewhere
        case "one_hot":
            return one_hot(np.where(np.arange(len(focus)) % 2, elsewhere, focus), canvas.classes)
        case "soft":
            return soft_targets(canvas, focus, dead=np.isneginf(logits))


def on_canvases(
    rows: Callable[[Canvas], Array], *, idea: str, shuffle: bool = True
) -> Callable[[Plan], Iterator[Problem]]:
    """The builder of a family whose idea is nothing but its rows: `rows(canvas)` on every canonical shape."""

    def build(plan: Plan) -> Iterator[Problem]:
        for canvas in plan.canvases():
            yield from ask(canvas, rows(canvas), idea=idea, shuffle=shuffle)

    return build
