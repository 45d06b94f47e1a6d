"""What a model predicts of a result: whether a loss or a gradient lies within the model's own bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from logitmus.core.floats import Array, format_of
from logitmus.core.problem import DEFAULT_REDUCTION, ONCE, Option, Problem, TargetKind
from logitmus.oracle import row_model
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import REDUCTIONS, FunctionModel, Precisions, narrowed
from logitmus.oracle.row_model import LABELS
from logitmus.oracle.sentence import STANDARD_WEIGHTS

# The loss and the gradient are those of a plain call.
_MANNERS: Final = frozenset({ONCE, "again", "after_others", "backward_twice"})
_DIRECTIONS: Final = 48  # classes of which the derivative is computed; a derivative costs as much as the loss
_MOST: Final = 1 << 21  # numbers in the derivatives of a problem
_OF_PRESENT_CLASSES: Final = frozenset({"target", "lse", "lse2", "one_minus_p", "one"})  # terms without absent classes
_FAR: Final = 1e8  # exp(-it) is 0 in every arithmetic, and a product with a usual scale still is


def rows_of(problem: Problem) -> tuple[Array, Array]:
    """The logits, (N, K) float64, and the labels, (N,), one-hot targets as labels."""
    x = problem.logits.reshape(-1, problem.classes).astype(np.float64)
    targets = problem.targets
    if problem.target_kind == TargetKind.PROBABILITIES:
        return x, targets.reshape(x.shape).astype(np.float64).argmax(axis=-1)
    return x, targets.ravel().astype(np.int64)


def within(loss: Array, value: Array, bound: Array, model: FunctionModel) -> bool:
    """Whether a loss has the shape of the prediction and lies within its bound; NaN only where NaN is predicted."""
    value = np.asarray(value)
    return loss.size == value.size and bool(_near(loss, value, bound, model).all())


def predicts_loss(model: FunctionModel, problem: Problem, loss: Array) -> bool:
    """Whether a batch yields the loss that the model predicts."""
    x, labels = rows_of(problem)
    with np.errstate(all="ignore"):
        value, bound = _reducing(model, problem).losses(x, labels)
    return within(loss, value, bound, model)


def predicted(model: FunctionModel, problem: Problem, part: str, values: Array) -> Array:
    """Where the model predicts a part of a result, of logits in any dtype; False, too, where it says nothing of it.

    It says nothing of options but class weights, of soft targets and targets' gradients, of labels whose fate it does
    not know, and of infinite logits but those of absent classes. Of many classes, some derivatives stand for all.

    Args:
        part: of `core.finding.PARTS`. values: the loss, or the gradient in the shape of the logits.

    Returns:
        Booleans in the shape of the values.
    """
    nothing = np.zeros(values.shape, bool)
    model = _reducing(replace(model, precisions=_of_dtype(model.precisions, problem.dtype)), problem)
    if not _speaks_of(model, problem):
        return nothing
    x, labels = rows_of(problem)
    x, known = _masked(model, x, labels)
    if part == "loss":
        if model.batch.reduction != "none" and not known.all():
            return nothing
        with np.errstate(all="ignore"):
            value, bound = model.losses(x, labels) if problem.weight is None else _weighted(model, problem, x, labels)
        if values.size != np.size(value):
            return nothing
        near = _near(values, np.asarray(value), bound, model)
        return (near & known if model.batch.reduction == "none" else near).reshape(values.shape)
    if part == "grad_logits" and values.shape == problem.logits.shape and _has_gradients(model, labels):
        return (_predicted_gradient(model, problem, x, labels, values) & known[:, None]).reshape(values.shape)
    return nothing


def _near(loss: Array, value: Array, bound: Array, model: FunctionModel) -> Array:
    observed = loss.astype(np.float64).ravel()
    expected, allowed = value.ravel(), np.asarray(bound).ravel()
    level = model.precisions.level()
    with np.errstate(all="ignore"):
        near = np.abs(observed - expected) <= allowed + level.u * np.abs(expected) + level.least
        beyond = np.isinf(observed) & (observed * expected > 0) & (np.abs(expected) > level.beyond)
    return near | beyond | (observed == expected) | (np.isnan(observed) & np.isnan(expected))


def _reducing(model: FunctionModel, problem: Problem) -> FunctionModel:
    """The model with the reduction that the problem requests, if it requests one."""
    if problem.reduction == DEFAULT_REDUCTION:
        return model
    return replace(model, batch=replace(model.batch, reduction=problem.reduction))


def _of_dtype(own: Precisions, dtype: str) -> Precisions:
    """The arithmetic for logits of this dtype: of halves, a function of several operations may round after each."""
    if dtype == own.logits:
        return own
    return own.of_float32() if dtype == "float32" and own.logits == "float64" else Precisions(*[dtype] * 5)


def _speaks_of(model: FunctionModel, problem: Problem) -> bool:
    row = model.row
    options = (
        {Option.WEIGHT} if model.batch.weights == STANDARD_WEIGHTS and not row.terms and not row.smoothing else set()
    )
    asked = problem.target_kind == TargetKind.LABELS and problem.options <= options and problem.manner in _MANNERS
    if not asked or model.batch.reduction not in REDUCTIONS or not problem.logits.size:
        return False
    fates, classes = model.batch.unusual, problem.classes
    labels = set(rows_of(problem)[1].tolist())
    return all(fates[label] != "refused" if label in fates else 0 <= label < classes for label in labels)


def _masked(model: FunctionModel, x: Array, labels: Array) -> tuple[Array, Array]:
    """The logits, those of absent classes (at -inf) replaced by finite ones far below all others, for formulas in which
    that is the same; and of which rows the model knows the loss, (N,).
    """
    finite, absent = np.isfinite(x), np.isneginf(x)
    row = model.row
    numbers = [row.factor, *row.theta.values(), *row.terms.values()]
    without = row.smoothing is None and not any(parameter.law for parameter in numbers) and row.inputs in ("x", "scale")
    if without and set(row.terms) <= _OF_PRESENT_CLASSES:
        others = np.arange(x.shape[-1]) != LABELS[row.label](labels, x.shape[-1])[:, None]
        finite |= absent & others
        x = np.where(absent & others, np.where(absent, np.inf, x).min(axis=1, keepdims=True) - _FAR, x)
    return x, finite.all(axis=1)


def _has_gradients(model: FunctionModel, labels: Array) -> bool:
    """Whether the gradient is that of the loss, and no label is unusual."""
    batch = model.batch
    other = model.gradient or batch.shifted or batch.divisor_plus is not None
    return not other and not any(label in batch.unusual for label in labels.tolist())


def _weighted(model: FunctionModel, problem: Problem, x: Array, labels: Array) -> tuple[Array, Array]:
    """The loss of rows that are weighted by the weight of their label's class, and its bound."""
    y, b = model.row_losses(x, labels)
    scale = _scale(model, problem, labels)
    if model.batch.reduction == "none":
        return scale * y, 2 * np.abs(scale) * b
    level = model.precisions.level()
    return (scale * y).sum(), 2 * (np.abs(scale) * b).sum() + (len(y) + 3) * level.v * np.abs(scale * y).sum()


