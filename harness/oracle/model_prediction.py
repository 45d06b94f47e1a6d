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
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import REDUCTIONS, FunctionModel, Precisions, narrowed
from logitmus.oracle.row_model import LABELS
from logitmus.oracle.sentence import DIVERGENCE, LINEAR, STANDARD_WEIGHTS

# The loss and the gradient are those of a plain call.
_MANNERS: Final = frozenset({ONCE, "again", "after_others", "backward_twice", "forward_mode"})
_OF_NO_CLASS: Final = (
    "refused",
    "wrap",
    "clamp",
)  # fates of labels beyond the classes; with more classes they are some
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
    model = replace(model, row=model.row.in_dtype(problem.dtype), precisions=_of_dtype(model.precisions, problem.dtype))
    fates = model.batch.unusual.items()
    own = {label: fate for label, fate in fates if fate not in _OF_NO_CLASS or not 0 <= label < problem.classes}
    model = _reducing(replace(model, batch=replace(model.batch, unusual=own)), problem)
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
    own, requested = model.batch, problem.reduction
    if requested in (DEFAULT_REDUCTION, own.reduction):
        return model
    row = model.row
    if own.elements and "mean" in (requested, own.reduction):
        row = row.times(1 / EXACT(problem.classes) if requested == "mean" else EXACT(problem.classes))
    return replace(model, row=row, batch=replace(own, reduction=requested))


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
        pairs = int(np.count_nonzero(problem.targets))
        at_once = row_model.is_linear(model.row) or pairs * problem.classes <= _MOST
        return known and not problem.options and at_once
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
    if row_model.is_linear(model.row):
        y, b = row_model.budget(model.row, narrowed(x, model.precisions), q, model.precisions.level())
    else:
        rows, labels = np.nonzero(q)
        y, b = model.row_losses(x[rows], labels)
        y, b = _of_pairs(rows, q[rows, labels] * y, len(x)), _of_pairs(rows, np.abs(q[rows, labels]) * b, len(x))
    K = x.shape[1]
    entropy = (q * _log(q) * model.row.factor.at(K) * (law == DIVERGENCE)).sum(axis=1)
    # Each product is rounded, and so is their sum.
    level = model.precisions.level()
    return y + entropy, 2 * b + (K + 2) * max(level.v, level.w) * (np.abs(y) + 9 * np.abs(entropy))


def _of_pairs(rows: Array, values: Array, count: int) -> Array:
    """The sum of the values, (P,), of each row, of which these are the indices."""
    out = np.zeros(count, EXACT)
    np.add.at(out, rows, values)
    return out


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
    factor = model.batch.factor(rows)
    with np.errstate(all="ignore"):
        if part == "loss":
            y, b = soft_losses(model, model.soft_targets, x, q)
            if model.batch.reduction != "none":
                b = factor * b.sum() + (rows + 3) * level.v * np.abs(factor * y).sum()
                y, known = np.asarray(factor * y.sum()), np.asarray(known.all())
            if values.size != np.size(y):
                return nothing
            return (_near(values, y, b, model) & known).reshape(values.shape)
        by_logits = part == "grad_logits"
        unknown = by_logits and (model.gradient or not row_model.is_linear(model.row))
        if unknown or values.shape != problem.logits.shape:
            return nothing
        upstream = np.ones(rows) if problem.cotangent is None else problem.cotangent.astype(np.float64).ravel()
        scale = np.broadcast_to(upstream, rows) * factor
        within_budget = _rows_within if by_logits else _targets_slopes_within
        right = within_budget(model, x, q, scale, values.reshape(rows, K).astype(np.float64))
    return (right & known[:, None]).reshape(values.shape)


