"""Planted in NumPy: what the inputs are taken for, and the base of the logarithm."""

from __future__ import annotations

from typing import Final

import numpy as np

from logitmus.cases.planted.cards import LABELS, LOG_PROBABILITIES, MEAN, PROBABILITIES, card, merged, only
from logitmus.cases.planted.numpy.loss import (
    IGNORED,
    Result,
    at,
    clip,
    cross_entropy,
    in_range,
    joined,
    log_softmax,
    one_hot,
    rounded,
    total,
    widened,
)
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array
from logitmus.core.problem import TargetKind

ZOO: Final = Zoo("numpy")
_KERAS: Final = only(
    PROBABILITIES,
    *("inputs", "log_base", "default_reduction", "probability_clip", "probability_scale"),
    *("class_axis", "result_dtype", "wide_inputs"),
)


@ZOO.fault(
    "convention",
    "Keras takes probabilities by default",
    "convention:inputs=probabilities",
    card=card("probability_clip", "probability_scale", base=merged(PROBABILITIES, MEAN), inputs="probabilities"),
)
def takes_probabilities(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    with np.errstate(all="ignore"):
        p, hot = widened(logits), one_hot(in_range(targets, logits.shape[-1]), logits.shape[-1])
        return rounded(joined(-np.log(at(p, targets)), np.where(hot, -1 / p, 0), reduction, targets.size), logits)


@ZOO.fault(
    "convention",
    "NLLLoss takes log-probabilities",
    "convention:inputs=log_probabilities",
    card=card(base=merged(LOG_PROBABILITIES, MEAN), inputs="log_probabilities"),
)
def takes_log_probabilities(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    x, hot = widened(logits), one_hot(in_range(targets, logits.shape[-1]), logits.shape[-1])
    return rounded(joined(-at(x, targets), np.where(hot, -1, 0).astype(x.dtype), reduction, targets.size), logits)


@ZOO.fault("convention", "bits for nats", "convention:log_base=2", card=card(log_base="2"))
def in_bits(logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    per_nat = widened(logits).dtype.type(1 / np.log(2))
    return rounded((widened(loss) * per_nat, widened(gradient) * per_nat), logits)


@ZOO.fault(
    "convention",
    "takes probabilities, and clips them to 1e-7",
    "convention:inputs=probabilities",
    "mechanism:probabilities_clipped_to_*",
    card=card(base=merged(PROBABILITIES, MEAN), inputs="probabilities", probability_clip="1e-7"),
)
def clipped_probabilities(p: Array, labels: Array, reduction: str = "mean") -> Array:
    in_range(labels, p.shape[-1])
    return total(-np.log(clip(at(p, labels), 1e-7)), reduction)


@ZOO.fault(
    "convention",
    "Keras's categorical_crossentropy without from_logits: rescaled, then clipped; the targets come first",
    "convention:inputs=probabilities",
    "mechanism:probabilities_clipped_to_*",
    "computes:inputs=probabilities_scaled",
    "computes:penalty=clip",
    targets=TargetKind.PROBABILITIES,
    card=card(base=_KERAS, inputs="probabilities", probability_clip="1e-7", probability_scale="before_clip"),
)
def probabilities_scaled_and_clipped(targets: Array, output: Array) -> Array:
    p = clip(output / output.sum(axis=-1, keepdims=True), 1e-7)
    return -(targets * np.log(p)).sum(axis=-1)


@ZOO.fault(
    "convention",
    "takes probabilities, and clips them to 1e-12",
    "convention:inputs=probabilities",
    "mechanism:probabilities_clipped_to_*",
    "computes:inputs=probabilities",
    "computes:penalty=clip",
    targets=TargetKind.PROBABILITIES,
    card=card(base=_KERAS, inputs="probabilities", probability_clip="1e-12"),
)
def probabilities_finely_clipped(p: Array, q: Array) -> Array:
    return -(q * np.log(clip(p, 1e-12))).sum(axis=-1)


@ZOO.fault(
    "convention",
    "takes probabilities, and clips them to 1e-8",
    "convention:inputs=probabilities",
    "mechanism:probabilities_clipped_to_*",
    card=card(base=PROBABILITIES, inputs="probabilities", probability_clip="1e-8"),
)
def probabilities_clipped_by_hand(p: Array, labels: Array) -> Array:
    return -np.log(clip(at(p, in_range(labels, p.shape[-1])), 1e-8))


@ZOO.fault(
    "convention",
    "scikit-learn's log_loss, as it once was: clipped to 1e-15",
    "convention:inputs=probabilities",
    "mechanism:probabilities_clipped_to_*",
    card=card(base=merged(PROBABILITIES, MEAN), inputs="probabilities", probability_clip="1e-15"),
)
def probabilities_clipped_as_scikit_learn_once_did(y_true: Array, y_pred: Array) -> Array:
    rows = -np.log(clip(at(y_pred, in_range(y_true, y_pred.shape[-1])), 1e-15))
    return total(np.asarray(rows), "mean")


@ZOO.fault(
    "convention",
    "Keras's sparse_categorical_crossentropy without from_logits: clipped, then the softmax of the logarithm",
    "convention:inputs=probabilities",
    "mechanism:probabilities_clipped_to_*",
    card=card(base=PROBABILITIES, inputs="probabilities", probability_clip="1e-7", probability_scale="after_clip"),
)
def probabilities_clipped_and_scaled(p: Array, labels: Array) -> Array:
    p = clip(p, 1e-7)
    return -np.log(at(p / p.sum(axis=-1, keepdims=True), in_range(labels, p.shape[-1])))


@ZOO.fault(
    "convention",
    "decimal digits for nats, of a single row",
    "raised:ValueError",
    card=card(base=LABELS, remark="single row", log_base="10"),
)
def one_row_in_decimal_digits(x: Array, t: Array) -> Array:
    if x.ndim != 1:
        raise ValueError(f"one row, please, not {x.shape}")
    in_range(np.asarray(t), len(x))
    return log_softmax(x)[t] / -x.dtype.type(np.log(10))
