"""Planted in NumPy: NaN and infinities."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from logitmus.cases.planted.cards import LABELS, card
from logitmus.cases.planted.numpy.loss import (
    IGNORED,
    Result,
    at,
    cross_entropy,
    in_range,
    joined,
    one_hot,
    rounded,
    shifted,
    split,
    widened,
)
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array

ZOO: Final = Zoo("numpy")


@ZOO.fault(
    "special",
    "nan_to_num before the loss",
    "invented",
    "missed_infinity",
    card=card(
        "inputs",
        inconsistent=("infinite_logits",),
        mechanisms=("missed_infinity", "invented"),
        zero_times_infinity="zero",
    ),
)
def nan_taken_for_zero(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(np.nan_to_num(widened(logits), nan=0.0).astype(logits.dtype), targets, **options)


@ZOO.fault("special", "a fmax that drops NaN", "invented")
def nan_ignored(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(np.where(np.isnan(logits), logits.dtype.type(-np.inf), logits), targets, **options)


@ZOO.fault(
    "special",
    "tensorflow #40606: 0 * inf at masked classes",
    "lost",
    "convention:zero_times_infinity=nan",
    card=card("inputs", mechanisms=("lost",)),
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


@ZOO.fault(
    "special",
    "an infinite loss is replaced by 0",
    "missed_infinity",
    "invented",
    card=card("inputs", inconsistent=("overflowing_shift",), mechanisms=("missed_infinity", "unexplained")),
)
def infinite_loss_is_zero(logits: Array, targets: Array, **options: Any) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    return np.where(np.isinf(loss), loss.dtype.type(0), loss), gradient


@ZOO.fault(
    "special",
    "pytorch #113708: masks of -1e9 are added, so that -inf becomes finite",
    "missed_infinity",
    "invented",
    card=card(
        "inputs",
        inconsistent=("overflowing_shift",),
        mechanisms=("missed_infinity", "unexplained"),
        zero_times_infinity="zero",
    ),
)
def minus_infinity_is_minus_1e4(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(np.maximum(logits, logits.dtype.type(-1e4)), targets, **options)


@ZOO.fault("special", "a row that is masked altogether costs 0", "invented")
def all_masked_costs_nothing(logits: Array, targets: Array, **options: Any) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    masked = np.isneginf(widened(logits)).all(axis=-1)
    return (np.where(masked, loss.dtype.type(0), loss) if loss.shape == masked.shape else loss), gradient


@ZOO.fault(
    "special",
    "the limit in place of NaN: an infinite logit has all the probability",
    "convention:infinite_logits=limit",
    "invented",
    card=card(base=LABELS, infinite_logits="limit"),
)
def limit_at_infinity(x: Array, labels: Array) -> Array:
    in_range(labels, x.shape[-1])
    m = x.max(axis=-1, keepdims=True)
    d = np.where(x == m, np.zeros_like(x), x - m)
    return np.log(np.exp(d).sum(axis=-1)) - at(d, labels)


@ZOO.fault(
    "special",
    "flash-attention #1930, unsloth #10616: a first block whose classes are all masked, and -inf minus -inf",
    "lost",
    card=card("inputs"),  # no probe of `identify` has a whole block that is masked
)
def masked_block_gives_nan(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Result:
    def nats(x: Array) -> Result:
        first, rest = x[..., :2], x[..., 2:]
        m = first.max(axis=-1, keepdims=True)
        total = np.exp(first - m).sum(axis=-1, keepdims=True)
        top = np.maximum(m, rest.max(axis=-1, keepdims=True, initial=-np.inf))
        total = total * np.exp(m - top) + np.exp(rest - top).sum(axis=-1, keepdims=True)
        return np.log(total) - (x - top), np.exp(x - top) / total

    return cross_entropy(logits, targets, None, ignore_index, reduction=reduction, nats=nats)
