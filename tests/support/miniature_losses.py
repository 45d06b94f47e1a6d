"""Small losses in NumPy, each with what it computes: miniatures of what people write, and losses that no model covers.

Every function takes logits (N, K) and labels (N,), and returns the losses of the rows or a number; some take further
arguments. `explained` is the explanation of a loss.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from logitmus.conventions.ask_function import ask_and_explain
from logitmus.conventions.explain_function import FunctionExplanation
from logitmus.core.floats import FLOAT_DTYPES, Array
from logitmus.core.observation import Answered, NotRun, Outcome, Raised
from logitmus.core.problem import Problem

Loss = Callable[..., Any]


def explained(function: Loss, dtypes: Sequence[str] = ("float64", "float32", "float16")) -> FunctionExplanation:
    """The explanation of a function; it may return (loss, gradient)."""
    return ask_and_explain(lambda problems: outcomes(function, problems), dtypes=dtypes)


def outcomes(function: Loss, problems: Iterable[Problem]) -> list[tuple[Problem, Outcome]]:
    """Each problem with the outcome of the function."""
    return [(problem, outcome(function, problem)) for problem in problems]


def outcome(function: Loss, problem: Problem) -> Outcome:
    """What the function does with a problem; an argument that it does not name is not given."""
    names = inspect.signature(function).parameters
    given = {name: getattr(problem, name) for name in problem.options}
    if problem.reduction != "default":
        given["reduction"] = problem.reduction
    missing = [name for name in given if name not in names]
    if missing:
        return NotRun(f"takes no {missing[0]}")
    try:
        with np.errstate(all="ignore"):
            result = function(problem.logits.copy(), problem.targets.copy(), **given)
    except Exception as error:
        return Raised(type(error).__name__, str(error))
    loss, gradient = result if isinstance(result, tuple) else (result, None)
    return Answered(np.asarray(loss), gradient)


# Parts


def log_p(x: Array) -> Array:
    d = x - x.max(axis=-1, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=-1, keepdims=True))


def lse(x: Array) -> Array:
    m = x.max(axis=-1)
    return m + np.log(np.exp(x - m[:, None]).sum(axis=-1))


def at(values: Array, t: Array) -> Array:
    return np.take_along_axis(values, t[:, None], axis=1)[:, 0]


def one_hot(x: Array, t: Array) -> Array:
    return np.eye(x.shape[1])[t] > 0


def ce(x: Array, t: Array) -> Array:
    return -at(log_p(x), t)


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def smoothed(epsilon: float) -> Loss:
    return lambda x, t: (1 - epsilon) * ce(x, t) - epsilon * log_p(x).mean(axis=-1)


def smoothed_others(epsilon: float) -> Loss:
    def loss(x: Array, t: Array) -> Array:
        q = np.where(one_hot(x, t), 1 - epsilon, epsilon / (x.shape[1] - 1))
        return -(q * log_p(x)).sum(axis=-1)

    return loss


def divergence(epsilon: float) -> Loss:
    def loss(x: Array, t: Array) -> Array:
        K = x.shape[1]
        q = epsilon / K + (1 - epsilon) * one_hot(x, t)
        return (q * (np.log(q) - log_p(x))).sum(axis=-1)

    return loss


def in_blocks(size: int, exponent: Callable[[Array, Array], Array]) -> Callable[[Array], Array]:
    """The logsumexp in one pass over blocks; `exponent` of the old and the new maximum rescales the sum so far."""

    def logsumexp(x: Array) -> Array:
        m, total = x[:, :size].max(axis=1), np.zeros(len(x), x.dtype)
        for start in range(0, x.shape[1], size):
            block = x[:, start : start + size]
            new = np.maximum(m, block.max(axis=1))
            total = total * np.exp(exponent(m, new)) + np.exp(block - new[:, None]).sum(axis=1)
            m = new
        return m + np.log(total)

    return logsumexp


def focal(gamma: float) -> Loss:
    return lambda x, t: (-np.expm1(-ce(x, t))) ** gamma * ce(x, t)


def with_tail(width: Callable[[int], int]) -> Loss:
    def loss(x: Array, t: Array) -> Array:
        if ((t < 0) | (t >= x.shape[1])).any():
            raise IndexError("label")
        return ce(np.concatenate([x, np.zeros((len(x), width(x.shape[1])), x.dtype)], axis=1), t)

    return loss


def with_margin(scale: float, margin: float) -> Loss:
    return lambda x, t: ce(scale * (x - margin * one_hot(x, t)), t)


def capped(c: float) -> Callable[[Array], Array]:
    return lambda x: c * np.tanh(x / c)


def binary(x: Array, t: Array) -> Array:
    return np.where(one_hot(x, t), softplus(-x), softplus(x))


def binary_focal(x: Array, t: Array) -> Array:
    losses = binary(x, t)
    return ((-np.expm1(-losses)) ** 2 * losses).sum(axis=-1)


def p_t(x: Array, t: Array) -> Array:
    return np.exp(-ce(x, t))


def mean_gradient(x: Array, t: Array) -> Array:
    return np.exp(log_p(x)) - one_hot(x, t)


def reduced(rows: Loss, how: str = "mean", *, counted: bool = False) -> Loss:
    """With ignore_index -100; `counted`: the mean counts ignored rows."""

    def loss(x: Array, t: Array, ignore_index: int = -100, reduction: str = how) -> Any:
        kept = t != ignore_index
        losses = np.where(kept, rows(x, np.where(kept, t, 0)), 0)
        if reduction == "mean":
            return losses.sum() / (len(losses) if counted else kept.sum())
        return losses.sum() if reduction == "sum" else losses

    return loss


def like_torch(epsilon: float) -> Loss:
    """Weights for each class, also of the smoothed terms; the mean divides by the labels' weights."""

    def loss(
        x: Array,
        t: Array,
        weight: Array | None = None,
        ignore_index: int = -100,
        label_smoothing: float = epsilon,
        reduction: str = "mean",
    ) -> Any:
        w = np.ones(x.shape[1], x.dtype) if weight is None else weight
        kept = t != ignore_index
        chosen = np.where(kept, t, 0)
        per_class = -log_p(x) * w
        losses = (1 - label_smoothing) * at(per_class, chosen) + label_smoothing * per_class.mean(axis=1)
        losses = np.where(kept, losses, 0)
        if reduction == "mean":
            return losses.sum() / (w[chosen] * kept).sum()
        return losses.sum() if reduction == "sum" else losses

    return loss


