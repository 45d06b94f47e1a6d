"""A correct cross-entropy in NumPy with its gradient; most planted functions change a single thing in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from logitmus.core.floats import Array

IGNORED: Final = -100
# (..., K) in the arithmetic's dtype -> the negative log-probabilities, and the probabilities.
Nats = Callable[[Array], tuple[Array, Array]]
Result = tuple[Array, Array]


def widened(x: Array) -> Array:
    """Halves are computed in float32, as fused kernels do."""
    return x.astype(np.float32) if x.dtype.itemsize < 4 else x


def shifted(x: Array) -> tuple[Array, Array]:
    """By the maximum, subtracted first."""
    d = x - x.max(axis=-1, keepdims=True)
    e = np.exp(d)
    total = e.sum(axis=-1, keepdims=True)
    return np.log(total) - d, e / total


def log_softmax(x: Array) -> Array:
    """In the arithmetic of `x`."""
    return -shifted(x)[0]


def softmax(x: Array) -> Array:
    """In the arithmetic of `x`."""
    return shifted(x)[1]


def clip(p: Array, epsilon: float) -> Array:
    """Keep away from 0 and 1 by `epsilon`; np.clip would widen bfloat16."""
    return np.minimum(np.maximum(p, p.dtype.type(epsilon)), p.dtype.type(1 - epsilon))


def at(values: Array, labels: Array) -> Array:
    """The value of each row at its label."""
    return np.take_along_axis(values, labels[..., None].astype(np.int64), axis=-1)[..., 0]


def one_hot(labels: Array, classes: int) -> Array:
    """(..., K) bool."""
    return np.asarray(labels[..., None] == np.arange(classes))


def in_range(labels: Array, classes: int) -> Array:
    """The labels.

    Raises:
        IndexError: if a label is not a class.
    """
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise IndexError(f"labels from {labels.min()} to {labels.max()}; there are {classes} classes")
    return labels


def split(targets: Array, ignore_index: int, classes: int) -> tuple[Array, Array]:
    """Which rows are kept, and labels that can be read."""
    kept = np.asarray(targets != ignore_index)
    return kept, in_range(np.where(kept, targets, 0), classes)


def joined(rows: Array, gradient: Array, reduction: str, divisor: Any) -> tuple[Array, Array]:
    """The reduced loss and its gradient."""
    if reduction == "none":
        return rows, gradient
    if reduction == "sum":
        return np.asarray(rows.sum()), gradient
    divisor = np.asarray(divisor, rows.dtype)
    return np.asarray(rows.sum() / divisor), gradient / divisor


def total(rows: Array, reduction: str, divisor: Any = None) -> Array:
    """The reduced loss alone; a mean divides by `divisor`, by default the number of rows."""
    if reduction == "none":
        return rows
    summed = np.asarray(rows.sum())
    return summed if reduction == "sum" else summed / np.asarray(rows.size if divisor is None else divisor, rows.dtype)


def rounded(result: tuple[Array, Array], like: Array) -> tuple[Array, Array]:
    """Once, at the end."""
    loss, gradient = result
    return np.asarray(loss).astype(like.dtype), gradient.astype(like.dtype)


@np.errstate(all="ignore")
def cross_entropy(
    logits: Array,
    targets: Array,
    weight: Array | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    *,
    nats: Nats = shifted,
) -> tuple[Array, Array]:
    """Loss and gradient as PyTorch documents them, for labels.

    Args:
        logits: (..., K). targets: (...). weight: (K,). nats: how log-probabilities are computed.
    """
    x, classes = widened(logits), logits.shape[-1]
    kept, labels = split(targets, ignore_index, classes)
    w = np.ones(classes, x.dtype) if weight is None else weight.astype(x.dtype)
    eps = x.dtype.type(label_smoothing)
    nat, p = nats(x)
    rows = (1 - eps) * w[labels] * at(nat, labels)
    a = np.where(one_hot(labels, classes), (1 - eps) * w, 0)
    if eps:
        rows = rows + eps / classes * (w * nat).sum(axis=-1)
        a = a + eps / classes * w
    gradient = a.sum(axis=-1, keepdims=True) * p - a
    rows, gradient = np.where(kept, rows, 0), np.where(kept[..., None], gradient, 0)
    return rounded(joined(rows, gradient, reduction, np.where(kept, w[labels], 0).sum()), logits)


def reduced(
    logits: Array,
    targets: Array,
    weight: Array | None,
    ignore_index: int,
    reduction: str,
    divisor: Callable[[Array], Any],
) -> Result:
    """The rows of the loss, divided by whatever the convention counts."""
    rows, gradient = cross_entropy(logits, targets, weight, ignore_index, reduction="none")
    kept = np.asarray(targets != ignore_index)
    return rounded(joined(widened(rows), widened(gradient), reduction, divisor(kept)), logits)
