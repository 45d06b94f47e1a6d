"""Planted faults in PyTorch: what autograd, fused kernels and layouts make possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logitmus.cases.planted import Bed
from logitmus.cases.planted.torch.loss import IGNORED, beside, classes_second, fused, reduced, right

if TYPE_CHECKING:
    from torch import Tensor

BED: Final = Bed("torch")


# --- gradients of fused kernels ---------------------------------------------------------------------------------


@BED.fault(
    "gradient", "Liger #272: computed in forward, the upstream gradient is never read", "gradient:upstream_ignored"
)
def upstream_ignored(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    return fused(logits, targets, ignore_index, reduction, lambda gradient, _: gradient)


@BED.fault("gradient", "Liger #678: one element of the upstream gradient for all rows", "gradient:upstream_first")
def first_of_upstream(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Tensor:
    return fused(logits, targets, ignore_index, reduction, lambda gradient, up: gradient * up.reshape(-1)[0])


@BED.fault("gradient", "TransformerEngine #2139: the mean of the upstream gradient", "gradient:upstream_mean")
def mean_of_upstream(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Tensor:
    return fused(logits, targets, ignore_index, reduction, lambda gradient, up: gradient * up.mean())


@BED.fault(
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


@BED.fault("integrity", "Liger stores the gradient in its input", "wrote_into:logits")
def gradient_stored_in_the_logits(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    def scaled(gradient: Tensor, up: Tensor) -> Tensor:
        return gradient * beside(up, gradient)

    return fused(logits, targets, ignore_index, reduction, scaled, stored_in_the_logits=True)


@BED.fault("gradient", "loss.detach(): no graph", "no_gradient", "gradient:zero", "raised:*")
def detached(logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean") -> Tensor:
    return right(logits, targets, None, ignore_index, 0.0, reduction).detach()


@BED.fault(
    "gradient",
    "Liger and other fused kernels: computed in forward and saved, so that its own derivative is silently 0",
    "second_derivative:zero",
)
def gradient_saved_in_forward(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    def scaled(gradient: Tensor, up: Tensor) -> Tensor:
        return gradient * beside(up, gradient)

    return fused(logits, targets, ignore_index, reduction, scaled, silent=True)


@BED.fault(
    "gradient", "torch.where keeps the loss, and 0 * inf spoils the gradient", "lost", "convention:*", "unexplained"
)
def nan_gradient_at_masked_classes(logits: Tensor, targets: Tensor, *, reduction: str = "none") -> Tensor:
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    safe = (p * log_p).where(~log_p.isinf(), 0)
    rows = right(logits, targets, reduction="none") + 0 * safe.sum(-1)
    return reduced(rows, reduction)


@BED.fault(
    "gradient",
    "straight-through of a rounding: loss and gradient of different logits",
    "unexplained",
    "effective_precision*",
    "mechanism*",
)
def gradient_of_other_logits(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    shown = right(logits, targets, reduction=reduction)
    taught = right(logits * 0.5, targets, reduction=reduction)
    return taught + (shown - taught).detach()


# --- forward ----------------------------------------------------------------------------------------------------


@BED.fault("forward", "a bfloat16 accumulator for the mean", "unexplained", "spurious_overflow", "effective_precision*")
def mean_in_bfloat16(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    rows = right(logits, targets, reduction="none")
    if reduction == "none":
        return rows
    narrow = rows.bfloat16()
    return (narrow.sum() if reduction == "sum" else narrow.mean()).to(rows.dtype)


@BED.fault(
    "forward",
    "nll of a float16 softmax under autocast",
    "mechanism*",
    "unexplained",
    "effective_precision*",
    "spurious*",
)
def autocast_softmax(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    from torch.nn import functional

    p = logits.softmax(-1).half().to(logits.dtype)
    return functional.nll_loss(classes_second(p.log()), targets, reduction=reduction)


@BED.fault(
    "convention", "flash-attention bedf8774: labels of 16 bits", "accepted:*", "unexplained", "relation:*", "raised:*"
)
def labels_of_16_bits(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    return right(logits, targets.short().long(), None, IGNORED, 0.0, reduction)


@BED.fault(
    "integrity",
    "flash-attention c79de85f: strides are not looked at",
    "depends_on:memory_layout",
    "unexplained",
    "lost",
    "invented",
)
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


@BED.fault("integrity", "a logsumexp cached by shape", "changes:*", "depends_on:*")
def cached_by_shape(logits: Tensor, targets: Tensor, *, reduction: str = "none") -> Tensor:
    lse = logits.logsumexp(-1)
    kept = _CACHE.setdefault(tuple(logits.shape), lse.detach().clone())
    same = kept.to(lse.dtype) if kept.isfinite().all() else lse
    rows = right(logits, targets, reduction="none") + 0.01 * (same - lse.detach()).nan_to_num(0.0, 0.0, 0.0)
    return reduced(rows, reduction)


@BED.fault("contract", "a Python float", "no_gradient", "shape:loss", "raised:*", "garbled", "contract*")
def returns_a_float(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor | float:
    loss = right(logits, targets, reduction=reduction)
    return loss.item() if loss.ndim == 0 else loss


@BED.fault("contract", "NotImplementedError for float64", "raised:NotImplementedError")
def refuses_float64_or_half(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    import torch

    if logits.dtype != torch.float32:
        raise NotImplementedError(f"not implemented for {logits.dtype}")
    return right(logits, targets, reduction=reduction)
