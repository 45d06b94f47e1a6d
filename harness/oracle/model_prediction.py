"""What a model predicts of a result: whether a loss or a gradient lies within the model's own bounds.

A model was found from small problems in one dtype. Here it is applied to any problem of the suite, and a result that it
predicts is taken for explained. So it must say where it says nothing: a result is predicted only if all that the
problem holds (its labels, options, reduction, infinite logits, the way to differentiate) is part of the model. The
bounds are the model's running errors, at the dtype of the problem; for halves at the coarsest arithmetic, in which each
operation rounds. Derivatives cost as much as the loss for each class, so that for many classes only some are computed:
those that are largest in the result, and some between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from logitmus.core.floats import Array, format_of
from logitmus.core.problem import DEFAULT_REDUCTION, ONCE, Option, Problem, TargetKind
from logitmus.oracle import row_model
from logitmus.oracle.arithmetic import EXACT, Level
from logitmus.oracle.model import REDUCTIONS, FunctionModel, Precisions, narrowed
from logitmus.oracle.row_model import LABELS
from logitmus.oracle.sentence import DIVERGENCE, LINEAR, STANDARD_WEIGHTS

# The loss and the gradient are those of a plain call.
_MANNERS: Final = frozenset({ONCE, "again", "after_others", "backward_twice"})
_DIRECTIONS: Final = 48  # classes of which the derivative is computed; a derivative costs as much as the loss
_MOST: Final = 1 << 21  # numbers in the derivatives of a problem
_SATURATING: Final = ("cap", "scale_cap", "clamp")
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

    It says nothing of options but class weights, of labels whose fate it does not know, of infinite logits but those of
    absent classes, and of target probabilities for many classes. Of many classes, some derivatives stand for all.

    Args:
        part: of `core.finding.PARTS`. values: the loss, or the gradient in the shape of the logits.

    Returns:
        Booleans in the shape of the values.
    """
    nothing = np.zeros(values.shape, bool)
    model = _reducing(replace(model, precisions=_of_dtype(model.precisions, problem.dtype)), problem)
    if not _speaks_of(model, problem):
        return nothing
    given, labels = rows_of(problem)
    x, known = _finite(model, given)
    if problem.target_kind == TargetKind.PROBABILITIES:
        return _with_soft_targets(model, problem, x, known, part, values)
    if part == "loss":
        if model.batch.reduction != "none" and not known.all():
            return nothing
        with np.errstate(all="ignore"):
            value, bound = _losses(model, problem, x, labels)
            if x is not given:
                value = _limit(value, _losses(model, problem, _finite(model, given, 2 * _FAR)[0], labels)[0])
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
        near = np.isfinite(expected)
        near &= np.abs(observed - expected) <= allowed + level.u * np.abs(expected) + level.least
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
    if problem.manner not in _MANNERS or model.batch.reduction not in REDUCTIONS or not problem.logits.size:
        return False
    if problem.target_kind == TargetKind.PROBABILITIES:
        known = model.soft_targets in (LINEAR, DIVERGENCE) and not model.batch.shifted
        return known and not problem.options and problem.logits.size * problem.classes**2 <= _MOST
    plain = not model.row.terms and model.row.smoothing is None
    options = {Option.WEIGHT} if plain and model.batch.weights == STANDARD_WEIGHTS else set()
    fates, classes = model.batch.unusual, problem.classes
    labels = set(rows_of(problem)[1].tolist())
    known = all(fates[label] != "refused" if label in fates else 0 <= label < classes for label in labels)
    return known and problem.options <= options


def _losses(model: FunctionModel, problem: Problem, x: Array, labels: Array) -> tuple[Array, Array]:
    return model.losses(x, labels) if problem.weight is None else _weighted(model, problem, x, labels)


def _limit(near: Array, far: Array) -> Array:
    """Of losses at two distances of the logits that stand for infinite ones: infinite where they grow with it."""
    grows = np.abs(far - near) > 1e-3 * np.abs(near) + 1
    return np.where(grows, np.copysign(EXACT("inf"), far - near), near)


