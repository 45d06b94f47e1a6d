"""Planted in NumPy: NaN and infinities, shapes, dtypes and exceptions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from logitmus.cases.planted import Bed
from logitmus.cases.planted.numpy.loss import (
    IGNORED,
    Result,
    cross_entropy,
    joined,
    one_hot,
    rounded,
    shifted,
    split,
    widened,
)
from logitmus.core.floats import Array

BED: Final = Bed("numpy")


# --- special values ---------------------------------------------------------------------------------------------


@BED.fault("special", "nan_to_num before the loss", "invented", "missed_infinity", "convention:*infinit*")
def nan_taken_for_zero(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(np.nan_to_num(widened(logits), nan=0.0).astype(logits.dtype), targets, **options)


@BED.fault("special", "a fmax that drops NaN", "invented")
def nan_ignored(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(np.where(np.isnan(logits), logits.dtype.type(-np.inf), logits), targets, **options)


@BED.fault(
    "special",
    "tensorflow #40606: 0 * inf at masked classes",
    "lost",
    "convention:zero_times_infinity=nan",
    "convention:*",
)
def masked_classes_give_nan(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Result:
    with np.errstate(all="ignore"):
        kept, labels = split(targets, ignore_index, logits.shape[-1])
        nat, p = shifted(widened(logits))
        hot = one_hot(labels, logits.shape[-1]).astype(nat.dtype)
        rows = np.where(kept, (hot * nat).sum(axis=-1), 0)
        gradient = np.where(kept[..., None], p - hot, 0)
        return rounded(joined(rows, gradient, reduction, kept.sum()), logits)


@BED.fault("special", "an infinite loss is replaced by 0", "missed_infinity", "invented", "unexplained")
def infinite_loss_is_zero(logits: Array, targets: Array, **options: Any) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    return np.where(np.isinf(loss), loss.dtype.type(0), loss), gradient


@BED.fault(
    "special",
    "pytorch #113708: masks of -1e9 are added, so that -inf becomes finite",
    "missed_infinity",
    "invented",
    "unexplained",
)
def minus_infinity_is_minus_1e4(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(np.maximum(logits, logits.dtype.type(-1e4)), targets, **options)


@BED.fault("special", "a row that is masked altogether costs 0", "invented")
def all_masked_costs_nothing(logits: Array, targets: Array, **options: Any) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    masked = np.isneginf(widened(logits)).all(axis=-1)
    return (np.where(masked, loss.dtype.type(0), loss) if loss.shape == masked.shape else loss), gradient


# --- contract ---------------------------------------------------------------------------------------------------


@BED.fault("contract", "keepdims", "shape:loss")
def keeps_the_axis(logits: Array, targets: Array, *, reduction: str = "none") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return (loss[..., None] if reduction == "none" else loss), gradient


@BED.fault("contract", "keras PR #19838: the loss of a mean has shape (1,)", "shape:loss")
def mean_of_shape_1(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return (loss[None] if reduction == "mean" else loss), gradient


@BED.fault("contract", "float64 for whatever came", "dtype:loss=float64")
def always_float64(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return loss.astype(np.float64), gradient


@BED.fault("contract", "the gradient has the shape of the transposed logits", "shape:grad_logits", "garbled")
def gradient_transposed(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return loss, gradient.T


@BED.fault("contract", "pytorch #73165: a vocabulary of one class raises", "raised:ValueError")
def refuses_one_class(logits: Array, targets: Array, **options: Any) -> Result:
    if logits.shape[-1] == 1:
        raise ValueError("expected at least two classes")
    return cross_entropy(logits, targets, **options)


@BED.fault(
    "contract", "pytorch #50224: an empty batch raises", "raised:ValueError", "convention:empty_batch_mean=error"
)
def refuses_an_empty_batch(logits: Array, targets: Array, **options: Any) -> Result:
    if not targets.size:
        raise ValueError("zero-size array to reduction operation")
    return cross_entropy(logits, targets, **options)


@BED.fault("contract", "words, in place of a number", "shape:loss", "garbled", "raised:*", "contract*")
def returns_words(logits: Array, targets: Array, *, reduction: str = "mean") -> Any:
    return str(cross_entropy(logits, targets, reduction=reduction)[0])