def _targets_slopes_within(model: FunctionModel, x: Array, q: Array, scale: Array, observed: Array) -> Array:
    """Where the derivative by the targets lies within its budget, (N, K); classes not looked at follow the others."""
    rows, K = x.shape
    classes = _classes_to_see(observed, max(2, _MOST // (rows * K)))
    D = len(classes)
    y, b = (each.reshape(rows, D) for each in model.row_losses(np.repeat(x, D, axis=0), np.tile(classes, rows)))
    level = model.precisions.level(separate=True)
    if model.soft_targets == DIVERGENCE:
        own = q[:, classes]
        y = y + np.where(own > 0, 1 + _log(own), EXACT("-inf")) * model.row.factor.at(K)
        b = b + 9 * level.v * np.abs(y)
    y, b = y * scale[:, None], b * np.abs(scale)[:, None]
    seen = observed[:, classes]
    allowed = b + level.u * np.abs(y) + 16 * level.least * (1 + np.abs(y))
    right = (np.abs(seen - y) <= allowed) | (seen == y) | _nan_like_the_loss(model, x, q, seen)
    where = np.repeat(right.all(axis=1, keepdims=True), K, axis=1)
    where[:, classes] = right
    return where


def _nan_like_the_loss(model: FunctionModel, x: Array, targets: Array, seen: Array) -> Array:
    """Where a derivative is NaN and the loss of its row is NaN, too, by the formula: (R, classes)."""
    loss = row_model.evaluate(model.row, narrowed(x, model.precisions), targets)
    return np.isnan(seen) & np.isnan(loss)[:, None]


def _has_gradients(model: FunctionModel, labels: Array) -> bool:
    """Whether the gradient is that of the loss, and no label has another fate than to be of no account."""
    fates = {model.batch.unusual.get(label, "zero") for label in labels.tolist()}
    return not model.gradient and fates <= {"zero", "left_out"}


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
    return weights * batch.factor(int((fates != "left_out").sum()))


def _predicted_gradient(model: FunctionModel, problem: Problem, x: Array, labels: Array, values: Array) -> Array:
    """Where the gradient lies within its budget, (N, K); what is not looked at follows what is."""
    observed = values.reshape(x.shape).astype(np.float64)
    rows = problem.rows
    upstream = np.ones(rows) if problem.cotangent is None else problem.cotangent.astype(np.float64).ravel()
    upstream = np.broadcast_to(upstream, rows)
    if not model.batch.shifted:
        return _rows_within(model, x, labels, upstream * _scale(model, problem, labels), observed)
    if model.batch.reduction == "none":
        return np.zeros(x.shape, bool)
    last = observed[-1:] == 0  # the last row has no label
    scale = upstream[:1] * _scale(model, problem, labels[1:])  # of a sum or a mean all are the same
    return np.concatenate([_rows_within(model, x[:-1], labels[1:], scale, observed[:-1]), last])


def _rows_within(model: FunctionModel, x: Array, targets: Array, scale: Array, observed: Array) -> Array:
    """Where the derivative by the logits lies within its budget, (N, K); what is not looked at follows what is.

    Args:
        targets: labels, (N,), or probabilities, (N, K). scale: what each row's loss is multiplied by, (N,).
    """
    rows, K = x.shape
    if not rows:
        return np.zeros(x.shape, bool)
    targets = np.clip(targets, 0, K - 1) if targets.ndim == 1 else targets
    classes = _classes_to_see(observed, _DIRECTIONS)
    if targets.ndim == 1:
        classes = np.unique([*classes, *targets[:8]])
    looked_at = _some(np.arange(rows), rows, max(1, _MOST // (K * len(classes))))
    x, targets, scale = x[looked_at], targets[looked_at], scale[looked_at]
    level = model.precisions.level(separate=True)
    with np.errstate(all="ignore"):
        exact, bound = row_model.gradient(model.row, narrowed(x, model.precisions), targets, level, classes)
        allowed = (bound + gradient_rounding(model, x, targets, exact, classes)) * np.abs(scale)[:, None]
        # The upstream gradient is multiplied in first, and may make each of the factors that follow underflow.
        allowed += 16 * level.least * (1 + np.abs(exact).max(axis=1, keepdims=True))
        exact = exact * scale[:, None]
        exact = np.where(np.abs(exact) > level.beyond, np.copysign(EXACT("inf"), exact), exact)
        seen = observed[np.ix_(looked_at, classes)]
        right = (np.abs(seen - exact) <= allowed) | (seen == exact) | _nan_like_the_loss(model, x, targets, seen)
    where = np.full((rows, K), bool(right.all()))
    where[looked_at] = right.all(axis=1, keepdims=True)
    where[np.ix_(looked_at, classes)] = right
    return where


def _classes_to_see(observed: Array, most: int) -> Array:
    """At most so many classes: those whose derivatives, (N, K), are largest, and some between."""
    order = np.argsort(-np.abs(observed).max(axis=0), kind="stable")
    return _some(order, observed.shape[1], min(most, _DIRECTIONS))


def gradient_rounding(model: FunctionModel, x: Array, targets: Array, exact: Array, classes: Array) -> Array:
    """What the roundings of a gradient itself may add to its budget, beside those of the loss: (R, len(classes)).

    p_t - 1 may be formed of a p_t that is rounded to the dtype of the result: the gradient of a confident row in half
    precision is 0. And a gradient passes back through the rounding of the inputs, and is a number of their dtype.
    """
    K = x.shape[-1]
    soft = targets.ndim == 2
    at = np.abs(targets[:, classes]) if soft else classes == LABELS[model.row.label](targets, K)[:, None]
    rounded = np.where(at != 0, at * model.precisions.level().u * (1 + np.abs(exact)), 0)
    narrow = format_of(model.precisions.inputs)
    return rounded * abs(model.row.factor.at(K)) + narrow.u * np.abs(exact) + narrow.smallest_subnormal


def _some(of: Array, count: int, most: int) -> Array:
    """At most `most` of these: the first half as they are, the others evenly spread."""
    if count <= most:
        return of
    return np.unique(np.concatenate([of[: most // 2], of[np.linspace(0, count - 1, most - most // 2).astype(int)]]))