def _finite(model: FunctionModel, x: Array, distance: float = _FAR) -> tuple[Array, Array]:
    """The logits, infinite ones replaced by finite ones that are far away, and in which rows that is the same, (N,).

    A class at -inf is as one far below all others; a capped or clamped logit at infinity is as any large one. A loss
    that depends on the logit itself (a smoothed one, say) is infinite: see `_limit`.
    """
    finite = np.isfinite(x)
    if finite.all():
        return x, np.ones(len(x), bool)
    far = np.isneginf(x) | (np.isposinf(x) if model.row.inputs in _SATURATING else False)
    x = x.astype(EXACT)
    away = distance + 4 * np.where(finite, np.abs(x), 0).max(axis=1, keepdims=True)
    known: Array = np.all(finite | far, axis=1) & np.any(finite, axis=1)
    return np.where(far, np.copysign(away, x), x), known


def soft_losses(model: FunctionModel, law: str, x: Array, q: Array) -> tuple[Array, Array]:
    """The losses of rows with target probabilities q, (N, K), by a law of `sentence.SOFT_TARGETS`, and their bounds.

    A cross-entropy is linear in the targets. A divergence adds the sum of q log q, times the factor of the loss.
    """
    y, b = _of_each_class(model, x)
    entropy = q * _log(q) * model.row.factor.at(x.shape[1]) * (law == DIVERGENCE)
    used = np.where(q == 0, 0, q * y)
    # Each product is rounded, and so is their sum.
    level = model.precisions.level()
    terms = np.abs(used).sum(axis=1) + 9 * np.abs(entropy).sum(axis=1)
    bound = 2 * np.where(q == 0, 0, q * b).sum(axis=1) + (x.shape[1] + 2) * max(level.v, level.w) * terms
    return used.sum(axis=1) + entropy.sum(axis=1), bound


def _of_each_class(model: FunctionModel, x: Array) -> tuple[Array, Array]:
    """The loss of each row with each label, (N, K), and its bound."""
    rows, K = x.shape
    y, b = model.row_losses(np.repeat(x, K, axis=0), np.tile(np.arange(K), rows))
    return y.reshape(rows, K), b.reshape(rows, K)


def _log(q: Array) -> Array:
    return np.where(q > 0, np.log(np.where(q > 0, q, 1)), 0)


def _with_soft_targets(
    model: FunctionModel, problem: Problem, x: Array, known: Array, part: str, values: Array
) -> Array:
    """`predicted` for target probabilities."""
    rows, K = x.shape
    nothing = np.zeros(values.shape, bool)
    q = problem.targets.reshape(rows, K).astype(EXACT)
    level = model.precisions.level(separate=True)
    factor = EXACT(REDUCTIONS[model.batch.reduction][0](rows))
    with np.errstate(all="ignore"):
        if part == "loss":
            y, b = soft_losses(model, model.soft_targets, x, q)
            if model.batch.reduction != "none":
                b = factor * b.sum() + (rows + 3) * level.v * np.abs(factor * y).sum()
                y, known = np.asarray(factor * y.sum()), np.asarray(known.all())
            if values.size != np.size(y):
                return nothing
            return (_near(values, y, b, model) & known).reshape(values.shape)
        if part == "grad_logits" and model.gradient:
            return nothing
        y, b = (_slopes_by_targets if part == "grad_targets" else _slopes_by_logits)(model, x, q, level)
        upstream = np.ones(rows) if problem.cotangent is None else problem.cotangent.astype(np.float64).ravel()
        scale = (np.broadcast_to(upstream, rows) * factor)[:, None]
        allowed = b * np.abs(scale) + level.u * np.abs(y * scale) + 16 * level.least * (1 + np.abs(y))
        seen = values.reshape(rows, K).astype(np.float64)
        right = (np.abs(seen - y * scale) <= allowed) | (seen == y * scale)
    return (right & known[:, None]).reshape(values.shape)


