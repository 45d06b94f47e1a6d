"""Correct cross-entropies in PyTorch, of different make: whatever is said against one of them is a false alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from logitmus.cases.planted import Bed
from logitmus.cases.planted.torch.loss import IGNORED, beside, classes_second, right

if TYPE_CHECKING:
    from torch import Tensor

BED: Final = Bed("torch")


def joined(rows: Tensor, kept: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return rows
    return rows.sum() if reduction == "sum" else rows.sum() / kept.sum()


def widened(logits: Tensor) -> Tensor:
    """Halves are computed in float32."""
    return logits if logits.element_size() >= 4 else logits.float()


def kept_labels(targets: Tensor, ignore_index: int, classes: int) -> tuple[Tensor, Tensor]:
    kept = targets != ignore_index
    labels = targets.where(kept, 0).long()
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise IndexError("a label out of range")
    return kept, labels


@BED.correct()
def functional_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """PyTorch's own."""
    return right(logits, targets, weight, ignore_index, label_smoothing, reduction)


@BED.correct()
def log_softmax_then_nll(
    logits: Tensor,
    targets: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """In two steps."""
    from torch.nn import functional

    x = classes_second(logits)
    log_p = x.log_softmax(min(1, x.ndim - 1))
    return functional.nll_loss(log_p, targets, weight, ignore_index=ignore_index, reduction=reduction)


@BED.correct()
def log_softmax_gathered(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    """In the arithmetic of float32 where the logits are halves."""
    kept, labels = kept_labels(targets, ignore_index, logits.shape[-1])
    rows = -widened(logits).log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return joined(rows.where(kept, 0), kept, reduction).to(logits.dtype)


@BED.correct()
def fused_in_float32(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    """As fused kernels do it: rows and their gradient in one go, which backward scales and declares constant."""
    import torch
    from torch.autograd.function import once_differentiable

    kept, labels = kept_labels(targets, ignore_index, logits.shape[-1])

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: Tensor) -> Tensor:
            log_p = widened(logits).log_softmax(-1)
            gradient = log_p.exp().scatter_add(-1, labels.unsqueeze(-1), -torch.ones_like(log_p[..., :1]))
            ctx.save_for_backward(gradient.where(kept.unsqueeze(-1), 0))
            return -log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1).where(kept, 0)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, upstream: Tensor) -> Tensor:
            (gradient,) = ctx.saved_tensors
            return gradient * beside(upstream, gradient)

    rows: Tensor = Fused.apply(logits)  # type: ignore[no-untyped-call]
    return joined(rows, kept, reduction).to(logits.dtype)


@BED.correct()
def recomputed_in_backward(
    logits: Tensor,
    targets: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """Nothing is kept between forward and backward."""
    from torch.utils.checkpoint import checkpoint

    if not logits.requires_grad:
        return right(logits, targets, weight, ignore_index, 0.0, reduction)
    return checkpoint(lambda x: right(x, targets, weight, ignore_index, 0.0, reduction), logits, use_reentrant=False)


@BED.correct()
def row_by_row(logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean") -> Tensor:
    """A loop over the batch, as memory-saving losses have it."""
    import torch

    kept, labels = kept_labels(targets, ignore_index, logits.shape[-1])
    x = widened(logits.reshape(-1, logits.shape[-1]))
    rows = [-x[n].log_softmax(-1)[t] for n, t in enumerate(labels.reshape(-1).tolist())]
    losses = (torch.stack(rows) if rows else x.sum(-1)).reshape(targets.shape)
    return joined(losses.where(kept, 0), kept, reduction).to(logits.dtype)
