"""Correct cross-entropies in PyTorch, written in different ways: any finding about them is a false alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from logitmus.cases.planted.cards import AS_PYTORCH, DENSE, IGNORES, LABELS, MEAN, card, merged
from logitmus.cases.planted.torch.loss import (
    IGNORED,
    beside,
    checked_losses,
    classes_second,
    kept_labels,
    right,
    widened,
)
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.problem import TargetKind

if TYPE_CHECKING:
    from torch import Tensor

ZOO: Final = Zoo("torch")
_SOFT: Final = merged(DENSE, soft_target_gradient="scaled", target_gradient="yes")
_FLOAT32_INSIDE: Final = card(*AS_PYTORCH.measured, overflowing_shift="infinite_float32")


def joined(rows: Tensor, kept: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return rows
    return rows.sum() if reduction == "sum" else rows.sum() / kept.sum()


@ZOO.correct(card=card(*AS_PYTORCH.measured, "overflowing_shift"))
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


@ZOO.correct()
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


@ZOO.correct(card=_FLOAT32_INSIDE)
def log_softmax_gathered(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    """In the arithmetic of float32 where the logits are halves."""
    kept, labels = kept_labels(targets, ignore_index, logits.shape[-1])
    rows = -widened(logits).log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return joined(rows.where(kept, 0), kept, reduction).to(logits.dtype)


@ZOO.correct(card=_FLOAT32_INSIDE)
def fused_in_float32(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    """As fused kernels do it: rows and their gradient in a single pass, which backward scales and declares constant."""
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


@ZOO.correct()
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


@ZOO.correct(card=_FLOAT32_INSIDE)
def row_by_row(logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean") -> Tensor:
    """A loop over the batch, as memory-saving losses have it."""
    import torch

    kept, labels = kept_labels(targets, ignore_index, logits.shape[-1])
    x = widened(logits.reshape(-1, logits.shape[-1]))
    rows = [-x[n].log_softmax(-1)[t] for n, t in enumerate(labels.reshape(-1).tolist())]
    losses = (torch.stack(rows) if rows else x.sum(-1)).reshape(targets.shape)
    return joined(losses.where(kept, 0), kept, reduction).to(logits.dtype)


@ZOO.correct(
    card=card(
        "inputs",
        base=merged(LABELS, IGNORES, class_axis="1"),
        inconsistent=("ignored_row",),  # the loss is 0, and its gradient NaN
        mean_denominator="weights",
        default_reduction="mean",
        ignore_default="-100",
        all_ignored_mean="nan",
        empty_batch_mean="nan",
        smoothing="uniform",
        smoothing_weights="per_class",
        zero_times_infinity="nan",
    )
)
def classes_on_axis_1(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """PyTorch's own, with the classes where PyTorch has them."""
    from torch.nn import functional

    return functional.cross_entropy(
        logits, target, weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


@ZOO.correct(
    card=card(base=merged(LABELS, IGNORES, class_axis="1"), inconsistent=("ignored_row",), default_reduction="mean")
)
def mean_on_axis_1(logits: Tensor, labels: Tensor) -> Tensor:
    """PyTorch's own, by its defaults."""
    from torch.nn import functional

    return functional.cross_entropy(logits, labels)


@ZOO.correct(
    targets=TargetKind.PROBABILITIES,
    card=card(
        "soft_target_gradient",
        "target_gradient",
        base=merged(_SOFT, MEAN, class_axis="1", smoothing_weights=("per_class", "target")),
        ignore_with_probabilities="error",
        default_reduction="mean",
        zero_times_infinity="nan",
        smoothing="uniform",
    ),
)
def of_target_probabilities(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """PyTorch's own, for probabilities."""
    from torch.nn import functional

    return functional.cross_entropy(
        logits, target, weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


@ZOO.correct(card=card("inputs", "default_reduction", "label_negative", "infinite_logits", base=LABELS))
def rows_gathered(logits: Tensor, labels: Tensor) -> Tensor:
    """Losses of rows, without any option."""
    return checked_losses(logits, labels)


@ZOO.correct(
    targets=TargetKind.PROBABILITIES, card=card("inputs", "soft_target_gradient", "zero_times_infinity", base=_SOFT)
)
def products_summed(logits: Tensor, q: Tensor) -> Tensor:
    """Of target probabilities, without any option."""
    return -(q * logits.log_softmax(-1)).sum(-1)


@ZOO.correct(card=card("inputs", base=merged(LABELS, overflowing_shift="exact")))
def float64_inside(logits: Tensor, labels: Tensor) -> Tensor:
    """Everything in float64; rounded once at the end."""
    return checked_losses(logits.double(), labels).to(logits.dtype)


@ZOO.correct(targets=TargetKind.PROBABILITIES, card=card(base=_SOFT, target_gradient="none"))
def constant_targets(logits: Tensor, q: Tensor) -> Tensor:
    """Nothing flows to the targets, which a check only notes."""
    return -(q.detach() * logits.log_softmax(-1)).sum(-1)
