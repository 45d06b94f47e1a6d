"""The problems that a loss is explained with: one row at a time, then small batches.

A function that averages returns a number per call, so every problem here has a single row, except for batches. The
numbers are multiples of 1/8 in at most 8 bits, which every dtype holds: rounding of the inputs plays no part, except in
the rows that are about it. `role` says what a problem is for; it is the beginning of the problem's idea.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from logitmus.cases.generation.draws import Draws
from logitmus.core.floats import FLOAT_DTYPES, Array, float_array
from logitmus.core.problem import Problem

FAMILY: Final = "function-rows"
CLASSES: Final = 6  # where the form of the loss is looked for
OTHER_CLASSES: Final = (3, 4, 5, 8, 12, 16)  # where its dependence on the number of classes is
HELD_OUT: Final = (2, 6, 9, 33, 80, 300)  # only to test it; kernels work on blocks of 16 to 128 classes
HARD_CLASSES: Final = (3, 9, 50)
SIMPLEX: Final = (6, 3, 9)
BATCHES: Final = (1, 2, 3, 5, 7)
UNUSUAL_LABELS: Final = (-100, -1, 255)
STEP: Final = 0.25  # by which a logit is raised, to see which class is the label's
# Roles
PLAIN: Final = "plain row"
HELD: Final = "held-out row"
SIMPLEX_ROW: Final = "row of probabilities"
RAISED: Final = "row with a logit raised"
NARROW: Final = "row rounded"
HARD: Final = "hard row"
TWICE: Final = "row twice"
AGAIN: Final = "row asked again"
BATCH: Final = "batch"
UNUSUAL: Final = "batch with an unusual label"
WEIGHTED: Final = "batch with class weights"
SOFT: Final = "row of soft targets"
SMOOTHED: Final = "row with label smoothing"
_NARROWER: Final = {
    "float64": ("bfloat16", "float16", "float32"),
    "float32": ("bfloat16", "float16"),
    "bfloat16": (),
    "float16": (),
}


def role(problem: Problem) -> str:
    """What the problem is for: a role, or ""."""
    return problem.idea.partition(":")[0] if problem.family == FAMILY else ""


def problems(
    dtype: str = "float64", targets: str = "labels", *, stage: int = 0, copies: int = 1
) -> tuple[Problem, ...]:
    """The problems in a dtype, the same each time.

    Args:
        targets: "labels", or "probabilities": one-hot targets.
        stage: 0: all; 1: those that say whether there is anything to explain; 2: the others.
        copies: how often each row is given; 2 for a function that has no loss for a single row.
    """
    ask = _Asking(dtype, targets, copies)
    first = [*_first(ask)] if stage in (0, 1) else []
    return tuple(dict.fromkeys([*first, *(_others(ask) if stage in (0, 2) else ())]))


class _Asking:
    """Makes problems of a dtype and a kind of targets."""

    def __init__(self, dtype: str, targets: str, copies: int) -> None:
        self.dtype, self.targets, self.copies = dtype, targets, copies

    def __call__(self, x: Array, labels: Array, idea: str, **options: object) -> Problem:
        """`labels`: (N,); or target probabilities, (N, K)."""
        logits = float_array(x, self.dtype)
        chosen: Array = np.asarray(labels)
        if chosen.ndim == x.ndim:
            chosen = float_array(chosen, self.dtype)
        elif self.targets == "probabilities":
            chosen = np.eye(x.shape[-1])[chosen].astype(FLOAT_DTYPES[self.dtype])
        weight = options.pop("weight", None)
        if weight is not None:
            options["weight"] = float_array(weight, self.dtype)  # type: ignore[arg-type]
        options.setdefault("reduction", "default")
        return Problem(logits=logits, targets=chosen, family=FAMILY, idea=idea, **options)  # type: ignore[arg-type]

    def row(self, x: Array, label: int, idea: str, **options: object) -> Problem:
        return self(np.stack([np.asarray(x)] * self.copies), np.full(self.copies, label), idea, **options)


def plain_rows(classes: int, count: int, seed: int) -> list[tuple[Array, int]]:
    """Small, wide, tied, offset and deep rows, with the label at the smallest, the largest and any logit."""
    draw = Draws("function rows", seed, classes)
    out = []
    for n in range(count):
        kind = n % 6
        if kind == 0:
            x = _grid(draw, 1, classes, 8)
        elif kind == 1:
            x = _grid(draw, 4, classes, 8)
        elif kind == 2:
            x = _grid(draw, 12, classes, 8)
        elif kind == 3:  # deep
            x = _grid(draw, 2, classes, 4)
            x[draw.index(classes)] += (12, 18, 26, 34, 40)[n // 6 % 5]
        elif kind == 4:  # ties, and every third time an offset
            x = _grid(draw, 2, classes, 2) + (0, 5, -9)[n // 6 % 3]
            x[:2] = x[0]
        else:
            x = _grid(draw, 3, classes, 8)
        at = (draw.index(classes), int(np.argmin(x)), int(np.argmax(x)))[(n // 2 + n // 6) % 3]
        out.append((x, at))
    return out


def _grid(draw: Draws, limit: float, shape: int | tuple[int, int], parts: int) -> Array:
    """Multiples of 1/parts in [-limit, limit], float64."""
    most = int(limit * parts)
    return np.asarray(draw.integers(-most, most + 1, shape) / parts)


def _shares(draw: Draws, classes: int) -> Array:
    """Whole numbers of at least 1 that add up to 64, (classes,)."""
    size = draw.integers(0, 16, classes)
    parts = 1 + size * (64 - classes) // max(int(size.sum()), 1)
    parts[int(size.argmax())] += 64 - int(parts.sum())
    return parts


def _first(ask: _Asking) -> Iterator[Problem]:
    for n, (x, t) in enumerate(plain_rows(CLASSES, 30, 1)):
        yield ask.row(x, t, f"{PLAIN}: {CLASSES} classes")
        if n < 12:
            yield ask.row(x, t, f"{AGAIN}: {CLASSES} classes", manner="again")
        if n < 6:
            yield ask(np.stack([x, x]), np.array([t, t]), f"{TWICE}: {CLASSES} classes")
    for classes in SIMPLEX:
        for x, t in simplex_rows(classes, 26 if classes == CLASSES else 8):
            yield ask.row(x, t, f"{SIMPLEX_ROW}: {classes} classes")


def simplex_rows(classes: int, count: int) -> list[tuple[Array, int]]:
    """Probabilities, some of them small; every fifth row does not sum to 1."""
    draw = Draws("function rows", 2, classes)
    out = []
    for n in range(count):
        x = _shares(draw, classes) / 64.0
        t = draw.index(classes)
        if n % 5 == 4:
            x = x * (0.5, 0.25, 0.75)[n // 5 % 3]
        if n % 3 == 2:
            tiny = (10, 17, 24, 33, 42, 55, 80, 110) if classes == CLASSES else (42, 110)  # a floor shows at any K
            x[t] = 2.0 ** -tiny[n // 3 % len(tiny)]
        out.append((x, t))
    return out


def _others(ask: _Asking) -> Iterator[Problem]:
    for classes in OTHER_CLASSES:
        for x, t in plain_rows(classes, 11, 1):
            yield ask.row(x, t, f"{PLAIN}: {classes} classes")
    for classes in HELD_OUT:
        for x, t in plain_rows(classes, 12, 3):
            yield ask.row(x, t, f"{HELD}: {classes} classes")
    draw = Draws("function rows", 4)
    for t in (1, 4, 0, 5):
        x = _grid(draw, 1.5, CLASSES, 8)
        for k in range(-1, CLASSES):
            raised = x + STEP * (np.arange(CLASSES) == k)
            yield ask.row(raised, t, f"{RAISED}: label {t}, class {k} raised")
    yield from _narrow(ask)
    for classes in HARD_CLASSES:
        for kind, x, t in hard_rows(classes, 60):
            yield ask.row(x, t, f"{HARD}: {kind}, {classes} classes")
    yield from _batches(ask)
    if ask.targets == "probabilities":
        for x, _ in plain_rows(CLASSES, 8, 6):
            q = _shares(draw, CLASSES) / 64
            yield ask(np.stack([x] * ask.copies), np.stack([q] * ask.copies), f"{SOFT}: {CLASSES} classes")
    for x, t in plain_rows(CLASSES, 6, 5):
        yield ask.row(x, t, f"{SMOOTHED}: 0.25", label_smoothing=0.25)


def _narrow(ask: _Asking) -> Iterator[Problem]:
    """Rows, the same rounded to a narrower dtype, and the latter with a step of four of its unit roundoffs."""
    draw = Draws("function rows", 6)
    for dtype in _NARROWER[ask.dtype]:
        u = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24}[dtype]
        for n in range(6):
            x = float_array(_grid(draw, 3, CLASSES, 2**40), ask.dtype).astype(np.float64)
            rounded = float_array(x, dtype).astype(np.float64)
            t = n % CLASSES
            stepped = rounded * (1 + 4 * u * (np.arange(CLASSES) == (t + 1) % CLASSES))
            for kind, row in (("as drawn", x), ("rounded", rounded), ("a step beyond", stepped)):
                yield ask.row(row, t, f"{NARROW}: {dtype}, {n}, {kind}")


def hard_rows(classes: int, count: int) -> Iterator[tuple[str, Array, int]]:
    """Offsets to 1e6, gaps to 2000, confident and wide rows."""
    draw = Draws("function rows", 7, classes)
    for n in range(count):
        kind = ("offset", "gap", "confident", "wide")[n % 4]
        x = _grid(draw, 3, classes, 8)
        t = draw.index(classes)
        size = n // 4
        if kind == "offset":
            x = x + (100.0, -200.0, 512.0, -1000.0, 1e4, 65536.0, -1e5, 1e6)[size % 8]
        elif kind == "gap":
            x[draw.index(classes)] += (50.0, 90.0, 120.0, 300.0, 720.0, 800.0, 1500.0, 2000.0)[size % 8]
        elif kind == "confident":
            x[t] = x.max() + (8.0, 12.0, 16.0, 20.0, 25.0, 30.0, 38.0, 60.0)[size % 8]
        else:
            x = np.round(x * (8.0, 20.0, 40.0, 100.0)[size % 4])
        yield kind, x, t


def batch_rows(rows: int, seed: int) -> tuple[Array, Array]:
    """Gentle rows: no offsets, no gaps. (N, K) and (N,)."""
    draw = Draws("function rows", 8, rows, seed)
    x = _grid(draw, 3, (rows, CLASSES), 8)
    return x, draw.integers(0, CLASSES, rows)


def _batches(ask: _Asking) -> Iterator[Problem]:
    for rows in BATCHES:
        for seed in range(2):
            x, t = batch_rows(rows, seed)
            yield ask(x, t, f"{BATCH}: {rows} rows")
        chosen = [simplex_rows(CLASSES, 26)[n] for n in range(0, 3 * rows, 3)]  # those without tiny probabilities
        yield ask(np.stack([x for x, _ in chosen]), np.array([t for _, t in chosen]), f"{BATCH}: {rows} rows")
    for reduction in ("none", "sum", "mean"):
        x, t = batch_rows(3, 9)
        yield ask(x, t, f"{BATCH}: 3 rows", reduction=reduction)
    weight = np.array([0.5, 2.0, 1.0, 0.375, 3.0, 1.75])
    for seed in range(3):
        x, t = batch_rows(4, seed)
        for reduction in ("default", "mean"):
            yield ask(x, t, f"{WEIGHTED}: 4 rows", weight=weight, reduction=reduction)
        if ask.targets == "labels":
            for label in UNUSUAL_LABELS:
                unusual = t.copy()
                unusual[1 : 2 + seed % 2] = label
                yield ask(x, unusual, f"{UNUSUAL}: {label}")
            unusual = t.copy()
            unusual[1] = -100
            yield ask(x, unusual, f"{UNUSUAL}: -100, named", ignore_index=-100)
