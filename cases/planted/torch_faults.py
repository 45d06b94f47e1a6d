"""Planted faults in PyTorch: what autograd, fused kernels and layouts make possible."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from logitmus.cases.planted import Bed

BED: Final = Bed("torch")
IGNORED: Final = -100


def classes_second(logits: Tensor) -> Tensor:
    """As `functional.cross_entropy` wants them."""
    return logits.movedim(-1, 1) if logits.ndim > 2 else logits


def right(logits: Tensor, targets: Tensor, weight=None, ignore_index=IGNORED, label_smoothing=0.0, reduction="mean"):
    """PyTorch's own."""
    return functional.cross_entropy(
        classes_second(logits),
        targets,
        weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def loss_and_gradient(logits, targets, ignore_index, reduction) -> tuple[Tensor, Tensor]:
    """Of PyTorch's own; the gradient is that of the sum of the loss."""
    with torch.enable_grad():
        x = logits.detach().clone().requires_grad_()
        loss = right(x, targets, None, ignore_index, 0.0, reduction)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
    return loss.detach(), gradient


def beside(upstream: Tensor, gradient: Tensor) -> Tensor:
    return upstream.unsqueeze(-1) if upstream.ndim else upstream.expand(gradient.shape)


# --- gradients of fused kernels ---------------------------------------------------------------------------------


class _UpstreamIgnored(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits, targets, ignore_index, reduction):
        loss, gradient = loss_and_gradient(logits, targets, ignore_index, reduction)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream):
        return ctx.saved_tensors[0], None, None, None


@BED.fault(
    "gradient", "Liger #272: computed in forward, the upstream gradient is never read", "gradient:upstream_ignored"
)
def upstream_ignored(logits, targets, *, ignore_index=IGNORED, reduction="mean"):
    return _UpstreamIgnored.apply(logits, targets, ignore_index, reduction)


class _FirstOfUpstream(_UpstreamIgnored):
    @staticmethod
    def backward(ctx: Any, upstream):
        return ctx.saved_tensors[0] * upstream.reshape(-1)[0], None, None, None


@BED.fault("gradient", "Liger #678: one element of the upstream gradient for all rows", "gradient:upstream_first")
def first_of_upstream(logits, targets, *, ignore_index=IGNORED, reduction="none"):
    return _FirstOfUpstream.apply(logits, targets, ignore_index, reduction)


class _MeanOfUpstream(_UpstreamIgnored):
    @staticmethod
    def backward(ctx: Any, upstream):
        return ctx.saved_tensors[0] * upstream.mean(), None, None, None


@BED.fault("gradient", "TransformerEngine #2139: the mean of the upstream gradient", "gradient:upstream_mean")
def mean_of_upstream(logits, targets, *, ignore_index=IGNORED, reduction="none"):
    return _MeanOfUpstream.apply(logits, targets, ignore_index, reduction)


class _BackwardInPlace(_UpstreamIgnored):
    @staticmethod
    def backward(ctx: Any, upstream):
        (gradient,) = ctx.saved_tensors
        return gradient.data.mul_(beside(upstream, gradient)).clone(), None, None, None


@BED.fault(
    "integrity",
    "ms-swift #10129: backward scales what it saved, so that a second backward scales again",
    "*backward_twice*",
)
def backward_in_place(logits, targets, *, ignore_index=IGNORED, reduction="none"):
    return _BackwardInPlace.apply(logits, targets, ignore_index, reduction)


class _GradientInLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits, targets, ignore_index, reduction):
        loss, gradient = loss_and_gradient(logits, targets, ignore_index, reduction)
        logits.data.copy_(gradient)
        ctx.save_for_backward(logits)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream):
        (gradient,) = ctx.saved_tensors
        return gradient * beside(upstream, gradient), None, None, None


@BED.fault("integrity", "Liger stores the gradient in its input", "wrote_into:logits")
def gradient_stored_in_the_logits(logits, targets, *, ignore_index=IGNORED, reduction="mean"):
    return _GradientInLogits.apply(logits, targets, ignore_index, reduction)


@BED.fault("gradient", "loss.detach(): no graph", "no_gradient", "gradient:zero", "raised:*")
def detached(logits, targets, *, ignore_index=IGNORED, reduction="mean"):
    return right(logits, targets, None, ignore_index, 0.0, reduction).detach()


@BED.fault(
    "gradient", "torch.where keeps the loss, and 0 * inf spoils the gradient", "lost", "convention:*", "unexplained"
)
def nan_gradient_at_masked_classes(logits, targets, *, reduction="none"):
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    safe = torch.where(torch.isinf(log_p), torch.zeros_like(log_p), p * log_p)
    rows = right(logits, targets, reduction="none") + 0 * safe.sum(-1)
    return {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()


@BED.fault(
    "gradient",
    "straight-through of a rounding: loss and gradient of different logits",
    "unexplained",
    "effective_precision*",
    "mechanism*",
)
def gradient_of_other_logits(logits, targets, *, reduction="mean"):
    shown = right(logits, targets, reduction=reduction)
    taught = right(logits * 0.5, targets, reduction=reduction)
    return taught + (shown - taught).detach()


# --- forward ----------------------------------------------------------------------------------------------------


@BED.fault("forward", "a bfloat16 accumulator for the mean", "unexplained", "spurious_overflow", "effective_precision*")
def mean_in_bfloat16(logits, targets, *, reduction="mean"):
    rows = right(logits, targets, reduction="none")
    if reduction == "none":
        return rows
    narrow = rows.to(torch.bfloat16)
    return (narrow.sum() if reduction == "sum" else narrow.mean()).to(rows.dtype)


@BED.fault(
    "forward",
    "nll of a float16 softmax under autocast",
    "mechanism*",
    "unexplained",
    "effective_precision*",
    "spurious*",
)
def autocast_softmax(logits, targets, *, reduction="mean"):
    p = logits.softmax(-1).half().to(logits.dtype)
    return functional.nll_loss(classes_second(p.log()), targets, reduction=reduction)


@BED.fault(
    "convention", "flash-attention bedf8774: labels of 16 bits", "accepted:*", "unexplained", "relation:*", "raised:*"
)
def labels_of_16_bits(logits, targets, *, reduction="mean"):
    return right(logits, targets.to(torch.int16).long(), None, IGNORED, 0.0, reduction)


@BED.fault(
    "integrity",
    "flash-attention c79de85f: strides are not looked at",
    "depends_on:memory_layout",
    "unexplained",
    "lost",
    "invented",
)
def strides_not_looked_at(logits, targets, *, reduction="mean"):
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
def cached_by_shape(logits, targets, *, reduction="none"):
    lse = logits.logsumexp(-1)
    kept = _CACHE.setdefault(tuple(logits.shape), lse.detach().clone())
    same = kept.to(lse.dtype) if kept.isfinite().all() else lse
    rows = right(logits, targets, reduction="none") + 0.01 * (same - lse.detach()).nan_to_num(0.0, 0.0, 0.0)
    return {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}[reduction]()


@BED.fault("contract", "a Python float", "no_gradient", "shape:loss", "raised:*", "garbled", "contract*")
def returns_a_float(logits, targets, *, reduction="mean"):
    loss = right(logits, targets, reduction=reduction)
    return loss.item() if loss.ndim == 0 else loss


@BED.fault("contract", "NotImplementedError for float64", "raised:NotImplementedError")
def refuses_float64_or_half(logits, targets, *, reduction="mean"):
    if logits.dtype != torch.float32:
        raise NotImplementedError(f"not implemented for {logits.dtype}")
    return right(logits, targets, reduction=reduction)
