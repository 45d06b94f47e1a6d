"""Small cross-entropies in NumPy, each with one or two conventions or mechanisms planted, and plain ones.

They are written as people write them, in different ways and with the options that each happens to need; `PLANTED`
says what is true of each. What "loss and gradient" is returned, the gradient is that of the sum of the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from planted import Planted, Truth

from logitmus.core.floats import Array
from logitmus.core.subject import TargetKind


def log_softmax(x: Array) -> Array:
    d = x - x.max(axis=-1, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=-1, keepdims=True))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def at(values: Array, labels: Array) -> Array:
    return np.take_along_axis(values, np.asarray(labels)[..., None], axis=-1)[..., 0]


def clip(p: Array, epsilon: float) -> Array:
    return np.minimum(np.maximum(p, p.dtype.type(epsilon)), p.dtype.type(1 - epsilon))  # np.clip widens bfloat16


def one_hot(labels: Array, like: Array) -> Array:
    return (np.asarray(labels)[..., None] == np.arange(like.shape[-1])).astype(like.dtype)


def in_range(labels: Array, classes: int) -> Array:
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise IndexError(f"labels from {labels.min()} to {labels.max()}; there are {classes} classes")
    return labels


def kept_labels(targets: Array, ignore_index: int | None, classes: int) -> tuple[Array, Array]:
    kept = np.asarray(targets != ignore_index)
    return kept, in_range(np.where(kept, targets, 0), classes)


def joined(rows: Array, reduction: str, divisor: Any = None) -> Array:
    if reduction == "none":
        return rows
    total = np.asarray(rows.sum())
    return total if reduction == "sum" else total / np.asarray(rows.size if divisor is None else divisor, rows.dtype)


# --- plain ones -------------------------------------------------------------------------------------------------


def plain(logits, targets, *, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    """Everything, as PyTorch documents it."""
    nats, classes = -log_softmax(logits), logits.shape[-1]
    kept, labels = kept_labels(targets, ignore_index, classes)
    w = np.ones(classes, logits.dtype) if weight is None else weight
    rows = w[labels] * at(nats, labels)
    if label_smoothing:
        eps = logits.dtype.type(label_smoothing)
        rows = (1 - eps) * rows + eps / classes * (w * nats).sum(axis=-1)
    zero = np.zeros_like(rows)
    return joined(np.where(kept, rows, zero), reduction, np.where(kept, w[labels], zero).sum())


def plain_with_gradient(logits, labels):
    labels = in_range(labels, logits.shape[-1])
    return -at(log_softmax(logits), labels), softmax(logits) - one_hot(labels, logits)


def with_log1p(x, labels):
    """Confident rows keep their digits."""
    in_range(labels, x.shape[-1])
    top = x.argmax(axis=-1)
    d = x - x.max(axis=-1, keepdims=True)
    e = np.exp(d) * (1 - one_hot(top, x))
    others = e.sum(axis=-1, keepdims=True)
    return np.log1p(others)[..., 0] - at(d, labels)


def online(logits, labels, reduction="mean"):
    """One pass with a running maximum and a rescaled sum, as fused kernels do."""
    in_range(labels, logits.shape[-1])
    m, s = logits[..., 0], np.ones_like(logits[..., 0])
    for k in range(1, logits.shape[-1]):
        new = np.maximum(m, logits[..., k])
        s = s * np.exp(m - new) + np.exp(logits[..., k] - new)
        m = new
    return joined(np.asarray(np.log(s) + (m - at(logits, labels))), reduction)


def in_float64(logits, targets, *, weight=None, reduction="sum"):
    """Everything in float64, rounded once at the end."""
    rows = -at(log_softmax(logits.astype(np.float64)), in_range(targets, logits.shape[-1]))
    rows = rows if weight is None else weight.astype(np.float64)[targets] * rows
    return np.asarray(joined(rows, reduction)).astype(logits.dtype)


def dense(logits, q, *, ignore_index=None):
    """Target probabilities, with both gradients; a label to ignore is accepted and means nothing."""
    del ignore_index
    log_p = log_softmax(logits)
    loss = -(q * log_p).sum(axis=-1)
    return loss, q.sum(axis=-1, keepdims=True) * softmax(logits) - q, -log_p


def classes_on_axis_1(logits, labels):
    """As PyTorch has them: (N, K, ...)."""
    if logits.shape[:1] + logits.shape[2:] != labels.shape and logits.ndim > 1:
        raise ValueError(f"labels of shape {labels.shape} for logits of shape {logits.shape}")
    last = np.moveaxis(logits, min(1, logits.ndim - 1), -1)
    return -at(log_softmax(last), in_range(labels, last.shape[-1]))


def one_row(x, t):
    """A single row only: a float for a list of logits."""
    if x.ndim != 1:
        raise ValueError(f"one row, please, not {x.shape}")
    return -log_softmax(x)[in_range(np.asarray(t), len(x))]


# --- what the inputs are, and the unit --------------------------------------------------------------------------


def of_probabilities(p, labels):
    return -np.log(at(p, in_range(labels, p.shape[-1])))


def of_clipped_probabilities(p, labels, reduction="mean"):
    in_range(labels, p.shape[-1])
    return joined(-np.log(clip(at(p, labels), 1e-7)), reduction)


def of_probabilities_scaled_and_clipped(targets, output):
    """As Keras' categorical_crossentropy without from_logits, the targets first."""
    p = clip(output / output.sum(axis=-1, keepdims=True), 1e-7)
    return -(targets * np.log(p)).sum(axis=-1)


