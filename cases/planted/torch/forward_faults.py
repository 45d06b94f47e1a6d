"""Planted in PyTorch: a wrong loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logitmus.cases.planted.cards import DENSE, LABELS, STRANGE, UNKNOWN, card, merged
from logitmus.cases.planted.torch.loss import at, checked_losses, classes_second, in_range, right
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.problem import TargetKind

if TYPE_CHECKING:
    from torch import Tensor

ZOO: Final = Zoo("torch")
_SOFT: Final = merged(DENSE, soft_target_gradient="scaled", target_gradient="yes")


@ZOO.fault(
    "forward",
    "a bfloat16 accumulator for the mean",
    "spurious_overflow",
    "effective_precision*",
    card=card(
        "inputs",
        without=("all_ignored_mean",),
        inconsistent=("wide_inputs",),
        mechanisms=("unexplained",),
        remark="no more finely than float16",
        mean_denominator="rows",
    ),
)
def mean_in_bfloat16(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    rows = right(logits, targets, reduction="none")
    if reduction == "none":
        return rows
    narrow = rows.bfloat16()
    return (narrow.sum() if reduction == "sum" else narrow.mean()).to(rows.dtype)


@ZOO.fault(
    "forward",
    "nll of a float16 softmax under autocast",
    "mechanism:log_of_softmax",
    "spurious*",
    "effective_precision*",
    card=card(
        "inputs", inconsistent=("wide_inputs",), mechanisms=("unexplained",), remark="no more finely than float16"
    ),
)
def autocast_softmax(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    from torch.nn import functional

    p = logits.softmax(-1).half().to(logits.dtype)
    return functional.nll_loss(classes_second(p.log()), targets, reduction=reduction)


@ZOO.fault(
    "forward",
    "onnx ReferenceEvaluator: the logarithm of a softmax",
    "mechanism:log_of_softmax",
    "spurious_overflow",
    card=card(
        "inputs",
        base=LABELS,
        inconsistent=("wide_inputs",),
        mechanisms=("mechanism:log_of_softmax", "spurious_overflow", "lost"),
    ),
)
def log_of_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    return -at(logits.softmax(-1), in_range(labels, logits.shape[-1])).log()


@ZOO.fault(
    "forward",
    "exp of a large logit overflows",
    "mechanism:no_max_shift",
    "spurious_overflow",
    card=card(
        "inputs",
        base=merged(LABELS, infinite_logits="nan_where_met"),
        inconsistent=("overflowing_shift", "wide_inputs", "infinite_logits"),
        mechanisms=("mechanism:no_max_shift", "spurious_overflow", "lost"),
    ),
)
def no_max_shift(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.exp().sum(-1).log() - at(logits, in_range(labels, logits.shape[-1]))


@ZOO.fault(
    "forward",
    "optax #1792: logsumexp minus logit, at a common offset",
    "separate_logsumexp",
    card=card(
        "inputs",
        base=merged(LABELS, overflowing_shift="exact", infinite_logits="nan_where_met"),
        mechanisms=("separate_logsumexp",),
    ),
)
def logsumexp_minus_logit(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.logsumexp(-1) - at(logits, in_range(labels, logits.shape[-1]))


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
def softmax_twice(logits: Tensor, labels: Tensor) -> Tensor:
    return checked_losses(logits.softmax(-1), labels)


@ZOO.fault(
    "forward",
    "kl_div subtracts the entropy of the targets",
    "computes:term=target_entropy",
    targets=TargetKind.PROBABILITIES,
    card=card(
        base=_SOFT,  # for one-hot targets the two are the same
        inconsistent=tuple(_SOFT),
        mechanisms=("unexplained", "lost", "spurious_overflow"),
        remark="convention explains",
    ),
)
def divergence(logits: Tensor, q: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.kl_div(logits.log_softmax(-1), q, reduction="none").sum(-1)
