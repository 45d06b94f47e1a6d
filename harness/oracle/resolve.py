"""Resolution: from a problem and a convention to a question.

The order of the steps matters. A mean is resolved from the targets alone. NaN leaks from ignored rows before any logit
is replaced; logits of rows that are not read are cleared before shifts are tested for overflow, since the test looks at
all logits; infinities that a convention turns to NaN count only after that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from logitmus.core.convention import Convention
from logitmus.core.floats import Array, format_of
from logitmus.core.parameters import Parameters
from logitmus.core.problem import DEFAULT_REDUCTION, Problem, TargetKind
from logitmus.oracle.question import Question, fast_order

LOST_ROW: Final = np.nan


class _Rows(NamedTuple):
    """The masks of the rows, as in `Question`."""

    kept: Array
    forced: Array
    unjudged: Array


@dataclass(frozen=True)
class _Targets:
    """Labels or probabilities, as in `Question`; refused: why they call for an exception."""

    labels: Array | None
    q: Array | None
    rows: _Rows
    refused: str | None = None


def reduction_of(problem: Problem, convention: Convention) -> str:
    """How the rows of a problem are reduced: as it says, or as the convention does by default."""
    return convention.default_reduction if problem.reduction == DEFAULT_REDUCTION else problem.reduction


def resolve(problem: Problem, convention: Convention) -> Question:
    """The question that a problem poses under a convention."""
    narrowed = convention.wide_inputs == "narrowed" and problem.dtype == "float64"
    targets = _targets(problem, convention, narrowed=narrowed)
    labels, q, rows, refused = targets.labels, targets.q, targets.rows, targets.refused
    weight = None if problem.weight is None else _exactly(problem.weight, narrowed=narrowed)
    own = convention.parameters
    eps = 0.0 if convention.smoothing == "dropped" else problem.label_smoothing or own.label_smoothing

    reduction = reduction_of(problem, convention)
    divisor = _divisor(problem, convention, reduction, labels, weight, rows.kept)
    empty_mean = _empty_mean(problem, convention, divisor) if reduction == "mean" else None
    if empty_mean == "error":
        refused = "the mean of nothing"

    x = _exactly(problem.logits.reshape(problem.rows, problem.classes), narrowed=narrowed)
    rows = _with_leaks(rows, x, convention)
    x = _cleared(x, rows)
    x = _overflowed(x, problem, convention)
    rows = _with_infinite_logits(rows, x, labels, convention)
    unjudged = rows.unjudged | _without_answer(problem, weight, q) | _beyond_parameters(x, problem, own)
    rows = rows._replace(unjudged=unjudged)

    soft = q is not None
    probabilities = convention.inputs == "probabilities"
    scale = convention.probability_scale
    if scale != "none" and convention.probability_clip == "none" and not own.clip:
        scale = "before_clip"  # without a clip there is no before and after
    infinite = bool(np.isposinf(x).any())
    may_be_infinite = not bool(np.isfinite(x).all()) or _has_log_of_zero(x, rows.forced, convention)
    return Question(
        inputs=convention.inputs,
        log_base=convention.log_base,
        clip=_clip(convention, wide=problem.dtype == "float64" and not narrowed),
        probability_scale=scale if probabilities else "none",
        soft_target_gradient=convention.soft_target_gradient if soft else "scaled",
        x=x,
        labels=labels,
        q=q,
        weight=weight,
        eps=eps,
        spread=convention.smoothing if eps else "uniform",
        weigh=convention.smoothing_weights if eps and weight is not None else "per_class",
        kept=rows.kept,
        forced=rows.forced,
        unjudged=rows.unjudged,
        reduction=reduction,
        divisor=divisor,
        upstream=_upstream(problem, narrowed=narrowed),
        refused=refused,
        fixed={"nan": np.nan, "zero": 0.0}.get(empty_mean or ""),
        nan_products=may_be_infinite and convention.zero_times_infinity == "nan",
        nan_infinities=infinite and convention.infinite_logits == "nan",
        open_infinities=infinite and convention.infinite_logits == "nan_where_met",
        narrowed=narrowed,
        temperature=own.temperature if convention.inputs == "logits" else 1.0,
        z_loss=own.z_loss if convention.inputs == "logits" else 0.0,
        factor=own.factor,
    )


def _targets(problem: Problem, convention: Convention, *, narrowed: bool) -> _Targets:
    rows = _Rows(np.ones(problem.rows, bool), np.ones(problem.rows), np.zeros(problem.rows, bool))
    if problem.target_kind == TargetKind.PROBABILITIES:
        return _probabilities(problem, convention, rows, narrowed=narrowed)
    return _labels(problem, convention, rows)


def _probabilities(problem: Problem, convention: Convention, rows: _Rows, *, narrowed: bool) -> _Targets:
    classes, ignored = problem.classes, problem.ignore_index
    q = _exactly(problem.targets.reshape(problem.rows, classes), narrowed=narrowed)
    if ignored is None or not 0 <= ignored < classes:
        return _Targets(None, q, rows)
    if convention.ignore_with_probabilities == "one_hot":
        rows = rows._replace(kept=~(q == np.eye(classes)[ignored]).all(axis=1))
    refuses = convention.ignore_with_probabilities == "error"
    return _Targets(None, q, rows, "an ignored label beside probabilities" if refuses else None)


def _labels(problem: Problem, convention: Convention, rows: _Rows) -> _Targets:
    kept, forced, unjudged = rows
    raw = problem.targets.reshape(problem.rows)
    if convention.wide_labels == "narrowed" and raw.dtype.itemsize == 8:
        raw = raw.astype(np.int32)
    ignored = problem.ignore_index
    if ignored is None and convention.ignore_default != "none":
        ignored = int(convention.ignore_default)
    if ignored is not None:
        kept = np.asarray(raw != ignored)
    labels = np.where(kept, raw, 0).astype(np.int64)
    wide = raw.astype(object) if raw.dtype == np.uint64 else raw.astype(np.int64)
    refused = None
    for bad, choice, reason in (
        (kept & np.asarray(wide >= problem.classes, bool), convention.label_out_of_range, "a label >= K"),
        (kept & np.asarray(wide < 0, bool), convention.label_negative, "a negative label"),
    ):
        if bad.any():
            refused = reason if choice == "error" else refused
            labels, value = _repaired(labels, bad, problem.classes, choice)
            unjudged = unjudged | (bad & (choice == "garbage"))
            forced = np.where(bad, value, forced)
    return _Targets(labels, None, _Rows(kept, forced, unjudged), refused)


def _repaired(labels: Array, bad: Array, classes: int, choice: str) -> tuple[Array, Array | float]:
    """Labels in range, and the prescribed value of bad rows (1: none)."""
    match choice:
        case "wrap":  # a single turn: beyond it there is no such class
            wrapped = np.where(bad, np.where(labels < 0, labels + classes, labels - classes), labels)
            lost = bad & ((wrapped < 0) | (wrapped >= classes))
            return np.where(lost, 0, wrapped), np.where(lost, LOST_ROW, 1.0)
        case "clamp":
            return np.where(bad, np.clip(labels, 0, max(classes - 1, 0)), labels), 1.0
        case _:
            return np.where(bad, 0, labels), {"nan": LOST_ROW, "zero": 0.0}.get(choice, 1.0)


def _divisor(
    problem: Problem, convention: Convention, reduction: str, labels: Array | None, weight: Array | None, kept: Array
) -> Array:
    if reduction != "mean":
        return np.ones(1)
    if convention.mean_denominator in ("rows", "elements"):
        return np.array([float(problem.rows if convention.mean_denominator == "rows" else problem.logits.size)])
    if convention.mean_denominator == "kept" or weight is None or labels is None:
        return np.array([float(kept.sum())])
    return weight[labels[kept]] if problem.classes else np.zeros(0)


def _empty_mean(problem: Problem, convention: Convention, divisor: Array) -> str | None:
    """What the convention prescribes for a mean of nothing ("nan", "zero", "error"); None: there is something."""
    if problem.rows == 0:
        return convention.empty_batch_mean
    if math.fsum(np.where(np.isfinite(divisor), divisor, 1.0)) == 0:
        return convention.all_ignored_mean
    return None


def _with_leaks(rows: _Rows, x: Array, convention: Convention) -> _Rows:
    """NaN for ignored rows whose own loss is not finite, where it leaks."""
    if convention.ignored_row != "nan_leaks" or rows.kept.all():
        return rows
    leaking = ~rows.kept & ~np.isfinite(x).all(axis=1)
    return rows._replace(forced=np.where(leaking, LOST_ROW, rows.forced))


def _cleared(x: Array, rows: _Rows) -> Array:
    """x with zeros in rows of a prescribed 0, whose logits are not read."""
    unread = rows.forced == 0
    return np.where(unread[:, None], 0.0, x) if unread.any() else x


def _overflowed(x: Array, problem: Problem, convention: Convention) -> Array:
    """x with -inf where a finite logit lies so far below the largest that the difference rounds to infinity."""
    if convention.overflowing_shift == "exact" or not x.size:
        return x
    dtype = _shifting_dtype(problem.dtype, convention)
    f = format_of(dtype)
    with np.errstate(invalid="ignore"):  # where all are the same infinity
        extent = x.max() / 2 - x.min() / 2
    if extent < f.largest / 4:
        return x  # far from overflow; with NaN or infinities the comparison is false
    # Halved, as the difference of two float64 may overflow, and the omega of float64 is no float64.
    bound = f.omega / 2 if dtype != "float64" else np.nextafter(f.largest / 2, np.inf)
    m = x.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        beyond = np.isfinite(x) & np.isfinite(m) & (m / 2 - x / 2 >= bound)
    return np.where(beyond, -np.inf, x) if beyond.any() else x


def _shifting_dtype(dtype: str, convention: Convention) -> str:
    """The dtype in which the logits are subtracted."""
    narrowed = dtype == "float64" and convention.wide_inputs == "narrowed"
    widened = dtype != "float64" and convention.overflowing_shift == "infinite_float32"
    return "float32" if narrowed or widened else dtype


def _with_infinite_logits(rows: _Rows, x: Array, labels: Array | None, convention: Convention) -> _Rows:
    """NaN for rows that form inf - inf: at a label of +inf, or in any class of a soft target."""
    if convention.infinite_logits != "nan_where_met" or not x.shape[1]:
        return rows
    met = np.isposinf(x) & rows.kept[:, None]  # the label of an ignored row is none
    at_target = met.any(axis=1) if labels is None else met[np.arange(len(x)), labels]
    several = (met.sum(axis=1) > 1) & ~at_target  # they have no limit, and do not meet in inf - inf either
    return rows._replace(forced=np.where(at_target, LOST_ROW, rows.forced), unjudged=rows.unjudged | several)


def _without_answer(problem: Problem, weight: Array | None, q: Array | None) -> Array:
    """The rows without an exact answer: no classes, an infinite weight, an infinite target."""
    if problem.classes == 0 or (weight is not None and np.isinf(weight).any()):
        return np.ones(problem.rows, bool)
    return np.zeros(problem.rows, bool) if q is None else np.asarray(np.isinf(q).any(axis=1))


def _beyond_parameters(x: Array, problem: Problem, own: Parameters) -> Array:
    """The rows for which parameters name no value.

    Logits near the largest number may overflow when they are divided, and the square of their logsumexp earlier; the
    logsumexp of +inf has none; and whether class weights apply to a z-loss is not defined.
    """
    out = np.zeros(problem.rows, bool)
    if own.temperature == 1 and not own.z_loss:
        return out
    largest = format_of(problem.dtype).largest / 4
    finite = np.where(np.isfinite(x), np.abs(x), 0.0).max(axis=1, initial=0.0)
    if own.temperature != 1:
        out |= finite > largest * min(1.0, own.temperature)
    if own.z_loss:
        out |= finite > math.sqrt(largest) * own.temperature
        out |= np.isposinf(x).any(axis=1) | (problem.weight is not None)
    return out


def _clip(convention: Convention, *, wide: bool) -> tuple[float, float] | None:
    """The bounds of the clip; where the arithmetic has no number between 1 - epsilon and 1, the upper bound is 1."""
    own = convention.parameters.clip
    if convention.inputs != "probabilities" or not (own or convention.probability_clip != "none"):
        return None
    low = own or float(convention.probability_clip)
    return low, 1 - low if wide or np.float32(1 - low) < 1 else 1.0


def _has_log_of_zero(x: Array, forced: Array, convention: Convention) -> bool:
    return convention.inputs == "probabilities" and bool((x[forced != 0] == 0).any())


def _upstream(problem: Problem, *, narrowed: bool) -> Array:
    if problem.cotangent is None:
        return np.ones(problem.rows)
    return np.broadcast_to(_exactly(problem.cotangent, narrowed=narrowed).reshape(-1), (problem.rows,)).copy()


def _exactly(array: Array, *, narrowed: bool) -> Array:
    """The values in float64, rounded to float32 first where 64-bit inputs are narrowed."""
    with np.errstate(over="ignore"):
        return (array.astype(np.float32) if narrowed else array).astype(np.float64, order=fast_order(array.shape))
