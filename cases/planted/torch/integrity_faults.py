"""Planted in PyTorch: results that depend on what they must not, and inputs that are overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logitmus.cases.planted.cards import card
from logitmus.cases.planted.torch.loss import IGNORED, beside, fused, reduced, right
from logitmus.cases.planted.zoo import Zoo

if TYPE_CHECKING:
    from torch import Tensor

ZOO: Final = Zoo("torch")


@ZOO.fault(
    "integrity",
    "ms-swift #10129: backward scales what it saved, so that a second backward scales again",
    "*backward_twice*",
)
def backward_in_place(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Tensor:
    def scale(gradient: Tensor, up: Tensor) -> Tensor:
        return gradient.data.mul_(beside(up, gradient)).clone()

    return fused(logits, targets, ignore_index, reduction, scale)


@ZOO.fault(
    "integrity",
    "Liger stores the gradient in its input",
    "wrote_into:logits",
    card=card("inputs", mechanisms=("wrote_into:logits",)),
)
def gradient_stored_in_the_logits(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    def scaled(gradient: Tensor, up: Tensor) -> Tensor:
        return gradient * beside(up, gradient)

    return fused(logits, targets, ignore_index, reduction, scaled, stored_in_the_logits=True)


@ZOO.fault("integrity", "pytorch #67167: strides are not looked at", "depends_on:memory_layout")
def strides_not_looked_at(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    import torch

    dense = (
        logits
        if logits.untyped_storage().nbytes() < logits.numel() * logits.element_size()
        else logits.as_strided(
            logits.shape, torch.empty(logits.shape).stride(), logits.storage_offset() if logits.is_contiguous() else 0
        )
    )
    return right(dense, targets, None, IGNORED, 0.0, reduction)


_CACHE: dict[tuple[int, ...], Tensor] = {}


@ZOO.fault(
    "integrity", "a logsumexp cached by shape", "changes:*", "depends_on:chance", "depends_on:earlier_calls", card=None
)
def cached_by_shape(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    lse = logits.logsumexp(-1)
    kept = _CACHE.setdefault(tuple(logits.shape), lse.detach().clone())
    same = kept.to(lse.dtype) if kept.isfinite().all() else lse
    rows = right(logits, targets, reduction="none") + 0.01 * (same - lse.detach()).nan_to_num(0.0, 0.0, 0.0)
    return reduced(rows, reduction)