def of_probabilities_finely_clipped(p, q):
    return -(q * np.log(clip(p, 1e-12))).sum(axis=-1)


def of_probabilities_clipped_by_hand(p, labels):
    return -np.log(clip(at(p, in_range(labels, p.shape[-1])), 1e-8))


def of_probabilities_clipped_as_scikit_learn_once_did(y_true, y_pred):
    rows = -np.log(clip(at(y_pred, in_range(y_true, y_pred.shape[-1])), 1e-15))
    return joined(np.asarray(rows), "mean")


def of_probabilities_clipped_and_scaled(p, labels):
    """As Keras' sparse_categorical_crossentropy without from_logits: the softmax of a logarithm."""
    p = clip(p, 1e-7)
    return -np.log(at(p / p.sum(axis=-1, keepdims=True), in_range(labels, p.shape[-1])))


def of_log_probabilities(log_p, labels, *, ignore_index=-100, reduction="mean"):
    kept, safe = kept_labels(labels, ignore_index, log_p.shape[-1])
    rows = -at(log_p, safe)
    return joined(np.where(kept, rows, np.zeros_like(rows)), reduction, kept.sum())


def in_bits(logits, labels, reduction="none"):
    log_p = log_softmax(logits)
    return joined(-at(log_p, in_range(labels, logits.shape[-1])) / logits.dtype.type(np.log(2)), reduction)


def one_row_in_decimal_digits(x, t):
    if x.ndim != 1:
        raise ValueError(f"one row, please, not {x.shape}")
    in_range(np.asarray(t), len(x))
    return -log_softmax(x)[t] / x.dtype.type(np.log(10))


# --- reductions and ignored rows --------------------------------------------------------------------------------


def mean_over_all_rows(logits, labels, *, ignore_index=-100, reduction="mean"):
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    rows = -at(log_softmax(logits), safe)
    return joined(np.where(kept, rows, np.zeros_like(rows)), reduction)


def mean_over_kept_rows(logits, labels, *, weight=None, ignore_index=-1, reduction="mean"):
    """Its weights do not enter the denominator; ignores -1 by default."""
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    rows = -at(log_softmax(logits), safe)
    rows = rows if weight is None else weight[safe] * rows
    return joined(np.where(kept, rows, np.zeros_like(rows)), reduction, kept.sum())


