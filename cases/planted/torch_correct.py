"""Correct cross-entropies in PyTorch, of different make: whatever is said against one of them is a false alarm."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from logitmus.cases.planted import Bed
from logitmus.cases.planted.torch_faults import IGNORED, beside, classes_second, right

BED: Final = Bed("torch")


def joined(rows: Tensor, kept: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return rows
    return rows.sum() if reduction == "sum" else rows.sum() / kept.sum()


def kept_labels(targets: Tensor, ignore_index: int, classes: int) -> tuple[Tensor, Tensor]:
    kept = targets != ignore_index
    labels = targets.where(kept, 0).long()
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise IndexError("a label out of range")
    return kept, labels


@BED.correct()
def functional_cross_entropy(
    logits, targets, *, weight=None, ignore_index=IGNORED, label_smoothing=0.0, reduction="mean"
):
    """PyTorch's own."""
    return right(logits, targets, weight, ignore_index, label_smoothing, reduction)


@BED.correct()
def log_softmax_then_nll(logits, targets, *, weight=None, ignore_index=IGNORED, reduction="mean"):
    """In two steps."""
    log_p = classes_second(logits.log_softmax(-1))
    return functional.nll_loss(log_p, targets, weight, ignore_index=ignore_index, reduction=reduction)


@BED.correct()
def log_softmax_gathered(logits, targets, *, ignore_index=IGNORED, reduction="mean"):
    """In the arithmetic of float32 where the logits are halves."""
    kept, labels = kept_labels(targets, ignore_index, logits.shape[-1])
    x = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
    rows = -x.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return joined(rows.where(kept, 0), kept, reduction).to(logits.dtype)


class _Fused(torch.autograd.Function):
    """The gradient is computed in forward, and scaled by the upstream one in backward."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, kept: Tensor) -> Tensor:
        x = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
        log_p = x.log_softmax(-1)
        gradient = log_p.exp().scatter_add(-1, labels.unsqueeze(-1), -torch.ones_like(log_p[..., :1]))
        ctx.save_for_backward(gradient.where(kept.unsqueeze(-1), 0))
        return -log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1).where(kept, 0)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * beside(upstream, gradient), None, None


@BED.correct()
def fused(logits, targets, *, ignore_index=IGNORED, reduction="mean"):
    """As fused kernels do it: rows and their gradient in one go, in float32."""
    kept, labels = kept_labels(targets, ignore_index, logits.shape[-1])
    return joined(_Fused.apply(logits, labels, kept), kept, reduction).to(logits.dtype)


@BED.correct()
def recomputed_in_backward(logits, targets, *, weight=None, ignore_index=IGNORED, reduction="mean"):
    """Nothing is kept between forward and backward."""
    if not logits.requires_grad:
        return right(logits, targets, weight, ignore_index, 0.0, reduction)
    return torch.utils.checkpoint.checkpoint(
        lambda x: right(x, targets, weight, ignore_index, 0.0, reduction), logits, use_reentrant=False
    )


@BED.correct()
def row_by_row(logits, targets, *, ignore_index=IGNORED, reduction="mean"):
    """A loop over the batch, as memory-saving losses have it."""
    kept, labels = kept_labels(targets, ignore_index, logits.shape[-1])
    flat = logits.reshape(-1, logits.shape[-1])
    x = flat if logits.dtype in (torch.float32, torch.float64) else flat.float()
    rows = [-x[n].log_softmax(-1)[t] for n, t in enumerate(labels.reshape(-1).tolist())]
    losses = (torch.stack(rows) if rows else x.sum(-1)).reshape(targets.shape)
    return joined(losses.where(kept, 0), kept, reduction).to(logits.dtype)
