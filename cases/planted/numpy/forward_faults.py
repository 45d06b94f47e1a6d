"""Planted faults of the loss itself, in NumPy: variants of `loss` with a single fault each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ml_dtypes
import numpy as np

from logitmus.cases.planted.cards import EITHER_OVERFLOW, LABELS, STRANGE, UNKNOWN, card, merged
from logitmus.cases.planted.numpy.loss import (
    Result,
    at,
    cross_entropy,
    in_range,
    shifted,
    widened,
)
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.floats import Array

ZOO: Final = Zoo("numpy")


def of_blocks(x: Array, size: int) -> list[Array]:
    return [x[..., start : start + size] for start in range(0, x.shape[-1], size)]


@ZOO.fault(
    "forward",
    "exp of a large logit overflows",
    "mechanism:no_max_shift",
    "spurious_overflow",
    card=card(
        "inputs",
        inconsistent=("overflowing_shift", "wide_inputs"),
        overflowing_shift=EITHER_OVERFLOW,
        mechanisms=("mechanism:no_max_shift", "spurious_overflow", "lost"),
        infinite_logits="nan_where_met",
    ),
)
def no_max_shift(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        e = np.exp(x)
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - x, e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "onnx ReferenceEvaluator: the logarithm of a softmax",
    "mechanism:log_of_softmax",
    "spurious_overflow",
    card=card(
        "inputs",
        inconsistent=("overflowing_shift", "wide_inputs"),
        overflowing_shift=EITHER_OVERFLOW,
        mechanisms=("mechanism:log_of_softmax", "spurious_overflow"),
    ),
)
def log_of_softmax(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        p = shifted(x)[1]
        return -np.log(p), p

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "optax #1792: logsumexp minus logit, at a common offset",
    "separate_logsumexp",
    card=card("inputs", mechanisms=("separate_logsumexp",)),
)
def logsumexp_minus_logit(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        m = x.max(axis=-1, keepdims=True)
        return np.log(np.exp(x - m).sum(axis=-1, keepdims=True)) + m - x, shifted(x)[1]

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "Paddle #21154: probabilities clipped before the logarithm",
    "mechanism:*clipped*",
    "missed_infinity",
    card=card(
        "inputs",
        inconsistent=("infinite_logits", "overflowing_shift"),
        mechanisms=("mechanism:probabilities_clipped_to_1e-7", "missed_infinity", "unexplained"),
        zero_times_infinity="zero",
    ),
)
def softmax_clipped(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        p = shifted(x)[1]
        return -np.log(np.maximum(p, x.dtype.type(1e-7))), p

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "TensorFlow's own test oracle: log(p + 1e-20)",
    "missed_infinity",
    card=card(
        "inputs",
        inconsistent=("infinite_logits", "overflowing_shift"),
        mechanisms=("missed_infinity", "unexplained"),
        zero_times_infinity="zero",
    ),
)
def epsilon_in_the_logarithm(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        p = shifted(x)[1]
        return -np.log(p + x.dtype.type(1e-20)), p

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "Paddle #20994: a loss above 64 reads 64",
    "missed_infinity",
    card=card(
        "inputs",
        inconsistent=("infinite_logits", "overflowing_shift"),
        mechanisms=("missed_infinity", "unexplained"),
        zero_times_infinity="zero",
    ),
)
def loss_capped_at_64(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        nat, p = shifted(x)
        return np.minimum(nat, x.dtype.type(64)), p

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "a loop over k < K - 1",
    "computes:inputs=without_last",
    card=card(base=UNKNOWN, inconsistent=STRANGE, mechanisms=("unexplained",), remark="convention explains"),
)
def last_class_left_out(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        total = np.exp(d[..., :-1]).sum(axis=-1, keepdims=True)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault("forward", "a grid of V // 32 blocks loses the tail of the vocabulary", "computes:inputs=whole_blocks")
def tail_block_left_out(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        whole = max(32, x.shape[-1] // 32 * 32)
        d = x - x.max(axis=-1, keepdims=True)
        total = np.exp(d[..., :whole]).sum(axis=-1, keepdims=True)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "ml-cross-entropy #52: lanes of the last block are padded with 0, not -inf",
    "computes:inputs=zeros",
    card=card(base=UNKNOWN, inconsistent=STRANGE, mechanisms=("unexplained",), remark="convention explains"),
)
def tail_padded_with_zeros(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        padded = np.concatenate([x, np.zeros((*x.shape[:-1], -x.shape[-1] % 32), x.dtype)], axis=-1)
        m = padded.max(axis=-1, keepdims=True)
        total = np.exp(padded - m).sum(axis=-1, keepdims=True)
        return np.log(total) - (x - m), np.exp(x - m) / total

    return cross_entropy(logits, targets, **options, nats=nats)


def online(x: Array, rescale: Callable[[Array, Array, Array], Array]) -> Result:
    """Block by block with a running maximum; `rescale` says what happens to the sum so far when it grows."""
    first, *more = of_blocks(x, 16)
    m = first.max(axis=-1, keepdims=True)
    total = np.exp(first - m).sum(axis=-1, keepdims=True)
    for block in more:
        new = np.maximum(m, block.max(axis=-1, keepdims=True))
        total = rescale(total, m, new) + np.exp(block - new).sum(axis=-1, keepdims=True)
        m = new
    return np.log(total) - (x - m), np.exp(x - m) / total


@ZOO.fault("forward", "flash-attention #1930: online softmax without the rescale", "computes:inputs=not_rescaled")
def online_without_rescale(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(logits, targets, **options, nats=lambda x: online(x, lambda total, m, new: total))


@ZOO.fault("forward", "online softmax rescaled by exp(new - old)", "computes:inputs=rescaled_wrongly")
def online_rescaled_the_wrong_way(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(
        logits, targets, **options, nats=lambda x: online(x, lambda total, m, new: total * np.exp(new - m))
    )


@ZOO.fault(
    "forward",
    "a running maximum that starts at 0: rows far below it underflow",
    "spurious_overflow",
    "lost",
    card=card("inputs", mechanisms=("lost", "spurious_overflow", "mechanism:no_max_shift")),
)
def maximum_starts_at_zero(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        m = np.maximum(x.max(axis=-1, keepdims=True), 0)
        total = np.exp(x - m).sum(axis=-1, keepdims=True)
        return np.log(total) - (x - m), np.exp(x - m) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "the logits pass through a bfloat16 buffer",
    "effective_precision*",
    "computes:rounded_inputs=bfloat16",
    card=card("inputs", inconsistent=("mean_denominator", "wide_inputs"), mechanisms=("unexplained",)),
)
def logits_in_bfloat16(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(logits.astype(ml_dtypes.bfloat16).astype(logits.dtype), targets, **options)


@ZOO.fault(
    "forward",
    "executorch #20090: a float16 accumulator over a wide vocabulary",
    "effective_precision*",
    card=card(
        "inputs", inconsistent=("wide_inputs",), mechanisms=("unexplained",), remark="no more finely than float16"
    ),
)
def sum_in_float16(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        e = np.exp(d)
        total = e.astype(np.float16).sum(axis=-1, keepdims=True, dtype=np.float16).astype(x.dtype)
        return np.log(total) - d, e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "exp2 with a constant of three digits",
    card=card(
        "inputs", inconsistent=("wide_inputs",), mechanisms=("unexplained",), remark="no more finely than float16"
    ),
)
def short_constant(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        e = np.exp2(d * x.dtype.type(1.443))
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - d, e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "cross_entropy is given the output of a softmax",
    "computes:inputs=softmax",
    card=card(
        base=UNKNOWN,
        inconsistent=STRANGE,
        mechanisms=("unexplained", "missed_infinity", "lost"),
        remark="convention explains",
    ),
)
def softmax_twice(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(shifted(widened(logits))[1].astype(logits.dtype), targets, **options)


@ZOO.fault(
    "forward",
    "the sign is forgotten: log p",
    "computes:factor=-1",
    card=card(base=UNKNOWN, inconsistent=STRANGE, mechanisms=("unexplained",), remark="convention explains"),
)
def log_likelihood(logits: Array, targets: Array, **options: Any) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    return -loss, -gradient


@ZOO.fault("forward", "a partition function over the 64 largest logits only", "computes:inputs=largest")
def largest_64_only(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        total = np.exp(np.sort(d, axis=-1)[..., -64:]).sum(axis=-1, keepdims=True)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@ZOO.fault(
    "forward",
    "scipy.special.logsumexp minus logit: an infinite maximum is not subtracted",
    "separate_logsumexp",
    card=card(
        "inputs",
        base=merged(LABELS, overflowing_shift="exact"),
        mechanisms=("separate_logsumexp",),
        infinite_logits="nan_where_met",
    ),
)
def safe_logsumexp_minus_logit(logits: Array, labels: Array) -> Array:
    in_range(labels, logits.shape[-1])
    m = logits.max(axis=-1)
    m = np.where(np.isfinite(m), m, np.zeros_like(m))
    return np.log(np.exp(logits - m[..., None]).sum(axis=-1)) + m - at(logits, labels)


@ZOO.fault(
    "forward",
    "ml_dtypes #63: a bfloat16 accumulator counts to 256",
    "effective_precision*",
    card=card("inputs", inconsistent=("wide_inputs",), mechanisms=("unexplained",)),
)
def sum_in_bfloat16(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        e = np.exp(d)
        sums = np.add.accumulate(e.astype(ml_dtypes.bfloat16), axis=-1)
        total = sums[..., -1:].astype(x.dtype)
        return np.log(total) - d, e / total

    return cross_entropy(logits, targets, **options, nats=nats)
