"""Planted faults in NumPy, with the gradient beside the loss: the loss of `numpy_loss`, with one thing wrong."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

import ml_dtypes
import numpy as np

from logitmus.cases.planted import Bed
from logitmus.cases.planted.numpy_loss import (
    IGNORED,
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
from logitmus.problem import Array

BED: Final = Bed("numpy")
Result = tuple[Array, Array]


def of_blocks(x: Array, size: int) -> list[Array]:
    return [x[..., start : start + size] for start in range(0, x.shape[-1], size)]


# --- forward ----------------------------------------------------------------------------------------------------


@BED.fault("forward", "pytorch #11752: exp of a large logit overflows", "mechanism:no_max_shift", "spurious_overflow")
def no_max_shift(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        e = np.exp(x)
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - x, e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault(
    "forward", "onnx ReferenceEvaluator: the logarithm of a softmax", "mechanism:log_of_softmax", "spurious_overflow"
)
def log_of_softmax(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        p = shifted(x)[1]
        return -np.log(p), p

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "optax #1792: logsumexp minus logit, at a common offset", "separate_logsumexp")
def logsumexp_minus_logit(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        m = x.max(axis=-1, keepdims=True)
        return np.log(np.exp(x - m).sum(axis=-1, keepdims=True)) + m - x, shifted(x)[1]

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault(
    "forward", "Paddle #21154: probabilities clipped before the logarithm", "mechanism:*clipped*", "missed_infinity"
)
def softmax_clipped(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        p = shifted(x)[1]
        return -np.log(np.maximum(p, x.dtype.type(1e-7))), p

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "TensorFlow's own test oracle: log(p + 1e-20)", "mechanism:*", "missed_infinity", "unexplained")
def epsilon_in_the_logarithm(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        p = shifted(x)[1]
        return -np.log(p + x.dtype.type(1e-20)), p

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "Paddle #20994: a loss above 64 reads 64", "unexplained", "missed_infinity")
def loss_capped_at_64(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        nat, p = shifted(x)
        return np.minimum(nat, x.dtype.type(64)), p

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "a loop over k < K - 1", "unexplained")
def last_class_left_out(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        total = np.exp(d[..., :-1]).sum(axis=-1, keepdims=True)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "a grid of V // 32 blocks loses the tail of the vocabulary", "unexplained")
def tail_block_left_out(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        whole = max(32, x.shape[-1] // 32 * 32)
        d = x - x.max(axis=-1, keepdims=True)
        total = np.exp(d[..., :whole]).sum(axis=-1, keepdims=True)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "ml-cross-entropy #52: lanes of the last block are padded with 0, not -inf", "unexplained")
def tail_padded_with_zeros(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        padded = np.concatenate([x, np.zeros((*x.shape[:-1], -x.shape[-1] % 32), x.dtype)], axis=-1)
        m = padded.max(axis=-1, keepdims=True)
        total = np.exp(padded - m).sum(axis=-1, keepdims=True)
        return np.log(total) - (x - m), np.exp(x - m) / total

    return cross_entropy(logits, targets, **options, nats=nats)


def online(x: Array, rescale) -> Result:
    """Block by block with a running maximum; `rescale` says what happens to the sum so far when it grows."""
    first, *more = of_blocks(x, 16)
    m = first.max(axis=-1, keepdims=True)
    total = np.exp(first - m).sum(axis=-1, keepdims=True)
    for block in more:
        new = np.maximum(m, block.max(axis=-1, keepdims=True))
        total = rescale(total, m, new) + np.exp(block - new).sum(axis=-1, keepdims=True)
        m = new
    return np.log(total) - (x - m), np.exp(x - m) / total


@BED.fault("forward", "flash-attention #1930: online softmax without the rescale", "unexplained")
def online_without_rescale(logits, targets, **options) -> Result:
    return cross_entropy(logits, targets, **options, nats=lambda x: online(x, lambda total, m, new: total))


@BED.fault("forward", "online softmax rescaled by exp(new - old)", "unexplained", "spurious_overflow", "wrong_infinity")
def online_rescaled_the_wrong_way(logits, targets, **options) -> Result:
    return cross_entropy(
        logits, targets, **options, nats=lambda x: online(x, lambda total, m, new: total * np.exp(new - m))
    )


@BED.fault(
    "forward",
    "a running maximum that starts at 0: rows far below it underflow",
    "unexplained",
    "spurious_overflow",
    "lost",
)
def maximum_starts_at_zero(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        m = np.maximum(x.max(axis=-1, keepdims=True), 0)
        total = np.exp(x - m).sum(axis=-1, keepdims=True)
        return np.log(total) - (x - m), np.exp(x - m) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "the logits pass through a bfloat16 buffer", "unexplained", "effective_precision*")
def logits_in_bfloat16(logits, targets, **options) -> Result:
    return cross_entropy(logits.astype(ml_dtypes.bfloat16).astype(logits.dtype), targets, **options)


@BED.fault(
    "forward", "executorch #20090: a float16 accumulator over a wide vocabulary", "unexplained", "separate_logsumexp"
)
def sum_in_float16(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        e = np.exp(d)
        total = e.astype(np.float16).sum(axis=-1, keepdims=True, dtype=np.float16).astype(x.dtype)
        return np.log(total) - d, e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "exp2 with a constant of three digits", "unexplained")
def short_constant(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        e = np.exp2(d * x.dtype.type(1.443))
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - d, e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "cross_entropy is given the output of a softmax", "unexplained", "missed_infinity", "lost")
def softmax_twice(logits, targets, **options) -> Result:
    return cross_entropy(shifted(widened(logits))[1].astype(logits.dtype), targets, **options)


@BED.fault("forward", "the sign is forgotten: log p", "unexplained", "wrong_infinity")
def log_likelihood(logits, targets, **options) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    return -loss, -gradient


@BED.fault("forward", "a partition function over the 64 largest logits only", "unexplained")
def largest_64_only(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        total = np.exp(np.sort(d, axis=-1)[..., -64:]).sum(axis=-1, keepdims=True)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


# --- conventions ------------------------------------------------------------------------------------------------


def reduced(logits, targets, weight, ignore_index, reduction, divisor) -> Result:
    """The rows of the loss, divided by whatever the convention counts."""
    rows, gradient = cross_entropy(logits, targets, weight, ignore_index, reduction="none")
    kept = np.asarray(targets != ignore_index)
    return rounded(joined(widened(rows), widened(gradient), reduction, divisor(kept)), logits)


@BED.fault("convention", "Megatron-LM #5522: the mean counts ignored rows", "convention:mean_denominator=rows")
def mean_over_all_rows(logits, targets, *, weight=None, ignore_index=IGNORED, reduction="mean") -> Result:
    return reduced(logits, targets, weight, ignore_index, reduction, lambda kept: kept.size)


@BED.fault("convention", "pytorch #73205: the weights do not enter the denominator", "convention:mean_denominator=kept")
def mean_over_kept_rows(logits, targets, *, weight=None, ignore_index=IGNORED, reduction="mean") -> Result:
    return reduced(logits, targets, weight, ignore_index, reduction, lambda kept: kept.sum())


@BED.fault("convention", "mean() over the classes, too", "convention:mean_denominator=elements")
def mean_over_elements(logits, targets, *, ignore_index=IGNORED, reduction="mean") -> Result:
    return reduced(logits, targets, None, ignore_index, reduction, lambda _: logits.size)


@BED.fault("convention", "pytorch #69339: 0 where no row is kept", "convention:all_ignored_mean=zero")
def zero_for_nothing(logits, targets, *, weight=None, ignore_index=IGNORED, reduction="mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)
    if reduction == "mean" and targets.size and not (targets != ignore_index).any():
        return np.zeros_like(loss), np.zeros_like(gradient)
    return loss, gradient


@BED.fault(
    "convention", "nanoGPT ignores -1", "convention:ignore_default=-1", "convention:label_negative*", "accepted:*"
)
def ignores_minus_one(logits, targets, *, weight=None, ignore_index=-1, reduction="mean") -> Result:
    return cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)


@BED.fault("convention", "`if ignore_index:` takes 0 for none", "unexplained", "convention:*", "gradient*")
def ignoring_class_0_is_forgotten(logits, targets, *, ignore_index=IGNORED, reduction="mean") -> Result:
    return cross_entropy(logits, targets, None, ignore_index or IGNORED, reduction=reduction)


@BED.fault(
    "convention", "iree #24228: the ignored label is not looked at", "raised:IndexError", "unexplained", "convention:*"
)
def ignore_index_dropped(logits, targets, *, ignore_index=IGNORED, reduction="mean") -> Result:
    return cross_entropy(logits, targets, None, IGNORED, reduction=reduction)


@BED.fault("convention", "ignored rows are multiplied by 0", "convention:ignored_row=nan_leaks", "lost")
def ignored_rows_times_zero(logits, targets, *, ignore_index=IGNORED, reduction="none") -> Result:
    kept, labels = split(targets, ignore_index, logits.shape[-1])
    rows, gradient = cross_entropy(logits, labels, reduction="none")
    rows, gradient = rows * kept.astype(logits.dtype), gradient * kept[..., None].astype(logits.dtype)
    return rounded(joined(widened(rows), widened(gradient), reduction, kept.sum()), logits)


@BED.fault(
    "convention", "fairseq and Megatron-LM spread the smoothing over the other classes", "convention:smoothing=others"
)
def smoothing_over_the_others(
    logits, targets, *, ignore_index=IGNORED, label_smoothing=0.0, reduction="mean"
) -> Result:
    classes = logits.shape[-1]
    share = label_smoothing * classes / (classes - 1) if classes > 1 else label_smoothing
    return cross_entropy(logits, targets, None, ignore_index, share, reduction)


@BED.fault("convention", "an argument that nothing reads: label_smoothing", "convention:smoothing=dropped")
def smoothing_dropped(
    logits, targets, *, weight=None, ignore_index=IGNORED, label_smoothing=0.0, reduction="mean"
) -> Result:
    del label_smoothing
    return cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)


@BED.fault("convention", "Paddle: smoothed terms carry the target's weight", "convention:smoothing_weights=target")
def smoothing_by_the_weight_of_the_target(
    logits, targets, *, weight=None, ignore_index=IGNORED, label_smoothing=0.0, reduction="mean"
) -> Result:
    kept, labels = split(targets, ignore_index, logits.shape[-1])
    rows, gradient = cross_entropy(logits, targets, None, ignore_index, label_smoothing, "none")
    w = np.ones(kept.shape, logits.dtype) if weight is None else weight[labels]
    rows, gradient, w = widened(rows) * widened(w), widened(gradient) * widened(w)[..., None], widened(w)
    return rounded(joined(rows, gradient, reduction, np.where(kept, w, 0).sum()), logits)


@BED.fault("convention", "an argument that nothing reads: weight", "unexplained", "convention:*", "gradient*")
def weights_dropped(logits, targets, *, weight=None, ignore_index=IGNORED, reduction="mean") -> Result:
    del weight
    return cross_entropy(logits, targets, None, ignore_index, reduction=reduction)


@BED.fault("convention", "pytorch #95794: labels are clamped into range", "accepted:*clamp*")
def labels_clamped(logits, targets, *, ignore_index=IGNORED, reduction="mean") -> Result:
    inside = np.clip(targets.astype(np.int64), 0, logits.shape[-1] - 1)
    return cross_entropy(
        logits, np.where(targets == ignore_index, ignore_index, inside), None, ignore_index, 0.0, reduction
    )


@BED.fault("convention", "optax #1185: negative labels wrap", "accepted:*wrap*")
def negative_labels_wrap(logits, targets, *, ignore_index=IGNORED, reduction="mean") -> Result:
    labels = targets.astype(np.int64)
    turned = np.where((labels < 0) & (labels != ignore_index), labels + logits.shape[-1], labels)
    return cross_entropy(logits, turned, None, ignore_index, 0.0, reduction)


@BED.fault("convention", "tensorflow #8484: a label that is no class costs nothing", "accepted:*zero*")
def bad_labels_cost_nothing(logits, targets, *, ignore_index=IGNORED, reduction="none") -> Result:
    labels = targets.astype(np.int64)
    bad = (labels < 0) | (labels >= logits.shape[-1])
    return cross_entropy(logits, np.where(bad, ignore_index, labels), None, ignore_index, 0.0, reduction)


@BED.fault("convention", "keras #15012: labels pass through 8 bits", "accepted:*", "unexplained", "relation:*")
def labels_of_8_bits(logits, targets, *, reduction="mean") -> Result:
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
def takes_probabilities(logits, targets, *, reduction="mean") -> Result:
    with np.errstate(all="ignore"):
        p, hot = widened(logits), one_hot(in_range(targets, logits.shape[-1]), logits.shape[-1])
        return rounded(joined(-np.log(at(p, targets)), np.where(hot, -1 / p, 0), reduction, targets.size), logits)


@BED.fault("convention", "NLLLoss takes log-probabilities", "convention:inputs=log_probabilities")
def takes_log_probabilities(logits, targets, *, reduction="mean") -> Result:
    x, hot = widened(logits), one_hot(in_range(targets, logits.shape[-1]), logits.shape[-1])
    return rounded(joined(-at(x, targets), np.where(hot, -1, 0).astype(x.dtype), reduction, targets.size), logits)


@BED.fault("convention", "bits for nats", "convention:log_base=2")
def in_bits(logits, targets, *, ignore_index=IGNORED, reduction="mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    per_nat = widened(logits).dtype.type(1 / np.log(2))
    return rounded((widened(loss) * per_nat, widened(gradient) * per_nat), logits)


# --- gradients --------------------------------------------------------------------------------------------------


def with_gradient(change):
    """A planted fault of the gradient alone: `change(gradient, logits, kept)`."""

    def function(
        logits, targets, *, weight=None, ignore_index=IGNORED, label_smoothing=0.0, reduction="mean"
    ) -> Result:
        loss, gradient = cross_entropy(logits, targets, weight, ignore_index, label_smoothing, reduction)
        kept = np.asarray(targets != ignore_index)
        return loss, change(gradient, logits, kept if reduction == "mean" else None)

    function.__name__ = change.__name__
    return function


@BED.fault("gradient", "a detached graph: nothing flows", "gradient:zero")
@with_gradient
def no_gradient_flows(gradient, logits, kept):
    return np.zeros_like(gradient)


@BED.fault("gradient", "ascent: the sign of the gradient", "gradient:negated")
@with_gradient
def gradient_negated(gradient, logits, kept):
    return -gradient


@BED.fault("gradient", "Liger #968: the gradient of the sum for a mean", "gradient:not_divided")
@with_gradient
def mean_not_divided(gradient, logits, kept):
    return gradient if kept is None else gradient * gradient.dtype.type(max(1, kept.sum()))


@BED.fault("gradient", "the mean is divided in forward and in backward", "gradient:divided_twice", "gradient:divided*")
@with_gradient
def mean_divided_twice(gradient, logits, kept):
    return gradient if kept is None else gradient / gradient.dtype.type(max(1, kept.sum()))


@BED.fault(
    "gradient",
    "Liger #1268: the gradient of a confident target, as p - 1 in half precision",
    "unexplained",
    "spurious_underflow",
    "effective*",
)
@with_gradient
def gradient_in_bfloat16(gradient, logits, kept):
    return gradient.astype(ml_dtypes.bfloat16).astype(gradient.dtype)


@BED.fault(
    "gradient",
    "a gradient kernel that stops before the tail block",
    "unexplained",
    "relation:*",
    "gradient*",
    "spurious_underflow",
)
@with_gradient
def gradient_of_the_tail_missing(gradient, logits, kept):
    whole = gradient.shape[-1] // 8 * 8
    out = gradient.copy()
    out[..., whole:] = 0
    return out


@BED.fault("gradient", "softmax, and no target subtracted", "gradient:target_not_subtracted")
def target_not_subtracted(logits, targets, *, reduction="mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    hot = one_hot(targets, logits.shape[-1]) / np.asarray(targets.size if reduction == "mean" else 1, gradient.dtype)
    return loss, (gradient + hot).astype(gradient.dtype)


@BED.fault(
    "gradient",
    "unsloth #5002: ignored rows have the gradient of class 0",
    "gradient:ignored_rows_kept",
    "gradient_of:*",
)
def gradient_of_ignored_rows(logits, targets, *, ignore_index=IGNORED, reduction="none") -> Result:
    loss, _ = cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    kept, labels = split(targets, ignore_index, logits.shape[-1])
    _, gradient = cross_entropy(logits, labels, reduction="none")
    return loss, gradient / gradient.dtype.type(max(1, kept.sum()) if reduction == "mean" else 1)


@BED.fault("gradient", "the gradient forgets the smoothing", "gradient_of:smoothing=dropped")
def gradient_without_smoothing(
    logits, targets, *, weight=None, ignore_index=IGNORED, label_smoothing=0.0, reduction="mean"
) -> Result:
    loss, _ = cross_entropy(logits, targets, weight, ignore_index, label_smoothing, reduction)
    return loss, cross_entropy(logits, targets, weight, ignore_index, 0.0, reduction)[1]


@BED.fault("gradient", "the gradient forgets the class weights", "gradient:weights_ignored", "gradient_of:*")
def gradient_without_weights(logits, targets, *, weight=None, ignore_index=IGNORED, reduction="mean") -> Result:
    loss, _ = cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)
    return loss, cross_entropy(logits, targets, None, ignore_index, reduction=reduction)[1]


@BED.fault("gradient", "loss by the sum of weights, gradient by the number of rows", "gradient_of:mean_denominator=*")
def gradient_of_another_mean(logits, targets, *, weight=None, ignore_index=IGNORED, reduction="mean") -> Result:
    loss, _ = cross_entropy(logits, targets, weight, ignore_index, reduction=reduction)
    return loss, reduced(logits, targets, weight, ignore_index, reduction, lambda kept: kept.size)[1]


# --- integrity --------------------------------------------------------------------------------------------------


@BED.fault("integrity", "x -= x.max() in place", "wrote_into:logits")
def writes_into_the_logits(logits, targets, **options) -> Result:
    result = cross_entropy(logits, targets, **options)
    with np.errstate(all="ignore"):
        logits -= logits.max(axis=-1, keepdims=True)
    return result


@BED.fault("integrity", "targets[targets == ignore_index] = 0", "wrote_into:targets")
def writes_into_the_targets(logits, targets, *, ignore_index=IGNORED, reduction="mean") -> Result:
    result = cross_entropy(logits, targets, None, ignore_index, reduction=reduction)
    targets[targets == ignore_index] = 0
    return result


@BED.fault("integrity", "the class weights are normalised in place", "wrote_into:weight")
def writes_into_the_weights(logits, targets, *, weight=None, reduction="mean") -> Result:
    result = cross_entropy(logits, targets, weight, reduction=reduction)
    if weight is not None:
        weight /= weight.sum() * 2
    return result


@BED.fault(
    "integrity", "one maximum for the whole batch", "depends_on:other_rows", "relation:*rows*", "relation:*batch*"
)
def maximum_of_the_batch(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        if not x.size:
            return shifted(x)
        e = np.exp(x - x.max())
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - (x - x.max()), e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("integrity", "the maximum of the row before", "depends_on:other_rows", "relation:*rows*", "relation:*batch*")
def maximum_of_the_row_before(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        if x.ndim < 2 or not x.shape[0]:
            return shifted(x)
        m = np.roll(x.max(axis=-1, keepdims=True), 1, axis=0)
        e = np.exp(x - m)
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - (x - m), e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault(
    "integrity",
    "NaN in one row of the batch spoils all",
    "depends_on:other_rows",
    "relation:*rows*",
    "relation:*batch*",
)
def one_nan_spoils_all(logits, targets, **options) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    spoilt = logits.dtype.type(np.nan if np.isnan(widened(logits)).any() else 0)
    return loss + spoilt, gradient


_BUFFERS: dict[tuple[int, ...], Array] = {}


@BED.fault("integrity", "a workspace kept by shape is not cleared: the sum goes on", "changes:*", "depends_on:*")
def stale_workspace(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        workspace = _BUFFERS.setdefault(x.shape, np.zeros((*x.shape[:-1], 1)))
        d = x - x.max(axis=-1, keepdims=True)
        workspace *= 0.5
        workspace += np.exp(d).sum(axis=-1, keepdims=True)
        total = workspace.astype(x.dtype)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


_LARGEST: dict[str, float] = {}


@BED.fault("integrity", "a running maximum that outlives the call", "changes:*", "depends_on:*")
def maximum_of_earlier_calls(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        here = float(np.nanmax(np.where(np.isfinite(x), x, -np.inf), initial=-1.0))
        m = _LARGEST[x.dtype.name] = max(here, min(60.0, _LARGEST.get(x.dtype.name, here)))
        e = np.exp(x - x.dtype.type(m))
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - (x - x.dtype.type(m)), e / total

    return cross_entropy(logits, targets, **options, nats=nats)


_CALLS = count()


@BED.fault("integrity", "pytorch #32049: a race; now and then a partial sum is lost", "changes:*", "depends_on:*")
def every_third_call(logits, targets, **options) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    return (loss * loss.dtype.type(0.75), gradient) if next(_CALLS) % 3 == 2 else (loss, gradient)


_CHANCE = np.random.default_rng(0)


@BED.fault("integrity", "dropout left on", "changes:*", "depends_on:*")
def left_to_chance(logits, targets, **options) -> Result:
    def nats(x: Array) -> Result:
        return shifted(np.where(_CHANCE.random(x.shape) < 0.02, 0, x).astype(x.dtype))

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault(
    "integrity",
    "pytorch #67167: rows are taken to be dense in memory",
    "depends_on:memory_layout",
    "unexplained",
    "lost",
    "invented",
)
def taken_to_be_contiguous(logits, targets, **options) -> Result:
    base = logits
    while isinstance(base.base, np.ndarray):
        base = base.base
    flat = base.reshape(-1)
    seen = flat[: logits.size].reshape(logits.shape) if flat.size >= logits.size else logits
    return cross_entropy(seen.astype(logits.dtype), targets, **options)


# --- special values ---------------------------------------------------------------------------------------------


@BED.fault("special", "nan_to_num before the loss", "invented", "missed_infinity", "convention:*infinit*")
def nan_taken_for_zero(logits, targets, **options) -> Result:
    return cross_entropy(np.nan_to_num(widened(logits), nan=0.0).astype(logits.dtype), targets, **options)


@BED.fault("special", "a fmax that drops NaN", "invented")
def nan_ignored(logits, targets, **options) -> Result:
    return cross_entropy(np.where(np.isnan(logits), logits.dtype.type(-np.inf), logits), targets, **options)


@BED.fault(
    "special",
    "tensorflow #40606: 0 * inf at masked classes",
    "lost",
    "convention:zero_times_infinity=nan",
    "convention:*",
)
def masked_classes_give_nan(logits, targets, *, ignore_index=IGNORED, reduction="none") -> Result:
    with np.errstate(all="ignore"):
        kept, labels = split(targets, ignore_index, logits.shape[-1])
        nat, p = shifted(widened(logits))
        hot = one_hot(labels, logits.shape[-1]).astype(nat.dtype)
        rows = np.where(kept, (hot * nat).sum(axis=-1), 0)
        gradient = np.where(kept[..., None], p - hot, 0)
        return rounded(joined(rows, gradient, reduction, kept.sum()), logits)


@BED.fault("special", "an infinite loss is replaced by 0", "missed_infinity", "invented", "unexplained")
def infinite_loss_is_zero(logits, targets, **options) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    return np.where(np.isinf(loss), loss.dtype.type(0), loss), gradient


@BED.fault(
    "special",
    "pytorch #113708: masks of -1e9 are added, so that -inf becomes finite",
    "missed_infinity",
    "invented",
    "unexplained",
)
def minus_infinity_is_minus_1e4(logits, targets, **options) -> Result:
    return cross_entropy(np.maximum(logits, logits.dtype.type(-1e4)), targets, **options)


@BED.fault("special", "a row that is masked altogether costs 0", "invented")
def all_masked_costs_nothing(logits, targets, **options) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    masked = np.isneginf(widened(logits)).all(axis=-1)
    return (np.where(masked, loss.dtype.type(0), loss) if loss.shape == masked.shape else loss), gradient


# --- contract ---------------------------------------------------------------------------------------------------


@BED.fault("contract", "keepdims", "shape:loss")
def keeps_the_axis(logits, targets, *, reduction="none") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return (loss[..., None] if reduction == "none" else loss), gradient


@BED.fault("contract", "keras PR #19838: the loss of a mean has shape (1,)", "shape:loss")
def mean_of_shape_1(logits, targets, *, reduction="mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return (loss[None] if reduction == "mean" else loss), gradient


@BED.fault("contract", "float64 for whatever came", "dtype:loss=float64")
def always_float64(logits, targets, *, reduction="mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return loss.astype(np.float64), gradient


@BED.fault("contract", "the gradient has the shape of the transposed logits", "shape:grad_logits")
def gradient_transposed(logits, targets, *, reduction="mean") -> Result:
    loss, gradient = cross_entropy(logits, targets, reduction=reduction)
    return loss, gradient.T


@BED.fault("contract", "pytorch #73165: a vocabulary of one class raises", "raised:ValueError")
def refuses_one_class(logits, targets, **options) -> Result:
    if logits.shape[-1] == 1:
        raise ValueError("expected at least two classes")
    return cross_entropy(logits, targets, **options)


@BED.fault(
    "contract", "pytorch #50224: an empty batch raises", "raised:ValueError", "convention:empty_batch_mean=error"
)
def refuses_an_empty_batch(logits, targets, **options) -> Result:
    if not targets.size:
        raise ValueError("zero-size array to reduction operation")
    return cross_entropy(logits, targets, **options)


@BED.fault("contract", "words, in place of a number", "shape:loss", "garbled", "raised:*", "contract*")
def returns_words(logits, targets, *, reduction="mean") -> Any:
    return str(cross_entropy(logits, targets, reduction=reduction)[0])