def mean_over_elements(logits, one_hot_targets):
    """As in an early tutorial of JAX: np.mean(preds * targets)."""
    product = log_softmax(logits) * one_hot_targets
    return -product.sum() / logits.dtype.type(product.size)


def sums_by_default(logits, targets, reduction="sum"):
    return joined(-at(log_softmax(logits), in_range(targets, logits.shape[-1])), reduction)


def leaking(logits, labels, *, ignore_index=-1):
    """Ignored rows are multiplied by 0."""
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    return -at(log_softmax(logits), safe) * kept.astype(logits.dtype)


def zero_for_nothing(logits, labels, *, ignore_index=-100, reduction="mean"):
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    rows = -at(log_softmax(logits), safe)
    return joined(np.where(kept, rows, np.zeros_like(rows)), reduction, max(kept.sum(), 1))


def refusing_nothing(logits, labels, *, ignore_index=-100, reduction="mean"):
    kept, safe = kept_labels(labels, ignore_index, logits.shape[-1])
    if reduction == "mean" and not kept.any():
        raise ValueError("the mean of nothing")
    rows = -at(log_softmax(logits), safe)
    return joined(np.where(kept, rows, np.zeros_like(rows)), reduction, kept.sum())


def leaving_out_one_hot_rows(logits, q, *, ignore_index=None, reduction="mean"):
    """Rows that are one-hot at the ignored class are left out, also of the mean."""
    rows = -(q * log_softmax(logits)).sum(axis=-1)
    if ignore_index is None or not 0 <= ignore_index < logits.shape[-1]:
        return joined(rows, reduction)
    kept = ~(q == np.eye(logits.shape[-1])[ignore_index]).all(axis=-1)
    return joined(np.where(kept, rows, np.zeros_like(rows)), reduction, kept.sum())


# --- smoothing --------------------------------------------------------------------------------------------------


def smoothing_over_the_others(logits, labels, *, label_smoothing=0.0):
    log_p = log_softmax(logits)
    hot, classes = one_hot(in_range(labels, logits.shape[-1]), logits), logits.shape[-1]
    eps = logits.dtype.type(label_smoothing)
    q = (1 - eps) * hot + eps / (classes - 1) * (1 - hot)
    return -np.where(q > 0, q * log_p, np.zeros_like(log_p)).sum(axis=-1)


def smoothing_dropped(logits, labels, *, label_smoothing=0.0, reduction="mean"):
    del label_smoothing
    return joined(-at(log_softmax(logits), in_range(labels, logits.shape[-1])), reduction)


def smoothing_by_the_weight_of_the_target(logits, labels, *, weight=None, label_smoothing=0.0):
    nats, classes = -log_softmax(logits), logits.shape[-1]
    rows = at(nats, in_range(labels, classes))
    if label_smoothing:
        eps = logits.dtype.type(label_smoothing)
        rows = (1 - eps) * rows + eps / classes * nats.sum(axis=-1)
    return rows if weight is None else weight[labels] * rows


# --- labels -----------------------------------------------------------------------------------------------------


def clamping(logits, labels):
    return -at(log_softmax(logits), np.clip(labels, 0, logits.shape[-1] - 1))


def wrapping(logits, labels):
    """As JAX indexes: one turn for a negative label, NaN beyond."""
    classes = logits.shape[-1]
    turned = np.where(labels < 0, labels + classes, labels)
    found = (turned >= 0) & (turned < classes)
    rows = -at(log_softmax(logits), np.where(found, turned, 0))
    return np.where(found, rows, np.full_like(rows, np.nan))


def wrapping_both_ways(logits, labels):
    """One turn in either direction, NaN beyond."""
    classes = logits.shape[-1]
    turned = np.where(labels < 0, labels + classes, np.where(labels >= classes, labels - classes, labels))
    found = (turned >= 0) & (turned < classes)
    rows = -at(log_softmax(logits), np.where(found, turned, 0))
    return np.where(found, rows, np.full_like(rows, np.nan))


