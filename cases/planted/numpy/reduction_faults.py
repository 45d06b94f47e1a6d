"""Planted in NumPy: another mean, other ignored rows, other weights and smoothing than promised."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from logitmus.cases.planted.cards import DENSE, EITHER_OVERFLOW, IGNORES, LABELS, MEAN, REDUCES, card, merged
from logitmus.cases.planted.numpy.loss import (
    IGNORED,
    Result,
    at,
    cross_entropy,
    in_range,
    joined,
    log_softmax,
    reduced,
    rounded,
    shifted,
    split,
    total,
    widened,
)
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array
from logitmus.core.problem import TargetKind

ZOO: Final = Zoo("numpy")


@ZOO.fault(
    "convention",
    "Megatron-LM #5522: the mean counts ignored rows",
    "convention:mean_denominator=rows",
    card=card(
        without=("all_ignored_mean",),
        inconsistent=("overflowing_shift",),
        overflowing_shift=EITHER_OVERFLOW,
        mean_denominator="rows",
    ),
)
def mean_over_all_rows(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return reduced(logits, targets, weight, ignore_index, reduction, lambda kept: kept.size)


@ZOO.fault(
    "convention",
    "pytorch #73205: the weights do not enter the denominator",
    "convention:mean_denominator=kept",
    card=card(inconsistent=("overflowing_shift",), overflowing_shift=EITHER_OVERFLOW, mean_denominator="kept"),
)
def mean_over_kept_rows(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return reduced(logits, targets, weight, ignore_index, reduction, lambda kept: kept.sum())


@ZOO.fault(
    "convention",
    "mean() over the classes, too",
    "convention:mean_denominator=elements",
    card=card(
        without=("all_ignored_mean",),
        inconsistent=("overflowing_shift",),
        overflowing_shift=EITHER_OVERFLOW,
        mean_denominator="elements",
    ),
)
def mean_over_elements(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return reduced(logits, targets, None, ignore_index, reduction, lambda _: logits.size)


@ZOO.fault(
    "convention",
    "pytorch #69339: 0 where no row is kept",
    "convention:all_ignored_mean=zero",
    card=card(
        inconsistent=("overflowing_shift",),
        overflowing_shift=EITHER_OVERFLOW,
        all_ignored_mean="zero",
        empty_batch_mean="zero",
    ),
)
def zero_for_nothing(logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean") -> Result:
    return reduced(logits, targets, None, ignore_index, reduction, lambda kept: max(kept.sum(), 1))


@ZOO.fault(
    "convention",
    "nanoGPT ignores -1",
    "convention:ignore_default=-1",
    "accepted:label_negative=zero",
    card=card(ignore_default="-1"),
)
def ignores_minus_one(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = -1, reduction: str = "mean"
) -> Result:
    return cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)


@ZOO.fault("convention", "`if ignore_index:` takes 0 for none", card=card("inputs", "ignore_default"))
def ignoring_class_0_is_forgotten(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return cross_entropy(logits, targets, None, ignore_index or IGNORED, reduction=reduction)


@ZOO.fault(
    "convention",
    "iree #24228: the ignored label is not looked at",
    "raised:IndexError",
    card=card("inputs", "ignore_default"),
)
def ignore_index_dropped(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    return cross_entropy(logits, targets, None, IGNORED, reduction=reduction)


@ZOO.fault(
    "convention",
    "ignored rows are multiplied by 0",
    "convention:ignored_row=nan_leaks",
    card=card("ignore_default", ignored_row="nan_leaks"),
)
def ignored_rows_times_zero(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Result:
    kept, labels = split(targets, ignore_index, logits.shape[-1])
    rows, gradient = cross_entropy(logits, labels, reduction="none")
    rows, gradient = rows * kept.astype(logits.dtype), gradient * kept[..., None].astype(logits.dtype)
    return rounded(joined(widened(rows), widened(gradient), reduction, kept.sum()), logits)


@ZOO.fault(
    "convention",
    "fairseq and Megatron-LM spread the smoothing over the other classes",
    "convention:smoothing=others",
    card=card(smoothing="others"),
)
def smoothing_over_the_others(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Result:
    classes = logits.shape[-1]
    share = label_smoothing * classes / (classes - 1) if classes > 1 else label_smoothing
    return cross_entropy(logits, targets, None, ignore_index, share, reduction)


@ZOO.fault(
    "convention",
    "an argument that nothing reads: label_smoothing",
    "convention:smoothing=dropped",
    card=card(without=("smoothing_weights",), smoothing="dropped"),
)
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


@ZOO.fault(
    "convention",
    "Paddle: smoothed terms carry the target's weight",
    "convention:smoothing_weights=target",
    card=card(
        "smoothing", inconsistent=("overflowing_shift",), overflowing_shift=EITHER_OVERFLOW, smoothing_weights="target"
    ),
)
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


@ZOO.fault(
    "convention",
    "an argument that nothing reads: weight",
    "computes:weights=unused",
    card=card("inputs", inconsistent=("mean_denominator",), mechanisms=("unexplained",)),
)
def weights_dropped(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    del weight
    return cross_entropy(logits, targets, None, ignore_index, reduction=reduction)


@ZOO.fault(
    "convention",
    "a sum where no reduction is named",
    "convention:default_reduction=sum",
    card=card(base=merged(LABELS, REDUCES), default_reduction="sum"),
)
def sums_by_default(logits: Array, targets: Array, reduction: str = "sum") -> Array:
    return total(-at(log_softmax(logits), in_range(targets, logits.shape[-1])), reduction)


@ZOO.fault(
    "convention",
    "the mean of no rows is refused",
    "convention:all_ignored_mean=error",
    "convention:empty_batch_mean=error",
    card=card(base=merged(LABELS, IGNORES), all_ignored_mean="error", empty_batch_mean="error"),
)
def refuses_the_mean_of_nothing(
    logits: Array, labels: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Array:
    kept, safe = split(labels, ignore_index, logits.shape[-1])
    if reduction == "mean" and not kept.any():
        raise ValueError("the mean of nothing")
    rows = -at(log_softmax(logits), safe)
    return total(np.where(kept, rows, np.zeros_like(rows)), reduction, kept.sum())


@ZOO.fault(
    "convention",
    "rows that are one-hot at the ignored class are left out, of the mean too",
    "convention:ignore_with_probabilities=one_hot",
    "accepted:invalid",
    targets=TargetKind.PROBABILITIES,
    card=card(
        base=merged(DENSE, MEAN, mean_denominator=("kept", "weights"), all_ignored_mean="nan"),
        ignore_with_probabilities="one_hot",
    ),
)
def leaves_out_one_hot_rows(
    logits: Array, q: Array, *, ignore_index: int | None = None, reduction: str = "mean"
) -> Array:
    rows = -(q * log_softmax(logits)).sum(axis=-1)
    if ignore_index is None or not 0 <= ignore_index < logits.shape[-1]:
        return total(rows, reduction)
    kept = ~(q == np.eye(logits.shape[-1])[ignore_index]).all(axis=-1)
    return total(np.where(kept, rows, np.zeros_like(rows)), reduction, kept.sum())


@ZOO.fault("convention", "vectors of four rows: of a sum over more, the rest is lost")
def rest_of_the_rows_left_out(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    if reduction != "sum" or targets.size < 4:
        return cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    rows, gradient = cross_entropy(logits, targets, None, ignore_index, reduction="none")
    whole = rows.reshape(-1)[: rows.size // 4 * 4]
    return rounded((np.asarray(widened(whole).sum()), widened(gradient)), logits)


@ZOO.fault(
    "convention",
    "pytorch #61523: the number of rows is held in float16",
    card=card("inputs", inconsistent=("overflowing_shift",), overflowing_shift=EITHER_OVERFLOW),
)
def rows_counted_in_float16(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    def divisor(kept: Array) -> Any:
        with np.errstate(over="ignore"):
            return kept.sum().astype(np.float16)

    return reduced(logits, targets, None, ignore_index, reduction, divisor)


@ZOO.fault(
    "convention",
    "pytorch #73205: the uniform part of the smoothing counts ignored rows",
    card=card("inputs"),
)
def smoothing_of_ignored_rows(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Result:
    if not label_smoothing:
        return cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    kept, labels = split(targets, ignore_index, logits.shape[-1])
    hard, hard_gradient = cross_entropy(logits, targets, None, ignore_index, reduction="none")
    smooth, smooth_gradient = cross_entropy(logits, labels, None, IGNORED, 1.0, "none")
    eps = widened(logits).dtype.type(label_smoothing)
    rows = (1 - eps) * widened(hard) + eps * widened(smooth)
    gradient = (1 - eps) * widened(hard_gradient) + eps * widened(smooth_gradient)
    return rounded(joined(rows, gradient, reduction, kept.sum()), logits)


@ZOO.fault(
    "convention",
    "tensorflow #32231, keras #23451: what needs the number of classes reads it from another axis",
    card=card("inputs"),
)
def classes_counted_on_axis_1(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Result:
    counted = logits.shape[1] if logits.ndim > 2 else logits.shape[-1]
    share = label_smoothing * logits.shape[-1] / max(counted, 1)
    return cross_entropy(logits, targets, None, ignore_index, share, reduction)


@ZOO.fault(
    "convention",
    "tensorflow #39329, optax #1162, Paddle #27311: the softmax of a picture runs over axis 1",
    card=card("inputs"),
)
def softmax_over_axis_1(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    def nats(x: Array) -> Result:
        if x.ndim < 3:
            return shifted(x)
        nat, p = shifted(np.moveaxis(x, 1, -1))
        return np.moveaxis(nat, -1, 1), np.moveaxis(p, -1, 1)

    return cross_entropy(logits, targets, None, ignore_index, reduction=reduction, nats=nats)


@ZOO.fault(
    "convention",
    "Megatron-LM #5522, with smoothing and weights: the mean counts all rows, and nothing else",
    "convention:mean_denominator=rows",
    card=card(
        "inputs",
        without=("all_ignored_mean",),
        inconsistent=("overflowing_shift",),
        overflowing_shift=EITHER_OVERFLOW,
        mean_denominator="rows",
    ),
)
def smoothed_mean_over_all_rows(
    logits: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Result:
    rows, gradient = cross_entropy(logits, targets, weight, ignore_index, label_smoothing, "none")
    return rounded(joined(widened(rows), widened(gradient), reduction, targets.size), logits)
