"""Small cross-entropies in NumPy for tests of the judge: right ones of different make, and wrong ones.

Each takes (x, labels) in the working dtype and gives row losses and the gradient by the logits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.floats import Array
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.core.subject import Offer, Subject, same_precision

Rows = Callable[[Array, Array], tuple[Array, Array]]


def _gradient(p: Array, labels: Array) -> Array:
    gradient = p.copy()
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient


def _at(values: Array, labels: Array) -> Array:
    return values[np.arange(len(labels)), labels]


def shifted(x: Array, labels: Array) -> tuple[Array, Array]:
    """log(sum e^(x - m)) - (x_t - m): the ordinary stable form."""
    d = x - x.max(axis=1, keepdims=True)
    e = np.exp(d)
    total = e.sum(axis=1)
    return np.log(total) - _at(d, labels), _gradient(e / total[:, None], labels)


def with_log1p(x: Array, labels: Array) -> tuple[Array, Array]:
    """Confident rows keep their digits."""
    d = x - x.max(axis=1, keepdims=True)
    e = np.exp(d)
    top = x.argmax(axis=1)
    rest = e.copy()
    rest[np.arange(len(x)), top] = 0
    others = rest.sum(axis=1)
    p = e / (1 + others)[:, None]
    gradient = p.copy()
    not_t = e.copy()
    not_t[np.arange(len(x)), labels] = 0
    gradient[np.arange(len(x)), labels] = -not_t.sum(axis=1) / (1 + others)
    return np.log1p(others) - _at(d, labels), gradient


def online(x: Array, labels: Array) -> tuple[Array, Array]:
    """One pass with a running maximum and a rescaled sum, as fused kernels do."""
    m, s = x[:, 0].copy(), np.ones(len(x), x.dtype)
    for k in range(1, x.shape[1]):
        new = np.maximum(m, x[:, k])
        s = (s * np.exp(m - new) + np.exp(x[:, k] - new)).astype(x.dtype)
        m = new
    d = x - m[:, None]
    return np.log(s) - _at(d, labels), _gradient(np.exp(d) / s[:, None], labels)


def in_float64(x: Array, labels: Array) -> tuple[Array, Array]:
    """Everything in float64, rounded once at the end."""
    loss, gradient = with_log1p(x.astype(np.float64), labels)
    return loss.astype(x.dtype), gradient.astype(x.dtype)


def log_of_softmax(x: Array, labels: Array) -> tuple[Array, Array]:
    """Wrong: the softmax underflows before its logarithm is taken."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return -np.log(_at(p, labels)), _gradient(p, labels)


def unshifted(x: Array, labels: Array) -> tuple[Array, Array]:
    """Wrong: no max shift; exp overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(x)
        total = e.sum(axis=1)
        return np.log(total) - _at(x, labels), _gradient(e / total[:, None], labels)


def separate_logsumexp(x: Array, labels: Array) -> tuple[Array, Array]:
    """Wrong beyond backward stability: the logsumexp is formed, then the logit subtracted."""
    m = x.max(axis=1)
    e = np.exp(x - m[:, None])
    total = e.sum(axis=1)
    return (np.log(total) + m) - _at(x, labels), _gradient(e / total[:, None], labels)


def drops_the_last_class(x: Array, labels: Array) -> tuple[Array, Array]:
    """Wrong: the last class of the vocabulary is left out of the sum."""
    d = x - x.max(axis=1, keepdims=True)
    e = np.exp(d)
    total = e[:, :-1].sum(axis=1) if x.shape[1] > 1 else e.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(total) - _at(d, labels), _gradient(e / total[:, None], labels)


def gradient_of_zeros(x: Array, labels: Array) -> tuple[Array, Array]:
    loss, gradient = shifted(x, labels)
    return loss, np.zeros_like(gradient)


def gradient_without_target(x: Array, labels: Array) -> tuple[Array, Array]:
    loss, gradient = shifted(x, labels)
    gradient[np.arange(len(labels)), labels] += 1
    return loss, gradient


def bits(x: Array, labels: Array) -> tuple[Array, Array]:
    loss, gradient = shifted(x, labels)
    return (loss / np.log(2)).astype(x.dtype), (gradient / np.log(2)).astype(x.dtype)


def ten_bit_logits(x: Array, labels: Array) -> tuple[Array, Array]:
    """Wrong: logits scaled by 1 + 2^-10."""
    return shifted((x * (1 + 2.0**-10)).astype(x.dtype), labels)


RIGHT: dict[str, Rows] = {f.__name__: f for f in (shifted, with_log1p, online, in_float64)}
WRONG: dict[str, Rows] = {
    f.__name__: f
    for f in (
        log_of_softmax,
        unshifted,
        separate_logsumexp,
        drops_the_last_class,
        gradient_of_zeros,
        gradient_without_target,
        bits,
        ten_bit_logits,
    )
}


def subject(convention: Convention = PORTABLE, **offer: object) -> Subject:
    """A subject that offers everything, in the given convention."""
    everything: dict[str, object] = {
        "targets": "labels",
        "options": frozenset({"weight", "ignore_index", "label_smoothing"}),
        "reductions": ("none", "sum", "mean"),
        "gradients": frozenset({"logits"}),
    }
    return Subject(
        backend="test",
        function="f",
        mode="",
        device="cpu",
        offer=Offer(**{**everything, **offer}),  # type: ignore[arg-type]
        convention=convention,
        precision=same_precision(),
    )


def observe(rows: Rows, problem: Problem) -> Answered:
    """What `rows` does with a plain problem (labels, reduction "none"); halves are computed in float32."""
    working = np.float64 if problem.dtype == "float64" else np.float32
    with np.errstate(all="ignore"):
        loss, gradient = rows(problem.logits.astype(working), problem.targets.astype(np.int64))
        upstream = 1.0 if problem.cotangent is None else problem.cotangent.astype(working)[:, None]
        return Answered(loss.astype(problem.logits.dtype), (gradient * upstream).astype(problem.logits.dtype))