def reading_outside_the_row(logits, labels):
    """A flat index without a check: a label that is too large reads the next row, or nothing."""
    log_p = log_softmax(logits)
    here = np.arange(labels.size).reshape(labels.shape) * logits.shape[-1] + labels
    memory = np.append(log_p.reshape(-1), np.full(3, 7, logits.dtype))
    return -np.take(memory, here, mode="wrap")


def indexing(logits, labels):
    """As NumPy indexes: negative labels wrap one turn, and raise beyond."""
    return -at(log_softmax(logits), labels)


def silent_about_labels(logits, labels):
    """A label that is no class matches no class."""
    hot = np.asarray(labels)[..., None] == np.arange(logits.shape[-1])
    nats = -log_softmax(logits)
    return np.where(hot, nats, np.zeros_like(nats)).sum(axis=-1)


def nan_for_bad_labels(logits, labels, reduction="none"):
    bad = (labels < 0) | (labels >= logits.shape[-1])
    rows = -at(log_softmax(logits), np.where(bad, 0, labels))
    return joined(np.where(bad, np.full_like(rows, np.nan), rows), reduction)


def labels_of_32_bits(logits, labels):
    labels = np.asarray(labels).astype(np.int32)
    return -at(log_softmax(logits), in_range(labels, logits.shape[-1]))


# --- gradients, infinities, dtypes ------------------------------------------------------------------------------


def softmax_minus_q(logits, q):
    log_p = log_softmax(logits)
    return -(q * log_p).sum(axis=-1), softmax(logits) - q


def safe_dense(logits, q):
    """A target of 0 costs nothing, whatever stands beside it."""
    log_p = log_softmax(logits)
    return -np.where(q == 0, np.zeros_like(log_p), q * log_p).sum(axis=-1)


def limit_at_infinity(x, labels):
    """One infinite logit has all the probability."""
    in_range(labels, x.shape[-1])
    m = x.max(axis=-1, keepdims=True)
    d = np.where(x == m, np.zeros_like(x), x - m)
    return np.log(np.exp(d).sum(axis=-1)) - at(d, labels)


def always_float32(logits, labels, reduction="mean"):
    return joined(-at(log_softmax(logits.astype(np.float32)), in_range(labels, logits.shape[-1])), reduction)


def without_64_bits(logits, labels):
    """As JAX without x64: nothing is wider than 32 bits."""
    x = logits.astype(np.float32) if logits.dtype == np.float64 else logits
    return -at(log_softmax(x), in_range(np.asarray(labels).astype(np.int32), x.shape[-1]))


def widening(logits, labels, *, weight=None):
    """Halves are computed and returned in float32."""
    x = logits.astype(np.float32) if logits.dtype.itemsize < 4 else logits
    rows = -at(log_softmax(x), in_range(labels, x.shape[-1]))
    return rows if weight is None else rows * weight.astype(x.dtype)[labels]


# --- mechanisms -------------------------------------------------------------------------------------------------


def unshifted(logits, labels):
    return np.log(np.exp(logits).sum(axis=-1)) - at(logits, in_range(labels, logits.shape[-1]))


def log_of_softmax(logits, labels):
    return -np.log(at(softmax(logits), in_range(labels, logits.shape[-1])))


def separate_logsumexp(logits, labels):
    in_range(labels, logits.shape[-1])
    m = logits.max(axis=-1)
    return np.log(np.exp(logits - m[..., None]).sum(axis=-1)) + m - at(logits, labels)


def with_a_safe_logsumexp(logits, labels):
    """As scipy.special.logsumexp: an infinite maximum is not subtracted."""
    in_range(labels, logits.shape[-1])
    m = logits.max(axis=-1)
    m = np.where(np.isfinite(m), m, np.zeros_like(m))
    return np.log(np.exp(logits - m[..., None]).sum(axis=-1)) + m - at(logits, labels)


def log_of_clipped_softmax(logits, labels):
    return -np.log(at(clip(softmax(logits), 1e-7), in_range(labels, logits.shape[-1])))