def smoothed_without_weights(x: Array, t: Array, weight: Array | None = None, reduction: str = "mean") -> Any:
    """The smoothed term takes no weights and is divided by the rows."""
    w = np.ones(x.shape[1], x.dtype) if weight is None else weight
    first, second = 0.9 * w[t] * ce(x, t), -0.1 * log_p(x).mean(axis=1)
    if reduction == "mean":
        return first.sum() / w[t].sum() + second.mean()
    return (first + second).sum() if reduction == "sum" else first + second


def in_dtype(function: Loss, dtype: str) -> Loss:
    """Logits rounded first; the result in the dtype of the logits."""
    narrow = FLOAT_DTYPES[dtype]
    working = narrow if narrow.itemsize >= np.dtype(np.float32).itemsize else np.dtype(np.float32)
    return lambda x, t: np.asarray(function(x.astype(narrow).astype(working), t)).astype(x.dtype)


def only_in(dtypes: Sequence[str], function: Loss) -> Loss:
    def loss(x: Array, t: Array) -> Any:
        if x.dtype.name not in dtypes:
            raise TypeError(f"no {x.dtype}")
        return function(x, t)

    return loss


def no_shift(x: Array, t: Array) -> Array:
    return np.log(np.exp(x).sum(axis=-1)) - at(x, t)


def separate(x: Array, t: Array) -> Array:
    return lse(x) - at(x, t)


def log_of_softmax(x: Array, t: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return -np.log(at(e / e.sum(axis=-1, keepdims=True), t))
