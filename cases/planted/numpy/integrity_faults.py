"""Planted in NumPy: what depends on what it must not, or writes into its inputs."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

import numpy as np

from logitmus.cases.planted.cards import card
from logitmus.cases.planted.numpy.loss import (
    IGNORED,
    Result,
    cross_entropy,
    shifted,
    widened,
)
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array

ZOO: Final = Zoo("numpy")


@ZOO.fault(
    "integrity", "x -= x.max() in place", "wrote_into:logits", card=card("inputs", mechanisms=("wrote_into:logits",))
)
def writes_into_the_logits(logits: Array, targets: Array, **options: Any) -> Result:
    result = cross_entropy(logits, targets, **options)
    with np.errstate(all="ignore"):
        logits -= logits.max(axis=-1, keepdims=True)
    return result


@ZOO.fault(
    "integrity",
    "targets[targets == ignore_index] = 0",
    "wrote_into:targets",
    card=card("inputs", mechanisms=("wrote_into:targets",)),
)
def writes_into_the_targets(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    result = cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    targets[targets == ignore_index] = 0
    return result


@ZOO.fault(
    "integrity",
    "the class weights are normalised in place",
    "wrote_into:weight",
    card=card("inputs", mechanisms=("wrote_into:weight",)),
)
def writes_into_the_weights(
    logits: Array, targets: Array, *, weight: Array | None = None, reduction: str = "mean"
) -> Result:
    result = cross_entropy(logits, targets, weight, reduction=reduction)
    if weight is not None:
        weight /= weight.sum() * 2
    return result


@ZOO.fault(
    "integrity",
    "one maximum for the whole batch",
    "depends_on:other_rows",
    card=card(
        "inputs",
        inconsistent=("overflowing_shift",),
        mechanisms=("lost", "mechanism:no_max_shift", "spurious_underflow", "unexplained_within_c", "unexplained"),
        ignored_row="nan_leaks",
    ),
)
def maximum_of_the_batch(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        if not x.size:
            return shifted(x)
        e = np.exp(x - x.max())
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - (x - x.max()), e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "integrity",
    "the maximum of the row before",
    "depends_on:other_rows",
    card=card(
        "inputs",
        inconsistent=("overflowing_shift",),
        mechanisms=("lost", "invented", "spurious_underflow", "unexplained_within_c", "unexplained"),
        ignored_row="nan_leaks",
    ),
)
def maximum_of_the_row_before(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        if x.ndim < 2 or not x.shape[0]:
            return shifted(x)
        m = np.roll(x.max(axis=-1, keepdims=True), 1, axis=0)
        e = np.exp(x - m)
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - (x - m), e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "integrity",
    "NaN in one row of the batch spoils all",
    "depends_on:other_rows",
    card=card("inputs", ignored_row="nan_leaks"),
)
def one_nan_spoils_all(logits: Array, targets: Array, **options: Any) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    spoilt = logits.dtype.type(np.nan if np.isnan(widened(logits)).any() else 0)
    return loss + spoilt, gradient


_BUFFERS: dict[tuple[int, ...], Array] = {}


@ZOO.fault(
    "integrity",
    "a workspace kept by shape is not cleared: the sum goes on",
    "changes:*",
    "depends_on:chance",
    "depends_on:earlier_calls",
    card=None,
)
def stale_workspace(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        workspace = _BUFFERS.setdefault(x.shape, np.zeros((*x.shape[:-1], 1)))
        d = x - x.max(axis=-1, keepdims=True)
        workspace *= 0.5
        workspace += np.exp(d).sum(axis=-1, keepdims=True)
        total = workspace.astype(x.dtype)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


_LARGEST: dict[str, float] = {}


@ZOO.fault(
    "integrity",
    "a running maximum over all rows that outlives the call",
    "changes:*",
    "depends_on:chance",
    "depends_on:earlier_calls",
    "depends_on:other_rows",
    card=None,
)
def maximum_of_earlier_calls(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        here = float(np.nanmax(np.where(np.isfinite(x), x, -np.inf), initial=-1.0))
        m = _LARGEST[x.dtype.name] = max(here, min(60.0, _LARGEST.get(x.dtype.name, here)))
        e = np.exp(x - x.dtype.type(m))
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - (x - x.dtype.type(m)), e / total

    return cross_entropy(logits, targets, **options, nats=nats)


_CALLS = count()


@ZOO.fault(
    "integrity",
    "pytorch #32049: a race; now and then a partial sum is lost",
    "changes:*",
    "depends_on:chance",
    "depends_on:earlier_calls",
    card=None,
)
def every_third_call(logits: Array, targets: Array, **options: Any) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    return (loss * loss.dtype.type(0.75), gradient) if next(_CALLS) % 3 == 2 else (loss, gradient)


_CHANCE = np.random.default_rng(0)


@ZOO.fault("integrity", "dropout left on", "changes:*", "depends_on:chance", card=None)
def left_to_chance(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        return shifted(np.where(_CHANCE.random(x.shape) < 0.02, 0, x).astype(x.dtype))

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault("integrity", "pytorch #67167: rows are taken to be dense in memory", "depends_on:memory_layout")
def taken_to_be_contiguous(logits: Array, targets: Array, **options: Any) -> Result:
    base = logits
    while isinstance(base.base, np.ndarray):
        base = base.base
    flat = base.reshape(-1)
    seen = flat[: logits.size].reshape(logits.shape) if flat.size >= logits.size else logits
    return cross_entropy(seen.astype(logits.dtype), targets, **options)


@ZOO.fault(
    "integrity",
    "flash-attention bedf8774: labels at an address that is no multiple of 16 are misread",
    "depends_on:memory_layout",
    card=None,
)
def misaligned_labels_misread(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    if targets.ndim and targets.itemsize == 8 and targets.ctypes.data % 16:
        targets = np.roll(targets, 1)
    return cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
