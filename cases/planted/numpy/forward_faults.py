"""Planted faults of the loss itself, in NumPy: the loss of `numpy_loss`, with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ml_dtypes
import numpy as np

from logitmus.cases.planted import Bed
from logitmus.cases.planted.numpy.loss import (
    Result,
    cross_entropy,
    shifted,
    widened,
)
from logitmus.core.floats import Array

BED: Final = Bed("numpy")


def of_blocks(x: Array, size: int) -> list[Array]:
    return [x[..., start : start + size] for start in range(0, x.shape[-1], size)]


@BED.fault("forward", "pytorch #11752: exp of a large logit overflows", "mechanism:no_max_shift", "spurious_overflow")
def no_max_shift(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        e = np.exp(x)
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - x, e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault(
    "forward", "onnx ReferenceEvaluator: the logarithm of a softmax", "mechanism:log_of_softmax", "spurious_overflow"
)
def log_of_softmax(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        p = shifted(x)[1]
        return -np.log(p), p

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "optax #1792: logsumexp minus logit, at a common offset", "separate_logsumexp")
def logsumexp_minus_logit(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        m = x.max(axis=-1, keepdims=True)
        return np.log(np.exp(x - m).sum(axis=-1, keepdims=True)) + m - x, shifted(x)[1]

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault(
    "forward", "Paddle #21154: probabilities clipped before the logarithm", "mechanism:*clipped*", "missed_infinity"
)
def softmax_clipped(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        p = shifted(x)[1]
        return -np.log(np.maximum(p, x.dtype.type(1e-7))), p

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "TensorFlow's own test oracle: log(p + 1e-20)", "mechanism:*", "missed_infinity", "unexplained")
def epsilon_in_the_logarithm(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        p = shifted(x)[1]
        return -np.log(p + x.dtype.type(1e-20)), p

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "Paddle #20994: a loss above 64 reads 64", "unexplained", "missed_infinity")
def loss_capped_at_64(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        nat, p = shifted(x)
        return np.minimum(nat, x.dtype.type(64)), p

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "a loop over k < K - 1", "unexplained")
def last_class_left_out(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        total = np.exp(d[..., :-1]).sum(axis=-1, keepdims=True)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "a grid of V // 32 blocks loses the tail of the vocabulary", "unexplained")
def tail_block_left_out(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        whole = max(32, x.shape[-1] // 32 * 32)
        d = x - x.max(axis=-1, keepdims=True)
        total = np.exp(d[..., :whole]).sum(axis=-1, keepdims=True)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "ml-cross-entropy #52: lanes of the last block are padded with 0, not -inf", "unexplained")
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


@BED.fault("forward", "flash-attention #1930: online softmax without the rescale", "unexplained")
def online_without_rescale(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(logits, targets, **options, nats=lambda x: online(x, lambda total, m, new: total))


@BED.fault("forward", "online softmax rescaled by exp(new - old)", "unexplained", "spurious_overflow", "wrong_infinity")
def online_rescaled_the_wrong_way(logits: Array, targets: Array, **options: Any) -> Result:
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
def maximum_starts_at_zero(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        m = np.maximum(x.max(axis=-1, keepdims=True), 0)
        total = np.exp(x - m).sum(axis=-1, keepdims=True)
        return np.log(total) - (x - m), np.exp(x - m) / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "the logits pass through a bfloat16 buffer", "unexplained", "effective_precision*")
def logits_in_bfloat16(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(logits.astype(ml_dtypes.bfloat16).astype(logits.dtype), targets, **options)


@BED.fault(
    "forward", "executorch #20090: a float16 accumulator over a wide vocabulary", "unexplained", "separate_logsumexp"
)
def sum_in_float16(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        e = np.exp(d)
        total = e.astype(np.float16).sum(axis=-1, keepdims=True, dtype=np.float16).astype(x.dtype)
        return np.log(total) - d, e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "exp2 with a constant of three digits", "unexplained")
def short_constant(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        e = np.exp2(d * x.dtype.type(1.443))
        total = e.sum(axis=-1, keepdims=True)
        return np.log(total) - d, e / total

    return cross_entropy(logits, targets, **options, nats=nats)


@BED.fault("forward", "cross_entropy is given the output of a softmax", "unexplained", "missed_infinity", "lost")
def softmax_twice(logits: Array, targets: Array, **options: Any) -> Result:
    return cross_entropy(shifted(widened(logits))[1].astype(logits.dtype), targets, **options)


@BED.fault("forward", "the sign is forgotten: log p", "unexplained", "wrong_infinity")
def log_likelihood(logits: Array, targets: Array, **options: Any) -> Result:
    loss, gradient = cross_entropy(logits, targets, **options)
    return -loss, -gradient


@BED.fault("forward", "a partition function over the 64 largest logits only", "unexplained")
def largest_64_only(logits: Array, targets: Array, **options: Any) -> Result:
    def nats(x: Array) -> Result:
        d = x - x.max(axis=-1, keepdims=True)
        total = np.exp(np.sort(d, axis=-1)[..., -64:]).sum(axis=-1, keepdims=True)
        return np.log(total) - d, np.exp(d) / total

    return cross_entropy(logits, targets, **options, nats=nats)