def in_bfloat16(logits, labels):
    """Rounded to 8 bits on the way."""
    import ml_dtypes

    x = logits.astype(ml_dtypes.bfloat16).astype(logits.dtype)
    return -at(log_softmax(x), in_range(labels, x.shape[-1])).astype(ml_dtypes.bfloat16).astype(logits.dtype)


def drops_the_last_class(logits, labels):
    d = logits - logits.max(axis=-1, keepdims=True)
    return np.log(np.exp(d[..., :-1]).sum(axis=-1)) - at(d, in_range(labels, logits.shape[-1]))


def softmax_twice(logits, labels):
    return -at(log_softmax(softmax(logits)), in_range(labels, logits.shape[-1]))


# --- broken -----------------------------------------------------------------------------------------------------


def raising(logits, labels):
    raise NotImplementedError("not today")


def keeping_the_axis(logits, labels):
    return -np.take_along_axis(log_softmax(logits), in_range(labels, logits.shape[-1])[..., None], axis=-1)


def returning_all_classes(logits, labels):
    del labels
    return -log_softmax(logits)


def returning_words(logits, labels):
    del logits, labels
    return "0.7437"


# --- the truth --------------------------------------------------------------------------------------------------

_ANY_COUNT = ("rows", "kept", "weights")
_ARITHMETIC: Truth = {
    "inputs": "logits",
    "log_base": "e",
    "class_axis": "last",
    "default_reduction": "none",
    "infinite_logits": "nan",
    "overflowing_shift": "infinite",
    "result_dtype": "as_input",
    "wide_inputs": "kept",
}
LABELS: Truth = {
    **_ARITHMETIC,
    "ignore_default": "none",
    "label_out_of_range": "error",
    "label_negative": "error",
    "wide_labels": "kept",
}
MEAN: Truth = {"default_reduction": "mean", "mean_denominator": _ANY_COUNT, "empty_batch_mean": "nan"}
REDUCES: Truth = {"mean_denominator": _ANY_COUNT, "empty_batch_mean": "nan"}
IGNORES: Truth = {
    **MEAN,
    "mean_denominator": ("kept", "weights"),
    "ignore_default": "-100",
    "ignored_row": "zero",
    "all_ignored_mean": "nan",
}
DENSE: Truth = {**_ARITHMETIC, "zero_times_infinity": "nan"}
PROBABILITIES: Truth = {
    **{name: value for name, value in LABELS.items() if name not in ("infinite_logits", "overflowing_shift")},
    "inputs": "probabilities",
    "probability_clip": "none",
    "probability_scale": "none",
}
# Who computes something else altogether: whatever its numbers are taken for, it is wrong.
_CORE = ("inputs", "log_base", "default_reduction", "probability_clip", "probability_scale")
STRANGE = (
    *("inputs", "log_base", "probability_clip", "probability_scale"),
    *("infinite_logits", "overflowing_shift", "zero_times_infinity", "wide_inputs"),
)
UNKNOWN: Truth = {name: value for name, value in LABELS.items() if name not in STRANGE}


def _of(targets: TargetKind) -> Callable[..., Planted]:
    def planted(
        function: Callable[..., Any], base: Truth, *names: str, odd=(), faults=(), remark="", **truth: Any
    ) -> Planted:
        return Planted(
            name=function.__name__,
            framework="numpy",
            function=function,
            targets=targets,
            truth={**base, **truth},
            planted=(*names, *truth),
            odd=tuple(odd),
            faults=tuple(faults),
            remark=remark,
        )

    return planted


_labels, _dense = _of("labels"), _of("probabilities")