def _slopes_by_targets(model: FunctionModel, x: Array, q: Array, level: Level) -> tuple[Array, Array]:
    """The derivative of each row's loss by its targets, and its budget: (N, K) each."""
    y, b = _of_each_class(model, x)
    if model.soft_targets == DIVERGENCE:
        y = y + np.where(q > 0, 1 + _log(q), EXACT("-inf")) * model.row.factor.at(x.shape[1])
        b = b + 9 * level.v * np.abs(y)
    return y, b


def _slopes_by_logits(model: FunctionModel, x: Array, q: Array, level: Level) -> tuple[Array, Array]:
    """The derivative of each row's loss by its logits, and its budget: (N, K) each."""
    rows, K = x.shape
    repeated, labels = np.repeat(x, K, axis=0), np.tile(np.arange(K), rows)
    slopes, bounds = row_model.gradient(model.row, narrowed(repeated, model.precisions), labels, level)
    bounds = 2 * bounds + gradient_rounding(model, repeated, labels, slopes, np.arange(K))
    weight, used = q.ravel()[:, None], q.ravel()[:, None] != 0
    terms = np.where(used, weight * slopes, 0).reshape(rows, K, K)
    b = np.where(used, weight * bounds, 0).reshape(rows, K, K).sum(axis=1)
    return terms.sum(axis=1), b + (K + 2) * level.v * np.abs(terms).sum(axis=1)


def _has_gradients(model: FunctionModel, labels: Array) -> bool:
    """Whether the gradient is that of the loss, and no label has another fate than to be of no account."""
    fates = {model.batch.unusual.get(label, "zero") for label in labels.tolist()}
    return not model.gradient and model.batch.divisor_plus is None and fates <= {"zero", "left_out"}


def _weighted(model: FunctionModel, problem: Problem, x: Array, labels: Array) -> tuple[Array, Array]:
    """The loss of rows that are weighted by the weight of their label's class, and its bound."""
    y, b = model.row_losses(x, labels)
    scale = _scale(model, problem, labels)
    if model.batch.reduction == "none":
        return scale * y, 2 * np.abs(scale) * b
    level = model.precisions.level()
    return (scale * y).sum(), 2 * (np.abs(scale) * b).sum() + (len(y) + 3) * level.v * np.abs(scale * y).sum()


def _scale(model: FunctionModel, problem: Problem, labels: Array) -> Array:
    """What each row's loss is multiplied by: 0 for rows of no account, the weight of its class, the reduction."""
    batch = model.batch
    fates = np.array([batch.unusual.get(label, "") for label in labels.tolist()], str)
    weights = (fates == "").astype(EXACT)
    if problem.weight is not None:
        weights = weights * problem.weight.astype(np.float64).astype(EXACT)[np.where(fates == "", labels, 0)]
        return weights / weights.sum() if batch.reduction == "mean" else weights
    return weights * EXACT(REDUCTIONS[batch.reduction][0](int((fates != "left_out").sum())))


def _predicted_gradient(model: FunctionModel, problem: Problem, x: Array, labels: Array, values: Array) -> Array:
    """Where the gradient lies within its budget, (N, K); what is not looked at follows what is."""
    observed = values.reshape(x.shape).astype(np.float64)
    if not model.batch.shifted:
        return _rows_within(model, problem, x, labels, observed)
    if model.batch.reduction == "none":
        return np.zeros(x.shape, bool)
    last = observed[-1:] == 0  # the last row has no label
    return np.concatenate([_rows_within(model, problem, x[:-1], labels[1:], observed[:-1]), last])


def _rows_within(model: FunctionModel, problem: Problem, x: Array, labels: Array, observed: Array) -> Array:
    rows, K = x.shape
    if not rows:
        return np.zeros(x.shape, bool)
    upstream = np.ones(rows) if problem.cotangent is None else problem.cotangent.astype(np.float64).ravel()
    scale = np.broadcast_to(upstream, rows) * _scale(model, problem, labels)
    labels = np.clip(labels, 0, K - 1)
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
