"""Planted faults of the gradient alone, in NumPy: the loss beside it is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import ml_dtypes
import numpy as np

from logitmus.cases.planted.cards import DENSE, card
from logitmus.cases.planted.numpy.loss import (
    IGNORED,
    Result,
    cross_entropy,
    log_softmax,
    one_hot,
    reduced,
    softmax,
    split,
    widened,
)
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array
from logitmus.core.problem import TargetKind

ZOO: Final = Zoo("numpy")
# (gradient, logits, kept) -> another gradient; kept: which rows the mean counts, None: it is no mean
Change = Callable[[Array, Array, Array | None], Array]


def with_gradient(change: Change) -> Callable[..., Result]:
    """A planted fault of the gradient alone: `change(gradient, logits, kept)`."""

    def function(
        logits: Array,
        targets: Array,
        *,
        weight: Array | None = None,
        ignore_index: int = IGNORED,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> Result:
        loss, gradient = cross_entropy(logits, targets, weight, ignore_index, label_smoothing, reduction)
        kept = np.asarray(targets != ignore_index)
        return loss, change(gradient, logits, kept if reduction == "mean" else None)

    function.__name__ = change.__name__
    return function


@ZOO.fault(
    "gradient",
    "a detached graph: nothing flows",
    "gradient:zero",
    card=card("inputs", "log_base", "default_reduction", mechanisms=("gradient:zero",)),
)
@with_gradient
def no_gradient_flows(gradient: Array, logits: Array, kept: Array | None) -> Array:
    return np.zeros_like(gradient)


@ZOO.fault(
    "gradient",
    "ascent: the sign of the gradient",
    "gradient:negated",
    card=card("inputs", "log_base", "default_reduction", mechanisms=("gradient:negated",)),
)
@with_gradient
def gradient_negated(gradient: Array, logits: Array, kept: Array | None) -> Array:
    return -gradient


@ZOO.fault(
    "gradient",
    "Liger #968: the gradient of the sum for a mean",
    "gradient:not_divided",
    card=card(
        "inputs",
        "log_base",
        "default_reduction",
        mechanisms=(
            "gradient:not_divided",
            "gradient:weights_ignored",
            "unexplained",
        ),
    ),
)
@with_gradient
def mean_not_divided(gradient: Array, logits: Array, kept: Array | None) -> Array:
    return gradient if kept is None else gradient * gradient.dtype.type(max(1, kept.sum()))


@ZOO.fault(
    "gradient",
    "the mean is divided in forward and in backward",
    "gradient:divided_twice",
    card=card(
        "inputs",
        "log_base",
        "default_reduction",
        mechanisms=(
            "gradient:divided_twice",
            "gradient_of:mean_denominator=rows",
            "unexplained",
        ),
    ),
)
@with_gradient
def mean_divided_twice(gradient: Array, logits: Array, kept: Array | None) -> Array:
    return gradient if kept is None else gradient / gradient.dtype.type(max(1, kept.sum()))


@ZOO.fault(
    "gradient",
    "Liger #1268: the gradient of a confident target, as p - 1 in half precision",
    "spurious_underflow",
    "effective_precision*",
    card=card("inputs", "log_base", "default_reduction", mechanisms=("unexplained",)),
)
@with_gradient
def gradient_in_bfloat16(gradient: Array, logits: Array, kept: Array | None) -> Array:
    return gradient.astype(ml_dtypes.bfloat16).astype(gradient.dtype)


@ZOO.fault(
    "gradient",
    "a gradient kernel that stops before the tail block",
    "gradient:zero",
    card=card("inputs", "log_base", "default_reduction", mechanisms=("gradient:zero",)),
)
@with_gradient
def gradient_of_the_tail_missing(gradient: Array, logits: Array, kept: Array | None) -> Array:
    whole = gradient.shape[-1] // 8 * 8
    out = gradient.copy()
    out[..., whole:] = 0
    return out


@ZOO.fault(
    "gradient",
    "softmax, and no target subtracted",
    "gradient:target_not_subtracted",
    card=card(
        "inputs",
        "log_base",
        "default_reduction",
        mechanisms=(
            "gradient:target_not_subtracted",
            "unexplained",
        ),
    ),
)
def target_not_subtracted(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    hot = one_hot(targets, logits.shape[-1]) / np.asarray(targets.size if reduction == "mean" else 1, gradient.dtype)
    return loss, (gradient + hot).astype(gradient.dtype)


@ZOO.fault(
    "gradient",
    "unsloth #5002: ignored rows have the gradient of class 0",
    "gradient:ignored_rows_kept",
    "gradient_of:*",
    card=card("inputs", inconsistent=("ignored_row",), mechanisms=("gradient:ignored_rows_kept",)),
)
def gradient_of_ignored_rows(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Result:
    loss, _ = cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    kept, labels = split(targets, ignore_index, logits.shape[-1])
    _, gradient = cross_entropy(logits, labels, reduction="none")
    return loss, gradient / gradient.dtype.type(max(1, kept.sum()) if reduction == "mean" else 1)


@ZOO.fault(
    "gradient",
    "the gradient forgets the smoothing",
    "gradient_of:smoothing=dropped",
    card=card("inputs", "log_base", "default_reduction", mechanisms=("gradient_of:smoothing=dropped",)),
)
def gradient_without_smoothing(
    logits: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Result:
    loss, _ = cross_entropy(logits, targets, weight, ignore_index, label_smoothing, reduction)
    return loss, cross_entropy(logits, targets, weight, ignore_index, 0.0, reduction)[1]


@ZOO.fault(
    "gradient",
    "the gradient forgets the class weights",
    "gradient:weights_ignored",
    "gradient_of:*",
    card=card("inputs", "log_base", "default_reduction", mechanisms=("gradient:weights_ignored",)),
)
def gradient_without_weights(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    loss, _ = cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)
    return loss, cross_entropy(logits, targets, None, ignore_index, reduction=reduction)[1]


@ZOO.fault(
    "gradient",
    "loss by the sum of weights, gradient by the number of rows",
    "gradient_of:mean_denominator=*",
    card=card("inputs", "log_base", "default_reduction", mechanisms=("gradient_of:mean_denominator=rows",)),
)
def gradient_of_another_mean(
    logits: Array, targets: Array, *, weight: Array | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    loss, _ = cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)
    return loss, reduced(logits, targets, weight, ignore_index, reduction, lambda kept: kept.size)[1]


@ZOO.fault(
    "gradient",
    "a fused kernel with the gradient that TensorFlow documents: softmax - q, also where q does not sum to 1",
    "convention:soft_target_gradient=plain",
    "gradient_of:soft_target_gradient=plain",
    targets=TargetKind.PROBABILITIES,
    card=card(base=DENSE, soft_target_gradient="plain"),
)
def softmax_minus_q(logits: Array, q: Array) -> Result:
    log_p = log_softmax(logits)
    return -(q * log_p).sum(axis=-1), softmax(logits) - q


@ZOO.fault(
    "gradient",
    "NNlib.jl #68: the gradient of a logarithm, divided by a softmax that has underflowed",
    "lost",
    card=card("inputs", mechanisms=("lost", "spurious_overflow")),
)
def gradient_divided_by_the_softmax(
    logits: Array, targets: Array, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Result:
    loss, _ = cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    kept, labels = split(targets, ignore_index, logits.shape[-1])
    with np.errstate(all="ignore"):
        p = softmax(widened(logits))
        by_p = np.where(one_hot(labels, logits.shape[-1]), -1 / p, 0)
        gradient = p * (by_p - (p * by_p).sum(axis=-1, keepdims=True))
        divisor = kept.sum().astype(p.dtype) if reduction == "mean" else p.dtype.type(1)
        return loss, np.where(kept[..., None], gradient / divisor, 0).astype(logits.dtype)
