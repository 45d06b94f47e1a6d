"""Hypothesis strategies for problems: beyond the fixed suite, and shrinking to the smallest question.

They shrink towards float32, 1 row, 2 classes, zeros and small integers, labels of 0, and no options. Adversarial
values (the dtype's extremes, thresholds of exp, offsets, -inf, NaN) are mixed in, not only reached by luck.

Example:
    >>> from hypothesis import given
    >>> from logitmus.cases.generation.strategies import problems
    >>> @given(problems(dtypes=("float32",), targets=("labels",), options=()))
    ... def test_my_loss(problem): ...
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from logitmus.cases.build import UPSTREAM
from logitmus.cases.families.exp_thresholds import THRESHOLDS
from logitmus.core.floats import FLOAT_DTYPES, LABEL_DTYPES, Array, float_array, format_of, neighbour
from logitmus.core.problem import LAYOUTS, REDUCTIONS, Option, Problem, TargetKind

Draw = st.DrawFn
OPTIONS = tuple(option.value for option in Option)
_SMALL_STEPS = 64


def values(dtype: str = "float32", *, finite: bool = False) -> st.SearchStrategy[float]:
    """Numbers that a logit of `dtype` may be (`logits` rounds them): small ones first, then adversarial ones.

    Args:
        finite: leave out NaN and the infinities.
    """
    form = format_of(dtype)
    largest = form.largest
    extremes = [-0.0, form.smallest_subnormal, form.smallest_normal, largest, -largest, largest / 2, -largest / 2]
    thresholds = [neighbour(threshold, dtype, steps) for threshold in THRESHOLDS[dtype] for steps in (-1, 0, 1)]
    offsets = [sign * size for size in (1e4, 1e6, 1e8, 1e30) if size < largest for sign in (1, -1)]
    integers = st.integers(-8, 8).map(float)
    dyadic = st.integers(-_SMALL_STEPS * 8, _SMALL_STEPS * 8).map(lambda count: count / _SMALL_STEPS)
    special = st.sampled_from([float("-inf"), float("inf"), float("nan")])
    adversarial = st.sampled_from([*extremes, *thresholds, *offsets])
    width = 8 * FLOAT_DTYPES[dtype].itemsize
    anything = st.floats(-form.largest, form.largest, width=32 if dtype == "bfloat16" else width)
    kinds = [integers, dyadic, adversarial, anything]
    return st.one_of(*kinds if finite else [*kinds, special])


@st.composite
def logits(
    draw: Draw,
    shape: tuple[int, ...],
    dtype: str = "float32",
    *,
    finite: bool = False,
) -> Array:
    """Logits of `shape`, classes last: small integers, perhaps under a common offset; or any `values`."""
    size = int(np.prod(shape, dtype=np.int64))
    small = st.integers(-8, 8).map(float)
    pools: tuple[st.SearchStrategy[float], ...] = (small, values(dtype, finite=finite))
    pool = draw(st.sampled_from(pools))
    flat = draw(st.lists(pool, min_size=size, max_size=size))
    offset = draw(st.sampled_from((0.0, 1024.0, -1024.0))) if pool is small else 0.0
    return float_array(np.array(flat, dtype=np.float64).reshape(shape) + offset, dtype)


@st.composite
def labels(
    draw: Draw,
    shape: tuple[int, ...],
    classes: int,
    *,
    dtype: str = "int64",
    also: Sequence[int] = (),
) -> Array:
    """Labels of `shape` in [0, classes), and of `also` (an ignored or bad label)."""
    valid: st.SearchStrategy[int] = st.integers(0, classes - 1)
    label = st.one_of(valid, st.sampled_from(tuple(also))) if also else valid
    size = int(np.prod(shape, dtype=np.int64))
    return np.array(draw(st.lists(label, min_size=size, max_size=size)), dtype=LABEL_DTYPES[dtype]).reshape(shape)


@st.composite
def probability_targets(
    draw: Draw, shape: tuple[int, ...], dtype: str = "float32", *, normalised: bool = False
) -> Array:
    """Probabilities of `shape`, classes last: one-hot first, then rows that sum to 1, then (by default) any.

    Args:
        normalised: every row sums to exactly 1.
    """
    batch, classes = shape[:-1], shape[-1]
    hot = np.eye(classes)[draw(labels(batch, classes))]
    kind = draw(st.sampled_from(("one-hot", "mixed") if normalised else ("one-hot", "mixed", "any")))
    if kind == "mixed":
        share = draw(st.sampled_from((0.5, 0.25, 0.125)))
        hot = (1 - share) * hot + share * np.eye(classes)[draw(labels(batch, classes))]
    elif kind == "any":
        size = int(np.prod(shape, dtype=np.int64))
        part = st.integers(-4, 16).map(lambda count: count / 8)
        hot = np.array(draw(st.lists(part, min_size=size, max_size=size)), dtype=np.float64).reshape(shape)
    return float_array(hot, dtype)


def weights(classes: int, dtype: str = "float32") -> st.SearchStrategy[Array]:
    """Class weights, shape (classes,): ones first, then zero, negative, huge and tiny ones."""
    form = format_of(dtype)
    weight = st.sampled_from((1.0, 0.0, 2.0, 0.5, 3.0, -1.0, 1.0 / 3.0, form.smallest_normal, form.largest / 4096))
    return st.lists(weight, min_size=classes, max_size=classes).map(lambda drawn: float_array(drawn, dtype))


def batches(*, max_rows: int = 4, spatial: bool = False) -> st.SearchStrategy[tuple[int, ...]]:
    """Batch shapes: a single row first, then several, and with `spatial` two or three axes."""
    flat = st.integers(1, max_rows).map(lambda rows: (rows,))
    return (
        st.one_of(flat, st.tuples(*[st.integers(1, 2)] * 2), st.tuples(*[st.integers(1, 2)] * 3)) if spatial else flat
    )


@st.composite
def problems(
    draw: Draw,
    *,
    dtypes: Sequence[str] = tuple(FLOAT_DTYPES),
    targets: Sequence[str] = tuple(TargetKind),
    options: Collection[str] = OPTIONS,
    reductions: Sequence[str] = REDUCTIONS,
    layouts: Sequence[str] = ("contiguous",),
    max_rows: int = 4,
    max_classes: int = 6,
    spatial: bool = False,
    finite: bool = False,
    bad_labels: bool = False,
) -> Problem:
    """Whole problems, any of these dtypes, kinds of targets, options, reductions and layouts.

    Args:
        dtypes: float32 is preferred when shrinking, if it is among them; then the first.
        targets: of `TargetKind`.
        options: of `OPTIONS`; each is given or left out.
        layouts: of `LAYOUTS`; "expanded" repeats the first row.
        max_rows, max_classes: upper limits, inclusive.
        spatial: also several batch axes.
        finite: no NaN and no infinities among the logits.
        bad_labels: also labels out of range by one.

    Raises:
        ValueError: at the first draw, for an unknown name.
    """
    _known("dtypes", dtypes, FLOAT_DTYPES)
    _known("targets", targets, tuple(TargetKind))
    _known("options", options, OPTIONS)
    _known("reductions", reductions, REDUCTIONS)
    _known("layouts", layouts, LAYOUTS)
    dtype = draw(st.sampled_from(sorted(dtypes, key=lambda name: name != "float32")))
    layout = draw(st.sampled_from(sorted(layouts, key=lambda name: name != "contiguous")))
    batch = draw(batches(max_rows=max_rows, spatial=spatial))
    # Two classes first: with a single class the loss is 0 and shows nothing.
    classes = draw(st.sampled_from([k for k in (2, 1, *range(3, max_classes + 1)) if k <= max_classes]))
    shape = (*batch, classes)
    x = draw(logits(shape, dtype, finite=finite))
    if layout == "expanded":
        x = np.broadcast_to(x.reshape(-1, classes)[0], shape)
    given: dict[str, Any] = {name: draw(_option(name, classes, dtype)) for name in OPTIONS if name in options}
    ignored = given.get("ignore_index")
    also = (*(() if ignored is None else (ignored,)), *((classes, -1) if bad_labels else ()))
    kind = draw(st.sampled_from(tuple(targets)))
    if kind == TargetKind.PROBABILITIES:
        given.pop("ignore_index", None)
    t = draw(labels(batch, classes, also=also) if kind == TargetKind.LABELS else probability_targets(shape, dtype))
    reduction = draw(st.sampled_from(sorted(reductions, key=REDUCTIONS.index)))
    upstream = draw(_cotangents(batch if reduction == "none" else (), dtype))
    smoothing = given.pop("label_smoothing", None) or 0.0
    return Problem(
        logits=x,
        targets=t,
        label_smoothing=smoothing,
        reduction=reduction,  # type: ignore[arg-type]
        cotangent=upstream,
        layout=layout,
        family="hypothesis",
        **given,
    )


def _option(name: str, classes: int, dtype: str) -> st.SearchStrategy[Any]:
    """Left out first, then given."""
    match name:
        case "weight":
            return st.none() | weights(classes, dtype)
        case "ignore_index":
            return st.sampled_from((None, -100, -1, 0, classes - 1, classes))
        case _:
            return st.sampled_from((None, 0.1, 0.5, 1.0, 1e-3))


def _cotangents(shape: tuple[int, ...], dtype: str) -> st.SearchStrategy[Array | None]:
    size = int(np.prod(shape, dtype=np.int64))
    drawn = st.lists(st.sampled_from(UPSTREAM), min_size=size, max_size=size)
    return st.none() | drawn.map(lambda flat: float_array(np.array(flat).reshape(shape), dtype))


def _known(what: str, given: Collection[str], known: Collection[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"{what}: {unknown[0]!r} is unknown; use of {', '.join(known)}")
