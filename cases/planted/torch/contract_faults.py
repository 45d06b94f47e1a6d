"""Planted in PyTorch: shapes, dtypes, exceptions, and infinities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logitmus.cases.planted.cards import DENSE, LABELS, NOTHING, card, merged
from logitmus.cases.planted.torch.loss import checked_losses, in_range, right, widened
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.problem import TargetKind

if TYPE_CHECKING:
    from torch import Tensor

ZOO: Final = Zoo("torch")
_SOFT: Final = merged(DENSE, soft_target_gradient="scaled", target_gradient="yes")


@ZOO.fault(
    "contract",
    "a Python float",
    "no_gradient",
    "shape:loss",
    "raised:*",
    "garbled",
    card=card("inputs", "log_base", remark="Garbled"),
)
def returns_a_float(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor | float:
    loss = right(logits, targets, reduction=reduction)
    return loss.item() if loss.ndim == 0 else loss


@ZOO.fault(
    "contract",
    "NotImplementedError for float64",
    "raised:NotImplementedError",
    card=card("inputs", remark="raises with batches, bfloat16"),
)
def refuses_float64_or_half(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    import torch

    if logits.dtype != torch.float32:
        raise NotImplementedError(f"not implemented for {logits.dtype}")
    return right(logits, targets, reduction=reduction)


@ZOO.fault(
    "special",
    "a target of 0 costs nothing, even beside an infinite loss; nor has it a gradient of its own",
    "convention:zero_times_infinity=zero",
    targets=TargetKind.PROBABILITIES,
    card=card(
        base=_SOFT,
        inconsistent=("target_gradient",),
        mechanisms=("unexplained", "missed_infinity", "invented"),
        zero_times_infinity="zero",
    ),
)
def zero_targets_are_skipped(logits: Tensor, q: Tensor) -> Tensor:
    return -(q * logits.log_softmax(-1).masked_fill(q == 0, 0)).sum(-1)


@ZOO.fault(
    "contract",
    "float32, whatever the dtype of the logits",
    "dtype:loss=float32",
    card=card(
        base=merged(LABELS, overflowing_shift="infinite_float32"),
        result_dtype="always_float32",
        wide_inputs="narrowed",
    ),
)
def always_float32(logits: Tensor, labels: Tensor) -> Tensor:
    return checked_losses(logits.float(), labels)


@ZOO.fault(
    "contract",
    "halves are computed and returned in float32",
    "dtype:loss=float32",
    card=card(base=merged(LABELS, overflowing_shift="infinite_float32"), result_dtype="float32"),
)
def returns_halves_in_float32(logits: Tensor, labels: Tensor) -> Tensor:
    return checked_losses(widened(logits), labels)


@ZOO.fault("contract", "a stub", "raised:RuntimeError", card=card(base=NOTHING, remark="raises on every call"))
def raises_always(logits: Tensor, labels: Tensor) -> Tensor:
    raise RuntimeError("not implemented")


@ZOO.fault("contract", "keepdims", "shape:loss", card=card("inputs", "log_base", base=LABELS, remark="shape (4, 1)"))
def keeps_the_axis(logits: Tensor, labels: Tensor) -> Tensor:
    return checked_losses(logits, labels).unsqueeze(-1)


@ZOO.fault(
    "contract",
    "a single row only: a number for a list of logits",
    "raised:ValueError",
    card=card(
        "inputs",
        base=merged(LABELS, overflowing_shift="exact", infinite_logits="nan_where_met"),
        mechanisms=("separate_logsumexp",),
        remark="single row",
    ),
)
def one_row(x: Tensor, t: Tensor) -> Tensor:
    (_,) = x.shape
    return x.logsumexp(0) - x[int(in_range(t, len(x)))]
