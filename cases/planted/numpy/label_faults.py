"""Planted in NumPy: labels that are no class, and labels of other widths."""

from __future__ import annotations

from typing import Final

import numpy as np

from logitmus.cases.planted.cards import LABELS, MEAN, REDUCES, card, merged
from logitmus.cases.planted.numpy.loss import IGNORED, Result, at, cross_entropy, in_range, log_softmax, total
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array

ZOO: Final = Zoo("numpy")


@ZOO.fault(
    "convention",
    "pytorch #95794: labels are clamped into range",
    "accepted:*clamp*",
    card=card(label_out_of_range="clamp", label_negative="clamp"),
)
def labels_clamped(logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean") -> Result:
    inside = np.clip(targets.astype(np.int64), 0, logits.shape[-1] - 1)
    return cross_entropy(
        logits, np.where(targets == ignore_index, ignore_index, inside), None, ignore_index, 0.0, reduction
    )


@ZOO.fault(
    "convention",
    "optax #1185: negative labels wrap",
    "accepted:*wrap*",
    card=card("label_out_of_range", inconsistent=("label_negative",), label_negative="wrap"),
)
def negative_labels_wrap(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    labels = targets.astype(np.int64)
    turned = np.where((labels < 0) & (labels != ignore_index), labels + logits.shape[-1], labels)
    return cross_entropy(logits, turned, None, ignore_index, 0.0, reduction)


@ZOO.fault(
    "convention",
    "tensorflow #8484: a label that is no class costs nothing",
    "accepted:*zero*",
    card=card(inconsistent=("ignore_default",), label_out_of_range="zero", label_negative="zero"),
)
def bad_labels_cost_nothing(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Result:
    labels = targets.astype(np.int64)
    bad = (labels < 0) | (labels >= logits.shape[-1])
    return cross_entropy(logits, np.where(bad, ignore_index, labels), None, ignore_index, 0.0, reduction)


@ZOO.fault(
    "convention",
    "keras #15012: labels pass through 8 bits",
    "accepted:*",
    card=card(base=merged(LABELS, MEAN, overflowing_shift="infinite_float32"), wide_labels="narrowed"),
)
def labels_of_8_bits(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    return cross_entropy(logits, targets.astype(np.uint8), reduction=reduction)


@ZOO.fault(
    "convention",
    "JAX's indexing: one turn for a negative label, NaN beyond",
    "accepted:*wrap*",
    card=card(base=LABELS, label_out_of_range="nan", label_negative="wrap"),
)
def wraps_as_jax(logits: Array, labels: Array) -> Array:
    classes = logits.shape[-1]
    turned = np.where(labels < 0, labels + classes, labels)
    return _nan_outside(logits, turned)


@ZOO.fault(
    "convention",
    "one turn for a label out of range on either side, NaN beyond",
    "accepted:*wrap*",
    card=card(base=LABELS, label_out_of_range="wrap", label_negative="wrap"),
)
def wraps_both_ways(logits: Array, labels: Array) -> Array:
    classes = logits.shape[-1]
    turned = np.where(labels < 0, labels + classes, np.where(labels >= classes, labels - classes, labels))
    return _nan_outside(logits, turned)


@ZOO.fault(
    "convention",
    "a flat index without a check: a label that is too large reads the next row, or foreign memory",
    "accepted:*",
    card=card(
        base=merged(LABELS, label_negative="garbage"), inconsistent=("wide_labels",), label_out_of_range="garbage"
    ),
)
def reads_outside_the_row(logits: Array, labels: Array) -> Array:
    log_p = log_softmax(logits)
    here = np.arange(labels.size).reshape(labels.shape) * logits.shape[-1] + labels
    memory = np.append(log_p.reshape(-1), np.full(3, 7, logits.dtype))
    return -np.take(memory, here, mode="wrap")


@ZOO.fault(
    "convention",
    "NaN for a label that is no class",
    "accepted:*nan*",
    "convention:*=nan",
    card=card(base=merged(LABELS, REDUCES), label_out_of_range="nan", label_negative="nan"),
)
def nan_for_bad_labels(logits: Array, labels: Array, reduction: str = "none") -> Array:
    return total(_nan_outside(logits, labels), reduction)


@ZOO.fault(
    "convention",
    "labels pass through 32 bits",
    "accepted:*",
    card=card(base=LABELS, wide_labels="narrowed"),
)
def labels_of_32_bits(logits: Array, labels: Array) -> Array:
    return -at(log_softmax(logits), in_range(labels.astype(np.int32), logits.shape[-1]))


def _nan_outside(logits: Array, labels: Array) -> Array:
    found = (labels >= 0) & (labels < logits.shape[-1])
    rows = -at(log_softmax(logits), np.where(found, labels, 0))
    return np.where(found, rows, np.full_like(rows, np.nan))


@ZOO.fault(
    "convention",
    "keras #15012: labels are cast to the dtype of the logits, which holds no more than its own integers",
    "raised:IndexError",
)
def labels_in_the_dtype_of_the_logits(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    kept = targets != ignore_index
    with np.errstate(all="ignore"):
        cast = targets.astype(logits.dtype).astype(np.int64)
    return cross_entropy(logits, np.where(kept, cast, ignore_index), None, ignore_index, reduction=reduction)


@ZOO.fault(
    "convention",
    "a label and the ignored label are compared in the dtype of the logits, where two integers are one",
    card=card("inputs"),
)
def ignored_label_in_the_dtype_of_the_logits(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    with np.errstate(all="ignore"):
        same = targets.astype(logits.dtype) == np.asarray(ignore_index).astype(logits.dtype)
    return cross_entropy(logits, np.where(same, ignore_index, targets), None, ignore_index, reduction=reduction)


@ZOO.fault(
    "convention",
    "pytorch #15508: without a reduction an ignored label is read before it is masked",
    "raised:IndexError",
    card=card("inputs", "ignore_default"),
)
def ignored_labels_read_without_a_reduction(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    if reduction == "none" and ignore_index >= 0:
        in_range(targets, logits.shape[-1])
    return cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