def _scale(model: FunctionModel, problem: Problem, labels: Array) -> Array:
    """What each row's loss is multiplied by: the weight of its class, and the factor of the reduction."""
    if problem.weight is None:
        return np.full(len(labels), EXACT(REDUCTIONS[model.batch.reduction][0](len(labels))))
    weights = problem.weight.astype(np.float64).astype(EXACT)[labels]
    return weights / weights.sum() if model.batch.reduction == "mean" else weights


def _predicted_gradient(model: FunctionModel, problem: Problem, x: Array, labels: Array, values: Array) -> Array:
    """Where the gradient lies within its budget, (N, K); what is not looked at follows what is."""
    rows, K = x.shape
    upstream = np.ones(rows) if problem.cotangent is None else problem.cotangent.astype(np.float64).ravel()
    scale = np.broadcast_to(upstream, rows) * _scale(model, problem, labels)
    observed = values.reshape(rows, K).astype(np.float64)
    classes = _some(np.argsort(-np.abs(observed).max(axis=0), kind="stable"), K, _DIRECTIONS)
    classes = np.unique([*classes, *labels[:8]])
    looked_at = _some(np.arange(rows), rows, max(1, _MOST // (K * len(classes))))
    x, labels, scale = x[looked_at], labels[looked_at], scale[looked_at]
    level = model.precisions.level(separate=True)
    with np.errstate(all="ignore"):
        exact, bound = row_model.gradient(model.row, narrowed(x, model.precisions), labels, level, classes)
        allowed = (bound + gradient_rounding(model, x, labels, exact, classes)) * np.abs(scale)[:, None]
        # The upstream gradient is multiplied in first, and may make each of the factors that follow underflow.
        allowed += 16 * level.least * (1 + np.abs(exact).max(axis=1, keepdims=True))
        exact = exact * scale[:, None]
        exact = np.where(np.abs(exact) > level.beyond, np.copysign(EXACT("inf"), exact), exact)
        seen = observed[np.ix_(looked_at, classes)]
        right = (np.abs(seen - exact) <= allowed) | (seen == exact)
    where = np.full((rows, K), bool(right.all()))
    where[looked_at] = right.all(axis=1, keepdims=True)
    where[np.ix_(looked_at, classes)] = right
    return where


def gradient_rounding(model: FunctionModel, x: Array, labels: Array, exact: Array, classes: Array) -> Array:
    """What the roundings of a gradient itself may add to its budget, beside those of the loss: (R, len(classes)).

    p_t - 1 may be formed of a p_t that is rounded to the dtype of the result: the gradient of a confident row in half
    precision is 0. And a gradient passes back through the rounding of the inputs, and is a number of their dtype.
    """
    K = x.shape[-1]
    at = classes == LABELS[model.row.label](labels, K)[:, None]
    rounded = np.where(at, model.precisions.level().u * (1 + np.abs(exact)), 0)
    narrow = format_of(model.precisions.inputs)
    return rounded * abs(model.row.factor.at(K)) + narrow.u * np.abs(exact) + narrow.smallest_subnormal


def _some(of: Array, count: int, most: int) -> Array:
    """At most `most` of these: the first half as they are, the others evenly spread."""
    if count <= most:
        return of
    return np.unique(np.concatenate([of[: most // 2], of[np.linspace(0, count - 1, most - most // 2).astype(int)]]))
