"""Planted in NumPy: another convention than the one promised."""

from __future__ import annotations

from typing import Final

import numpy as np

from logitmus.cases.planted import Bed
from logitmus.cases.planted.numpy.loss import (
    IGNORED,
    Result,
    at,
    cross_entropy,
    in_range,
    joined,
    one_hot,
    reduced,
    rounded,
    split,
    widened,
)
from logitmus.core.floats import Array

BED: Final = Bed("numpy")


@BED.fault("convention", "Megatron-LM #5522: the mean counts ignored rows", "convention:mean_denominator=rows")
def mean_over_all_rows(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return reduced(logits, targets, weight, ignore_index, reduction, lambda kept: kept.size)


@BED.fault("convention", "pytorch #73205: the weights do not enter the denominator", "convention:mean_denominator=kept")
def mean_over_kept_rows(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return reduced(logits, targets, weight, ignore_index, reduction, lambda kept: kept.sum())


@BED.fault("convention", "mean() over the classes, too", "convention:mean_denominator=elements")
def mean_over_elements(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return reduced(logits, targets, None, ignore_index, reduction, lambda _: logits.size)


@BED.fault("convention", "pytorch #69339: 0 where no row is kept", "convention:all_ignored_mean=zero")
def zero_for_nothing(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    loss, gradient = cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)
    if reduction == "mean" and targets.size and not (targets != ignore_index).any():
        return np.zeros_like(loss), np.zeros_like(gradient)
    return loss, gradient


@BED.fault(
    "convention", "nanoGPT ignores -1", "convention:ignore_default=-1", "convention:label_negative*", "accepted:*"
)
def ignores_minus_one(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = -1, reduction: str = "mean"
) -> Result:
    return cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)


@BED.fault("convention", "`if ignore_index:` takes 0 for none", "unexplained", "convention:*", "gradient*")
def ignoring_class_0_is_forgotten(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return cross_entropy(logits, targets, None, ignore_index or IGNORED, reduction=reduction)


@BED.fault(
    "convention", "iree #24228: the ignored label is not looked at", "raised:IndexError", "unexplained", "convention:*"
)
def ignore_index_dropped(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return cross_entropy(logits, targets, None, IGNORED, reduction=reduction)


@BED.fault("convention", "ignored rows are multiplied by 0", "convention:ignored_row=nan_leaks", "lost")
def ignored_rows_times_zero(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Result:
    kept, labels = split(targets, ignore_index, logits.shape[-1])
    rows, gradient = cross_entropy(logits, labels, reduction="none")
    rows, gradient = rows * kept.astype(logits.dtype), gradient * kept[..., None].astype(logits.dtype)
    return rounded(joined(widened(rows), widened(gradient), reduction, kept.sum()), logits)


@BED.fault(
    "convention", "fairseq and Megatron-LM spread the smoothing over the other classes", "convention:smoothing=others"
)
def smoothing_over_the_others(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Result:
    classes = logits.shape[-1]
    share = label_smoothing * classes / (classes - 1) if classes > 1 else label_smoothing
    return cross_entropy(logits, targets, None, ignore_index, share, reduction)


@BED.fault("convention", "an argument that nothing reads: label_smoothing", "convention:smoothing=dropped")
def smoothing_dropped(
    logits: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Result:
    del label_smoothing
    return cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)


@BED.fault("convention", "Paddle: smoothed terms carry the target's weight", "convention:smoothing_weights=target")
def smoothing_by_the_weight_of_the_target(
    logits: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Result:
    kept, labels = split(targets, ignore_index, logits.shape[-1])
    rows, gradient = cross_entropy(logits, targets, None, ignore_index, label_smoothing, "none")
    w = np.ones(kept.shape, logits.dtype) if weight is None else weight[labels]
    rows, gradient, w = widened(rows) * widened(w), widened(gradient) * widened(w)[..., None], widened(w)
    return rounded(joined(rows, gradient, reduction, np.where(kept, w, 0).sum()), logits)


@BED.fault("convention", "an argument that nothing reads: weight", "unexplained", "convention:*", "gradient*")
def weights_dropped(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    del weight
    return cross_entropy(logits, targets, None, ignore_index, reduction=reduction)


@BED.fault("convention", "pytorch #95794: labels are clamped into range", "accepted:*clamp*")
def labels_clamped(logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean") -> Result:
    inside = np.clip(targets.astype(np.int64), 0, logits.shape[-1] - 1)
    return cross_entropy(
        logits, np.where(targets == ignore_index, ignore_index, inside), None, ignore_index, 0.0, reduction
    )


@BED.fault("convention", "optax #1185: negative labels wrap", "accepted:*wrap*")
def negative_labels_wrap(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    labels = targets.astype(np.int64)
    turned = np.where((labels < 0) & (labels != ignore_index), labels + logits.shape[-1], labels)
    return cross_entropy(logits, turned, None, ignore_index, 0.0, reduction)


@BED.fault("convention", "tensorflow #8484: a label that is no class costs nothing", "accepted:*zero*")
def bad_labels_cost_nothing(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Result:
    labels = targets.astype(np.int64)
    bad = (labels < 0) | (labels >= logits.shape[-1])
    return cross_entropy(logits, np.where(bad, ignore_index, labels), None, ignore_index, 0.0, reduction)


@BED.fault("convention", "keras #15012: labels pass through 8 bits", "accepted:*", "unexplained", "relation:*")
def labels_of_8_bits(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    return cross_entropy(logits, targets.astype(np.uint8), reduction=reduction)


@BED.fault(
    "convention",
    "Keras takes probabilities unless told otherwise",
    "convention:inputs=probabilities",
    "lost",
    "invented",
    "missed_infinity",
    "unexplained",
)
def takes_probabilities(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    with np.errstate(all="ignore"):
        p, hot = widened(logits), one_hot(in_range(targets, logits.shape[-1]), logits.shape[-1])
        return rounded(joined(-np.log(at(p, targets)), np.where(hot, -1 / p, 0), reduction, targets.size), logits)


@BED.fault("convention", "NLLLoss takes log-probabilities", "convention:inputs=log_probabilities")
def takes_log_probabilities(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    x, hot = widened(logits), one_hot(in_range(targets, logits.shape[-1]), logits.shape[-1])
    return rounded(joined(-at(x, targets), np.where(hot, -1, 0).astype(x.dtype), reduction, targets.size), logits)


@BED.fault("convention", "bits for nats", "convention:log_base=2")
def in_bits(logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    per_nat = widened(logits).dtype.type(1 / np.log(2))
    return rounded((widened(loss) * per_nat, widened(gradient) * per_nat), logits)
