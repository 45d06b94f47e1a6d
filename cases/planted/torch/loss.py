"""PyTorch's own cross-entropy, classes on the last axis, and the parts that most planted functions are made of.

PyTorch is imported where a function is called, as everywhere in this package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor

IGNORED: Final = -100
# (saved gradient, upstream gradient) -> the gradient that backward gives
Backward = Callable[["Tensor", "Tensor"], "Tensor"]


def classes_second(logits: Tensor) -> Tensor:
    """The layout that `functional.cross_entropy` wants."""
    return logits.movedim(-1, 1) if logits.ndim > 2 else logits


def right(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """PyTorch's own."""
    from torch.nn import functional

    return functional.cross_entropy(
        classes_second(logits),
        targets,
        weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def widened(logits: Tensor) -> Tensor:
    """Halves are computed in float32."""
    return logits if logits.element_size() >= 4 else logits.float()


def in_range(labels: Tensor, classes: int) -> Tensor:
    """The labels, as 64-bit integers.

    Raises:
        IndexError: if a label is not a class.
    """
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise IndexError(f"labels from {int(labels.min())} to {int(labels.max())}; there are {classes} classes")
    return labels.long()


def kept_labels(targets: Tensor, ignore_index: int, classes: int) -> tuple[Tensor, Tensor]:
    """Which rows are kept, and labels that are classes."""
    kept = targets != ignore_index
    return kept, in_range(targets.where(kept, 0), classes)


def at(values: Tensor, labels: Tensor) -> Tensor:
    """The value of each row at its label."""
    return values.gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)


def losses(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each row, for labels that are classes."""
    return -at(logits.log_softmax(-1), labels)


def checked_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each row.

    Raises:
        IndexError: if a label is not a class.
    """
    return losses(logits, in_range(labels, logits.shape[-1]))


def reduced(rows: Tensor, reduction: str) -> Tensor:
    """Rows as they are, their sum, or the mean of all of them."""
    ways: dict[str, Callable[[], Tensor]] = {"none": lambda: rows, "sum": rows.sum, "mean": rows.mean}
    return ways[reduction]()


def beside(upstream: Tensor, gradient: Tensor) -> Tensor:
    """The upstream gradient as a factor of the gradient by logits."""
    return upstream.unsqueeze(-1) if upstream.ndim else upstream.expand(gradient.shape)


def fused(
    logits: Tensor,
    targets: Tensor,
    ignore_index: int,
    reduction: str,
    backward: Backward,
    *,
    stored_in_the_logits: bool = False,
    silent: bool = False,
) -> Tensor:
    """As fused kernels do it: forward computes the gradient of the sum of the loss too, and backward only scales it.

    silent: it does not declare that the result of backward cannot be differentiated.
    """
    import torch
    from torch.autograd.function import once_differentiable

    def scaled(ctx: Any, upstream: Tensor) -> Tensor:
        return backward(ctx.saved_tensors[0], upstream)

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: Tensor) -> Tensor:
            with torch.enable_grad():
                x = logits.detach().clone().requires_grad_()
                loss = right(x, targets, None, ignore_index, 0.0, reduction)
                (gradient,) = torch.autograd.grad(loss.sum(), x)
            if stored_in_the_logits:
                gradient = logits.data.copy_(gradient)
            ctx.save_for_backward(gradient)
            return loss.detach()

        backward = staticmethod(scaled if silent else once_differentiable(scaled))  # type: ignore[assignment]

    loss: Tensor = Fused.apply(logits)  # type: ignore[no-untyped-call]
    return loss
