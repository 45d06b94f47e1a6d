"""Correct cross-entropies in NumPy, written in different ways: any finding about them is a false alarm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from logitmus.cases.planted.cards import DENSE, LABELS, card, merged
from logitmus.cases.planted.numpy.loss import (
    Result,
    at,
    cross_entropy,
    in_range,
    log_softmax,
    shifted,
    softmax,
    widened,
)
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array
from logitmus.core.problem import TargetKind

ZOO: Final = Zoo("numpy")


def summed(x: Array, total: Callable[[Array], Array]) -> Result:
    """Shifted by the maximum; `total` adds (..., K) up along the last axis."""
    d = x - x.max(axis=-1, keepdims=True)
    e = np.exp(d)
    s = total(e)[..., None]
    return np.log(s) - d, e / s


@ZOO.correct(
    card=card(
        *("inputs", "log_base", "class_axis", "ignored_row", "label_out_of_range", "label_negative"),
        *("infinite_logits", "overflowing_shift", "result_dtype", "wide_inputs", "wide_labels"),
        mean_denominator="weights",
        default_reduction="mean",
        ignore_default="-100",
        all_ignored_mean="nan",
        empty_batch_mean="nan",
        smoothing="uniform",
        smoothing_weights="per_class",
        zero_times_infinity="nan",
    )
)
def textbook(logits: Array, targets: Array, **options: Any) -> Result:
    """Shifted by the maximum; halves are computed in float32."""
    return cross_entropy(logits, targets, **options)


@ZOO.correct()
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


@ZOO.correct()
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


@ZOO.correct()
def chunks_of_the_vocabulary(logits: Array, targets: Array, **options: Any) -> Result:
    """Each chunk has its own maximum and sum; the last chunk may be shorter."""

    def nats(x: Array) -> Result:
        chunks = [x[..., start : start + 32] for start in range(0, x.shape[-1], 32)]
        tops = np.stack([chunk.max(axis=-1) for chunk in chunks])
        m = tops.max(axis=0)[..., None]
        s = sum(np.exp(chunk - m).sum(axis=-1, keepdims=True) for chunk in chunks)
        return np.log(s) - (x - m), np.exp(x - m) / s

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.correct()
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


@ZOO.correct()
def pairwise_sum(logits: Array, targets: Array, **options: Any) -> Result:
    """Halves of halves."""

    def total(e: Array) -> Array:
        while e.shape[-1] > 1:
            half = e.shape[-1] // 2
            pairs = e[..., :half] + e[..., half : 2 * half]
            e = np.concatenate([pairs, e[..., 2 * half :]], axis=-1)
        return e[..., 0]

    return cross_entropy(logits, targets, **options, nats=lambda x: summed(x, total))


@ZOO.correct()
def small_terms_first(logits: Array, targets: Array, **options: Any) -> Result:
    """Sorted before they are added up."""
    return cross_entropy(
        logits, targets, **options, nats=lambda x: summed(x, lambda e: np.sort(e, axis=-1).sum(axis=-1))
    )


@ZOO.correct(card=card("inputs", overflowing_shift="exact"))
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


@ZOO.correct()
def two_passes_in_base_2(logits: Array, targets: Array, **options: Any) -> Result:
    """The maximum, then the sum of powers of two, as kernels that only have exp2."""

    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        e = np.exp2(d.astype(np.float64) * np.log2(np.e)).astype(x.dtype)
        s = e.sum(axis=-1, keepdims=True)
        return np.log2(s.astype(np.float64)).astype(x.dtype) * x.dtype.type(np.log(2)) - d, e / s

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.correct(
    targets=TargetKind.PROBABILITIES,
    card=card(
        *("soft_target_gradient", "zero_times_infinity"),
        base=merged(DENSE, soft_target_gradient="scaled", overflowing_shift="infinite_float32"),
    ),
)
def of_target_probabilities(logits: Array, q: Array) -> tuple[Array, Array, Array]:
    """With both gradients."""
    x, weights = widened(logits), widened(q)
    with np.errstate(all="ignore"):
        log_p = log_softmax(x)
        loss = -(weights * log_p).sum(axis=-1)
        gradient = weights.sum(axis=-1, keepdims=True) * softmax(x) - weights
        return loss.astype(logits.dtype), gradient.astype(logits.dtype), (-log_p).astype(logits.dtype)


@ZOO.correct(
    card=card("inputs", "ignore_default", base=merged(LABELS, overflowing_shift="infinite_float32"), class_axis="1")
)
def classes_on_axis_1(logits: Array, labels: Array) -> Array:
    """As PyTorch has them: (N, K, ...)."""
    if logits.shape[:1] + logits.shape[2:] != labels.shape and logits.ndim > 1:
        raise ValueError(f"labels of shape {labels.shape} for logits of shape {logits.shape}")
    last = widened(np.moveaxis(logits, min(1, logits.ndim - 1), -1))
    with np.errstate(all="ignore"):
        rows = -at(log_softmax(last), in_range(labels, last.shape[-1]))
        return np.asarray(rows).astype(logits.dtype)


@ZOO.correct(targets=TargetKind.PROBABILITIES, card=card(base=DENSE, zero_times_infinity="zero"))
def zero_targets_are_skipped(logits: Array, q: Array) -> Array:
    """A target of 0 costs nothing, even beside an infinite loss, which a check only notes."""
    log_p = log_softmax(logits)
    return -np.where(q == 0, np.zeros_like(log_p), q * log_p).sum(axis=-1)
