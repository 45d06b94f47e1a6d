"""Planted in NumPy: shapes, dtypes and exceptions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from logitmus.cases.planted.cards import DENSE, LABELS, MEAN, NOTHING, STRANGE, card, merged, only
from logitmus.cases.planted.numpy.correct import of_target_probabilities
from logitmus.cases.planted.numpy.loss import Result, at, cross_entropy, in_range, log_softmax, total, widened
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array
from logitmus.core.problem import TargetKind

ZOO: Final = Zoo("numpy")


@ZOO.fault(
    "contract", "keepdims", "shape:loss", card=card("inputs", "log_base", "default_reduction", remark="shape (4, 1)")
)
def keeps_the_axis(logits: Array, targets: Array, *, reduction: str = "none") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return (loss[..., None] if reduction == "none" else loss), gradient


@ZOO.fault(
    "contract",
    "keras PR #19838: the loss of a mean has shape (1,)",
    "shape:loss",
    card=card("inputs", "default_reduction", remark="shape (1,)"),
)
def mean_of_shape_1(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return (loss[None] if reduction == "mean" else loss), gradient


@ZOO.fault(
    "contract",
    "float64, whatever the dtype of the logits",
    "dtype:loss=float64",
    card=card("inputs", inconsistent=("result_dtype",)),
)
def always_float64(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return loss.astype(np.float64), gradient


@ZOO.fault(
    "contract",
    "the gradient has the shape of the transposed logits",
    "shape:grad_logits",
    "garbled",
    card=card(remark="Garbled"),
)
def gradient_transposed(logits: Array, targets: Array, *, reduction: str = "mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return loss, gradient.T


@ZOO.fault("contract", "pytorch #73165: a vocabulary of one class raises", "raised:ValueError")
def refuses_one_class(logits: Array, targets: Array, **options: Any) -> Result:
    if logits.shape[-1] == 1:
        raise ValueError("expected at least two classes")
    return cross_entropy(logits, targets, **options)


@ZOO.fault(
    "contract",
    "pytorch #50224: an empty batch raises",
    "raised:ValueError",
    "convention:empty_batch_mean=error",
    card=card("inputs", empty_batch_mean="error"),
)
def refuses_an_empty_batch(logits: Array, targets: Array, **options: Any) -> Result:
    if not targets.size:
        raise ValueError("zero-size array to reduction operation")
    return cross_entropy(logits, targets, **options)


@ZOO.fault(
    "contract",
    "words, in place of a number",
    "shape:loss",
    "garbled",
    "raised:*",
    card=card(base=NOTHING, remark="Garbled"),
)
def returns_words(logits: Array, targets: Array, *, reduction: str = "mean") -> Any:
    return str(cross_entropy(logits, targets, reduction=reduction)[0])


@ZOO.fault(
    "contract",
    "float32, whatever the dtype of the logits",
    "dtype:loss=float32",
    card=card(
        base=merged(LABELS, MEAN, overflowing_shift="infinite_float32"),
        result_dtype="always_float32",
        wide_inputs="narrowed",
    ),
)
def always_float32(logits: Array, labels: Array, reduction: str = "mean") -> Array:
    return total(-at(log_softmax(logits.astype(np.float32)), in_range(labels, logits.shape[-1])), reduction)


@ZOO.fault(
    "contract",
    "JAX without x64: nothing is wider than 32 bits",
    "dtype:loss=float32",
    card=card(base=LABELS, result_dtype="at_most_float32", wide_inputs="narrowed", wide_labels="narrowed"),
)
def without_64_bits(logits: Array, labels: Array) -> Array:
    x = logits.astype(np.float32) if logits.dtype == np.float64 else logits
    return -at(log_softmax(x), in_range(labels.astype(np.int32), x.shape[-1]))


@ZOO.fault(
    "contract",
    "halves are computed and returned in float32",
    "dtype:loss=float32",
    card=card(
        base=merged(LABELS, zero_times_infinity="nan"),
        result_dtype="float32",
        overflowing_shift="infinite_float32",
    ),
)
def returns_halves_in_float32(logits: Array, labels: Array, *, weight: Array | None = None) -> Array:
    x = widened(logits)
    rows = -at(log_softmax(x), in_range(labels, x.shape[-1]))
    return rows if weight is None else rows * weight.astype(x.dtype)[labels]


@ZOO.fault("contract", "a stub", "raised:NotImplementedError", card=card(base=NOTHING, remark="raises on every call"))
def raises_always(logits: Array, labels: Array) -> Array:
    raise NotImplementedError("not today")


@ZOO.fault(
    "contract",
    "the losses of all classes, for the label is forgotten",
    "shape:loss",
    card=card(
        base=only(LABELS, "default_reduction", "result_dtype"),
        inconsistent=(*STRANGE, "ignore_default", "label_out_of_range", "label_negative"),
        remark="shape (4, 6)",
    ),
)
def returns_all_classes(logits: Array, labels: Array) -> Array:
    del labels
    return -log_softmax(logits)


@ZOO.fault(
    "contract",
    "a single row only: a number for a list of logits",
    "raised:ValueError",
    card=card("inputs", "label_negative", base=LABELS, remark="single row"),
)
def one_row(x: Array, t: Array) -> Array:
    if x.ndim != 1:
        raise ValueError(f"one row, please, not {x.shape}")
    return -log_softmax(x)[in_range(np.asarray(t), len(x))]


@ZOO.fault(
    "contract",
    "a label to ignore beside target probabilities is taken, and means nothing",
    "accepted:invalid",
    targets=TargetKind.PROBABILITIES,
    card=card(
        *("soft_target_gradient", "zero_times_infinity"),
        base=merged(DENSE, soft_target_gradient="scaled", overflowing_shift="infinite_float32"),
        ignore_with_probabilities="unused",
    ),
)
def ignores_ignore_index(logits: Array, q: Array, *, ignore_index: int | None = None) -> tuple[Array, Array, Array]:
    del ignore_index
    return of_target_probabilities(logits, q)
