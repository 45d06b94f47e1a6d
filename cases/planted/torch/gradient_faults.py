"""Planted in PyTorch: gradients that autograd and fused kernels make wrong, beside a right loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from logitmus.cases.planted.cards import DENSE, LABELS, card, merged
from logitmus.cases.planted.torch.loss import IGNORED, at, beside, fused, in_range, reduced, right
from logitmus.cases.planted.zoo import Zoo
from logitmus.core.problem import TargetKind

if TYPE_CHECKING:
    from torch import Tensor

ZOO: Final = Zoo("torch")
_SOFT: Final = merged(DENSE, soft_target_gradient="scaled", target_gradient="yes")


@ZOO.fault(
    "gradient", "Liger #272: computed in forward, the upstream gradient is never read", "gradient:upstream_ignored"
)
def upstream_ignored(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    return fused(logits, targets, ignore_index, reduction, lambda gradient, _: gradient)


@ZOO.fault("gradient", "Liger #678: one element of the upstream gradient for all rows", "gradient:upstream_first")
def first_of_upstream(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Tensor:
    return fused(logits, targets, ignore_index, reduction, lambda gradient, up: gradient * up.reshape(-1)[0])


@ZOO.fault("gradient", "TransformerEngine #2139: the mean of the upstream gradient", "gradient:upstream_mean")
def mean_of_upstream(
    logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "none"
) -> Tensor:
    return fused(logits, targets, ignore_index, reduction, lambda gradient, up: gradient * up.mean())


@ZOO.fault("gradient", "loss.detach(): no graph", "no_gradient", "gradient:zero", "raised:*")
def detached(logits: Tensor, targets: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean") -> Tensor:
    return right(logits, targets, None, ignore_index, 0.0, reduction).detach()


@ZOO.fault(
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


@ZOO.fault(
    "gradient",
    "torch.where keeps the loss, and 0 * inf spoils the gradient",
    "lost",
    card=card(
        "inputs", without=("all_ignored_mean",), mechanisms=("lost",), mean_denominator="rows", ignored_row="nan_leaks"
    ),
)
def nan_gradient_at_masked_classes(logits: Tensor, targets: Tensor, *, reduction: str = "none") -> Tensor:
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    safe = (p * log_p).where(~log_p.isinf(), 0)
    rows = right(logits, targets, reduction="none") + 0 * safe.sum(-1)
    return reduced(rows, reduction)


@ZOO.fault(
    "gradient",
    "straight-through of a rounding: loss and gradient of different logits",
    card=card("inputs", mechanisms=("unexplained",)),
)
def gradient_of_other_logits(logits: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    shown = right(logits, targets, reduction=reduction)
    taught = right(logits * 0.5, targets, reduction=reduction)
    return taught + (shown - taught).detach()


@ZOO.fault(
    "gradient",
    "a fused kernel with the gradient that TensorFlow documents, softmax - q, and none by the targets",
    "convention:soft_target_gradient=plain",
    "gradient_of:soft_target_gradient=plain",
    targets=TargetKind.PROBABILITIES,
    card=card(base=merged(_SOFT, target_gradient="none"), soft_target_gradient="plain"),
)
def softmax_minus_q(logits: Tensor, q: Tensor) -> Tensor:
    import torch

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: Tensor, q: Tensor) -> Tensor:
            ctx.save_for_backward(logits.softmax(-1) - q)
            return -(q * logits.log_softmax(-1)).sum(-1)

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
            return upstream.unsqueeze(-1) * ctx.saved_tensors[0], None

    loss: Tensor = Fused.apply(logits, q)  # type: ignore[no-untyped-call]
    return loss


@ZOO.fault(
    "gradient",
    "optax #1762: a forward-mode derivative with 0 * -inf at masked classes, beside a right gradient",
    "changes:forward_mode",
    card=card(base=LABELS),
)
def forward_mode_gives_nan_at_masked_classes(logits: Tensor, labels: Tensor) -> Tensor:
    import torch

    class LogSoftmax(torch.autograd.Function):
        @staticmethod
        def forward(logits: Tensor) -> Tensor:
            return logits.log_softmax(-1)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
            ctx.save_for_backward(output)
            ctx.save_for_forward(output)

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> Tensor:
            return upstream - ctx.saved_tensors[0].exp() * upstream.sum(-1, keepdim=True)

        @staticmethod
        def jvp(ctx: Any, tangent: Tensor) -> Tensor:
            log_p = ctx.saved_tensors[0]
            return tangent - (log_p.exp() * tangent + 0 * log_p).sum(-1, keepdim=True)

    log_p: Tensor = LogSoftmax.apply(logits)  # type: ignore[no-untyped-call]
    return -at(log_p, in_range(labels, logits.shape[-1]))