PLANTED: tuple[Planted, ...] = (
    _labels(
        plain,
        {**LABELS, **IGNORES},
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
    ),
    _labels(plain_with_gradient, LABELS, "inputs", "log_base", "default_reduction", "infinite_logits"),
    _labels(with_log1p, LABELS, "inputs", "label_out_of_range", "label_negative", "ignore_default"),
    _labels(online, {**LABELS, **MEAN}, "inputs", "default_reduction", "empty_batch_mean"),
    _labels(
        in_float64,
        {**LABELS, **REDUCES, "mean_denominator": ("rows", "kept"), "zero_times_infinity": "nan"},
        "inputs",
        default_reduction="sum",
        overflowing_shift="exact",
    ),
    _dense(
        dense,
        {**DENSE, "soft_target_gradient": "scaled"},
        *("soft_target_gradient", "zero_times_infinity"),
        ignore_with_probabilities="unused",
    ),
    _labels(classes_on_axis_1, LABELS, "inputs", class_axis="1"),
    _labels(one_row, LABELS, "inputs", "label_negative", remark="single row"),
    # what the inputs are, and the unit
    _labels(of_probabilities, PROBABILITIES, "inputs", "probability_clip", "probability_scale"),
    _labels(of_clipped_probabilities, {**PROBABILITIES, **MEAN}, inputs="probabilities", probability_clip="1e-7"),
    _dense(
        of_probabilities_scaled_and_clipped,
        {name: PROBABILITIES[name] for name in (*_CORE, "class_axis", "result_dtype", "wide_inputs")},
        inputs="probabilities",
        probability_clip="1e-7",
        probability_scale="before_clip",
    ),
    _dense(
        of_probabilities_finely_clipped,
        {name: PROBABILITIES[name] for name in (*_CORE, "class_axis", "result_dtype", "wide_inputs")},
        inputs="probabilities",
        probability_clip="1e-12",
    ),
    _labels(of_probabilities_clipped_by_hand, PROBABILITIES, inputs="probabilities", probability_clip="1e-8"),
    _labels(
        of_probabilities_clipped_as_scikit_learn_once_did,
        {**PROBABILITIES, **MEAN},
        inputs="probabilities",
        probability_clip="1e-15",
    ),
    _labels(
        of_probabilities_clipped_and_scaled,
        PROBABILITIES,
        inputs="probabilities",
        probability_clip="1e-7",
        probability_scale="after_clip",
    ),
    _labels(
        of_log_probabilities,
        {name: v for name, v in {**LABELS, **IGNORES}.items() if name not in ("infinite_logits", "overflowing_shift")},
        inputs="log_probabilities",
        ignore_default="-100",
    ),
    _labels(in_bits, {**LABELS, **REDUCES}, log_base="2"),
    _labels(one_row_in_decimal_digits, LABELS, log_base="10", remark="single row"),
    # reductions and ignored rows
    _labels(
        mean_over_all_rows, {**LABELS, **IGNORES, "all_ignored_mean": ("nan", "zero", "error")}, mean_denominator="rows"
    ),
    _labels(
        mean_over_kept_rows,
        {**LABELS, **IGNORES, "zero_times_infinity": "nan"},
        mean_denominator="kept",
        ignore_default="-1",
    ),
    _dense(
        mean_over_elements,
        {**DENSE, **MEAN, "overflowing_shift": "infinite"},
        mean_denominator="elements",
        default_reduction="mean",
    ),
    _labels(sums_by_default, {**LABELS, **REDUCES}, default_reduction="sum"),
    _labels(leaking, {**LABELS, "ignore_default": "-1"}, "ignore_default", ignored_row="nan_leaks"),
    _labels(zero_for_nothing, {**LABELS, **IGNORES}, all_ignored_mean="zero", empty_batch_mean="zero"),
    _labels(refusing_nothing, {**LABELS, **IGNORES}, all_ignored_mean="error", empty_batch_mean="error"),
    _dense(
        leaving_out_one_hot_rows,
        {**DENSE, **MEAN, "mean_denominator": ("kept", "weights"), "all_ignored_mean": "nan"},
        ignore_with_probabilities="one_hot",
    ),
    # smoothing
    _labels(smoothing_over_the_others, LABELS, smoothing="others"),
    _labels(smoothing_dropped, {**LABELS, **MEAN}, smoothing="dropped"),
    _labels(
        smoothing_by_the_weight_of_the_target,
        {**LABELS, "zero_times_infinity": "nan"},
        "smoothing",
        smoothing="uniform",
        smoothing_weights="target",
    ),
    # labels
    _labels(clamping, LABELS, label_out_of_range="clamp", label_negative="clamp"),
    _labels(wrapping, LABELS, label_out_of_range="nan", label_negative="wrap"),
    _labels(wrapping_both_ways, LABELS, label_out_of_range="wrap", label_negative="wrap"),
    _labels(
        reading_outside_the_row,
        {**LABELS, "label_negative": "garbage"},
        odd=("wide_labels",),
        label_out_of_range="garbage",
    ),
    _labels(indexing, {**LABELS, "label_negative": "wrap"}, "label_out_of_range", odd=("label_negative",)),
    _labels(silent_about_labels, LABELS, label_out_of_range="zero", label_negative="zero"),
    _labels(nan_for_bad_labels, {**LABELS, **REDUCES}, label_out_of_range="nan", label_negative="nan"),
    _labels(labels_of_32_bits, LABELS, wide_labels="narrowed"),
    # gradients, infinities, dtypes
    _dense(softmax_minus_q, DENSE, soft_target_gradient="plain"),
    _dense(safe_dense, DENSE, zero_times_infinity="zero"),
    _labels(limit_at_infinity, LABELS, infinite_logits="limit"),
    _labels(
        always_float32,
        {**LABELS, **MEAN, "overflowing_shift": "infinite_float32"},
        result_dtype="always_float32",
        wide_inputs="narrowed",
    ),
    _labels(without_64_bits, LABELS, result_dtype="at_most_float32", wide_inputs="narrowed", wide_labels="narrowed"),
    _labels(
        widening,
        {**LABELS, "zero_times_infinity": "nan"},
        result_dtype="float32",
        overflowing_shift="infinite_float32",
    ),
    # mechanisms
    _labels(
        unshifted,
        {**LABELS, "infinite_logits": "nan_where_met"},
        "inputs",
        odd=("overflowing_shift", "wide_inputs"),
        faults=("mechanism:no_max_shift", "spurious_overflow"),
    ),
    _labels(
        log_of_softmax,
        LABELS,
        "inputs",
        odd=("wide_inputs",),  # 1e39 overflows, in float64 too
        faults=("mechanism:log_of_softmax", "spurious_overflow"),
    ),
    _labels(separate_logsumexp, {**LABELS, "overflowing_shift": "exact"}, "inputs", faults=("separate_logsumexp",)),
    _labels(
        with_a_safe_logsumexp,
        {**LABELS, "overflowing_shift": "exact"},
        "inputs",
        infinite_logits="nan_where_met",
        faults=("separate_logsumexp",),
    ),
    _labels(
        log_of_clipped_softmax,
        LABELS,
        "inputs",
        odd=("infinite_logits", "overflowing_shift", "zero_times_infinity"),
        faults=("mechanism:probabilities_clipped_to_1e-7", "missed_infinity"),
    ),
    _labels(
        in_bfloat16,
        {**LABELS, "wide_inputs": ("kept", "narrowed")},  # narrowed, to 16 bits
        odd=("wide_inputs",),
        faults=("unexplained",),
        remark="no more finely than",
    ),
    _labels(drops_the_last_class, UNKNOWN, odd=STRANGE, faults=("unexplained",), remark="convention explains"),
    _labels(
        softmax_twice,
        UNKNOWN,
        odd=STRANGE,
        faults=("unexplained", "missed_infinity", "lost"),
        remark="convention explains",
    ),
    # broken
    _labels(raising, {}, remark="raises on every call"),
    _labels(keeping_the_axis, LABELS, "inputs", "log_base", remark="shape (4, 1)"),
    _labels(
        returning_all_classes,
        {"default_reduction": "none", "result_dtype": "as_input"},
        odd=(*STRANGE, "ignore_default", "label_out_of_range", "label_negative"),
        remark="shape (4, 6)",
    ),
    _labels(returning_words, {}),
)
