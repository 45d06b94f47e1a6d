"""Correct cross-entropies in NumPy, of different make: whatever is said against one of them is a false alarm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from logitmus.cases.planted import Bed
from logitmus.cases.planted.numpy.loss import Result, cross_entropy, shifted
from logitmus.core.floats import Array

BED: Final = Bed("numpy")


def summed(x: Array, total: Callable[[Array], Array]) -> Result:
    """Shifted by the maximum; `total` adds (..., K) up along the last axis."""
    d = x - x.max(axis=-1, keepdims=True)
    e = np.exp(d)
    s = total(e)[..., None]
    return np.log(s) - d, e / s


@BED.correct()
def textbook(logits: Array, targets: Array, **options: Any) -> Result:
    """Shifted by the maximum; halves are computed in float32."""
    return cross_entropy(logits, targets, **options)


@BED.correct()
def confident_rows_by_log1p(logits: Array, targets: Array, **options: Any) -> Result:
    """The largest class is left out of the sum, so that confident rows keep their digits."""

    def nats(x: Array) -> Result:
        if not x.size:
            return shifted(x)
        top = np.arange(x.shape[-1]) == x.argmax(axis=-1)[..., None]
        d = x - x.max(axis=-1, keepdims=True)
        others = np.where(top, np.expm1(d), np.exp(d)).sum(axis=-1, keepdims=True)  # 0 for the largest; NaN stays
        return np.log1p(others) - d, np.exp(d) / (1 + others)

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.correct()
def online_softmax(logits: Array, targets: Array, **options: Any) -> Result:
    """One pass with a running maximum and a sum that is rescaled when it grows."""

    def nats(x: Array) -> Result:
        m, s = np.full_like(x[..., :1], -np.inf), np.zeros_like(x[..., :1])
        for k in range(x.shape[-1]):
            new = np.maximum(m, x[..., k : k + 1])
            shift = np.where(np.isneginf(new), 0, new).astype(x.dtype)  # nothing but -inf so far: no -inf - -inf
            s = s * np.exp(m - shift) + np.exp(x[..., k : k + 1] - shift)
            m = new
        return np.log(s) - (x - m), np.exp(x - m) / s

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.correct()
def chunks_of_the_vocabulary(logits: Array, targets: Array, **options: Any) -> Result:
    """Each chunk has its own maximum and sum; the last one is as long as it is."""

    def nats(x: Array) -> Result:
        chunks = [x[..., start : start + 32] for start in range(0, x.shape[-1], 32)]
        tops = np.stack([chunk.max(axis=-1) for chunk in chunks])
        m = tops.max(axis=0)[..., None]
        s = sum(np.exp(chunk - m).sum(axis=-1, keepdims=True) for chunk in chunks)
        return np.log(s) - (x - m), np.exp(x - m) / s

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.correct()
def compensated_sum(logits: Array, targets: Array, **options: Any) -> Result:
    """Kahan's."""

    def total(e: Array) -> Array:
        s, lost = np.zeros_like(e[..., 0]), np.zeros_like(e[..., 0])
        for k in range(e.shape[-1]):
            term = e[..., k] - lost
            new = s + term
            lost, s = (new - s) - term, new
        return s

    return cross_entropy(logits, targets, **options, nats=lambda x: summed(x, total))


@BED.correct()
def pairwise_sum(logits: Array, targets: Array, **options: Any) -> Result:
    """Halves of halves."""

    def total(e: Array) -> Array:
        while e.shape[-1] > 1:
            half = e.shape[-1] // 2
            pairs = e[..., :half] + e[..., half : 2 * half]
            e = np.concatenate([pairs, e[..., 2 * half :]], axis=-1)
        return e[..., 0]

    return cross_entropy(logits, targets, **options, nats=lambda x: summed(x, total))


@BED.correct()
def small_terms_first(logits: Array, targets: Array, **options: Any) -> Result:
    """Sorted before they are added up."""
    return cross_entropy(
        logits, targets, **options, nats=lambda x: summed(x, lambda e: np.sort(e, axis=-1).sum(axis=-1))
    )


@BED.correct()
def float64_inside(
    logits: Array,
    targets: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Result:
    """Everything in float64, but for what the logits' own dtype overflows at; rounded once at the end."""
    wide = None if weight is None else weight.astype(np.float64)
    loss, gradient = cross_entropy(logits.astype(np.float64), targets, wide, ignore_index, label_smoothing, reduction)
    with np.errstate(over="ignore"):
        return loss.astype(logits.dtype), gradient.astype(logits.dtype)


@BED.correct()
def two_passes_in_base_2(logits: Array, targets: Array, **options: Any) -> Result:
    """The maximum, then the sum of powers of two, as kernels that only have exp2."""

    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        e = np.exp2(d.astype(np.float64) * np.log2(np.e)).astype(x.dtype)
        s = e.sum(axis=-1, keepdims=True)
        return np.log2(s.astype(np.float64)).astype(x.dtype) * x.dtype.type(np.log(2)) - d, e / s

    return cross_entropy(logits, targets, **options, nats=nats)
