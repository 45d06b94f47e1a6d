"""Questions: a problem under a convention, every choice resolved; nothing is left but numbers.

Two conventions that differ only in what a problem does not touch give questions with the same `key`, so that their
answers are computed once and a difference between them is never reported.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np

from logitmus.core.convention import Convention
from logitmus.core.floats import Array, format_of
from logitmus.core.problem import DEFAULT_REDUCTION, Problem

LOST_ROW = np.nan


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be computed.

    Attributes (R rows, K classes; float64 holds every input exactly):
        inputs, log_base, probability_scale, soft_target_gradient: as in `Convention`.
        clip: the bounds that probabilities are clipped to, or None.
        x: (R, K). labels: (R,) int64 in [0, K), or None. q: (R, K) target probabilities, or None.
        weight: (K,) or None. eps, spread, weigh: label smoothing, where it goes, whose weight it carries.
        kept: (R,) rows that are read. forced: (R,) NaN or 0 where a convention names the row's value, else 1.
        unjudged: (R,) rows for which the convention names no value.
        reduction: "none", "sum" or "mean", also where the problem asks for none.
        divisor: the terms whose exact sum a mean divides by (class weights, or one count).
        upstream: (R,) cotangent of each row, before a mean divides.
        refused: why an exception is the expected answer; None: it is not.
        fixed: the whole result, where a convention names it (the mean of no rows); None: computed.
        nan_products: 0 * inf is NaN. nan_infinities: a +inf logit gives NaN.
        open_infinities: the gradient at a +inf logit is whatever inf - inf makes of it.
        narrowed: 64-bit inputs were rounded to 32 bits, and results are as precise as that.
    """

    inputs: str
    log_base: str
    clip: tuple[float, float] | None
    probability_scale: str
    soft_target_gradient: str
    x: Array
    labels: Array | None
    q: Array | None
    weight: Array | None
    eps: float
    spread: str
    weigh: str
    kept: Array
    forced: Array
    unjudged: Array
    reduction: str
    divisor: Array
    upstream: Array
    refused: str | None = None
    fixed: float | None = None
    nan_products: bool = False
    nan_infinities: bool = False
    open_infinities: bool = False
    narrowed: bool = False

    @cached_property
    def key(self) -> str:
        """A digest of all fields: questions with one key have one answer."""
        digest = hashlib.blake2b(digest_size=16)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                digest.update(f"{field.name} {value.dtype.str} {value.shape} {value.flags.c_contiguous};".encode())
                digest.update(value.ravel(order="K").data)
            else:
                digest.update(f"{field.name} {value!r};".encode())
        return digest.hexdigest()

    @property
    def rows(self) -> int:
        return int(self.x.shape[0])

    @property
    def classes(self) -> int:
        return int(self.x.shape[1])

    @property
    def has_answer(self) -> bool:
        """Whether any row has a value that the convention names (an empty batch has one, too)."""
        return self.classes > 0 and not (self.rows and bool(self.unjudged.all()))

    @cached_property
    def denominator(self) -> float:
        """What a mean divides by, correctly rounded: exactly 0 iff the exact sum is 0."""
        return math.fsum(self.divisor) if np.isfinite(self.divisor).all() else float(self.divisor.sum())

    @cached_property
    def effective(self) -> tuple[Array, Array, Array]:
        """`effective_in` float64."""
        return self.effective_in(np.float64)

    @property
    def hard(self) -> bool:
        """Whether each row has one target, its label."""
        return self.labels is not None and not self.eps

    @cached_property
    def lone(self) -> Array:
        """(R,): the label of a row's only target, -1: it has none or several."""
        if not self.hard or self.labels is None:
            return self.effective[2]
        return self.labels if self.weight is None else np.where(self.weight[self.labels] != 0, self.labels, -1)

    @cached_property
    def target_size(self) -> Array:
        """(R,): H, the sum of the magnitudes of a row's targets."""
        if not self.hard or self.labels is None:
            return np.asarray(self.effective[1].sum(axis=1))
        return np.ones(self.rows) if self.weight is None else np.abs(self.weight[self.labels])

    def effective_in(self, dtype: Any) -> tuple[Array, Array, Array]:
        """Effective targets a_k, their magnitudes h_k (both (R, K)) and the labels of lone targets (R,), -1: none.

        a_k = w_k((1-eps) q_k + eps/K), h_k = |w_k|(|1-eps||q_k| + |eps|/K); docs/accuracy.md, section 1.
        """
        classes = self.classes
        q = (self.q if self.q is not None else one_hot(self.labels, classes)).astype(dtype, copy=False)
        a, h = q, np.abs(q)
        if self.eps:
            others = self.spread == "others"
            eps = dtype(self.eps)
            base = eps / max(classes - 1, 1) if others else eps / classes
            share = np.where(q != 0, 0.0, base) if others else base
            a, h = (1 - eps) * q + share, abs(1 - eps) * np.abs(q) + np.abs(share)
        if self.weight is not None:
            w = self.weight.astype(dtype, copy=False)
            if self.weigh == "target" and self.labels is not None:
                w = w[self.labels][:, None]
            a, h = a * w, h * np.abs(w)
        nonzero = a != 0
        lone = np.where(nonzero.sum(axis=1) == 1, nonzero.argmax(axis=1) if classes else 0, -1)
        return a, h, lone

    @cached_property
    def log_inputs(self) -> Array:
        """What takes the place of logits in float64: x itself, or log of the (scaled, clipped) probabilities."""
        if self.inputs != "probabilities":
            return self.x
        p = self.x
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.probability_scale == "before_clip":
                p = p / p.sum(axis=1, keepdims=True)
            if self.clip is not None:
                p = np.clip(p, *self.clip)
            return np.log(p)


def _order(shape: tuple[int, ...]) -> Literal["C", "F"]:
    """How (R, K) is laid out: NumPy's inner loops are to run along the longer axis."""
    return "F" if len(shape) == 2 and shape[0] > shape[1] else "C"


def one_hot(labels: Array | None, classes: int) -> Array:
    """(R, K) float64 with 1 at each label."""
    if labels is None:
        raise ValueError("one_hot needs labels")
    shape = labels.shape[0], classes
    out = np.zeros(shape, order=_order(shape))
    out[np.arange(len(labels)), labels] = 1.0
    return out


def reduction_of(problem: Problem, convention: Convention) -> str:
    """How the rows of a problem are reduced: as it says, or as the convention does by default."""
    return convention.default_reduction if problem.reduction == DEFAULT_REDUCTION else problem.reduction


def ask(problem: Problem, convention: Convention) -> Question:
    """The question that `problem` is under `convention`."""
    narrowed = convention.wide_inputs == "narrowed" and problem.dtype == "float64"
    x = _exactly(problem.logits.reshape(problem.rows, problem.classes), narrowed=narrowed)
    rows = problem.rows
    labels, q, kept, forced, unjudged, refused = _targets(problem, convention)
    weight = None if problem.weight is None else _exactly(problem.weight, narrowed=narrowed)
    eps = 0.0 if convention.smoothing == "dropped" else problem.label_smoothing
    reduction = reduction_of(problem, convention)
    divisor = _divisor(problem, convention, reduction, labels, weight, kept)
    fixed = _fixed(problem, convention, divisor) if reduction == "mean" else None
    if fixed == "error":
        refused, fixed_value = "the mean of nothing", None
    else:
        fixed_value = None if fixed is None else {"nan": np.nan, "zero": 0.0}[fixed]
    if convention.ignored_row == "nan_leaks" and not kept.all():
        leaking = ~kept & ~np.isfinite(x).all(axis=1)
        forced = np.where(leaking, LOST_ROW, forced)
    if (forced == 0).any():
        x = np.where((forced == 0)[:, None], 0.0, x)  # not read, whatever is in it
    if convention.overflowing_shift != "exact":
        x = _overflowed(x, _shifting_dtype(problem.dtype, convention))
    if convention.infinite_logits == "nan_where_met" and problem.classes:
        met = np.isposinf(x)
        at_target = met.any(axis=1) if labels is None else met[np.arange(rows), labels]
        forced = np.where(at_target, LOST_ROW, forced)
        unjudged = unjudged | ((met.sum(axis=1) > 1) & ~at_target)  # several: no limit, and no inf - inf either
    if problem.classes == 0 or (weight is not None and np.isinf(weight).any()):
        unjudged = np.ones(rows, bool)  # no classes, or an infinite weight: no answer
    if q is not None and q.size:
        unjudged = unjudged | np.isinf(q).any(axis=1)
    infinite = bool(np.isposinf(x).any())
    may_be_infinite = not bool(np.isfinite(x).all()) or _has_log_of_zero(x, forced, convention)
    scale = convention.probability_scale
    if scale != "none" and convention.probability_clip == "none":
        scale = "before_clip"  # without a clip there is no before and after
    return Question(
        inputs=convention.inputs,
        log_base=convention.log_base,
        clip=_clip(convention, wide=problem.dtype == "float64" and not narrowed),
        probability_scale=scale if convention.inputs == "probabilities" else "none",
        soft_target_gradient=convention.soft_target_gradient if q is not None else "scaled",
        x=x,
        labels=labels,
        q=q,
        weight=weight,
        eps=eps,
        spread=convention.smoothing if eps else "uniform",
        weigh=convention.smoothing_weights if eps and weight is not None else "per_class",
        kept=kept,
        forced=forced,
        unjudged=unjudged,
        reduction=reduction,
        divisor=divisor,
        upstream=_upstream(problem, rows, narrowed=narrowed),
        refused=refused,
        fixed=fixed_value,
        nan_products=may_be_infinite and convention.zero_times_infinity == "nan",
        nan_infinities=infinite and convention.infinite_logits == "nan",
        open_infinities=infinite and convention.infinite_logits == "nan_where_met",
        narrowed=narrowed,
    )


def _has_log_of_zero(x: Array, forced: Array, convention: Convention) -> bool:
    return convention.inputs == "probabilities" and bool((x[forced != 0] == 0).any())


def _shifting_dtype(dtype: str, convention: Convention) -> str:
    """The dtype that the logits' differences are formed in."""
    narrowed = dtype == "float64" and convention.wide_inputs == "narrowed"
    widened = dtype != "float64" and convention.overflowing_shift == "infinite_float32"
    return "float32" if narrowed or widened else dtype


def _overflowed(x: Array, dtype: str) -> Array:
    """x with -inf where a finite logit lies so far below the largest one that the difference rounds to infinity."""
    if not x.size:
        return x
    f = format_of(dtype)
    with np.errstate(invalid="ignore"):  # where all are the same infinity
        extent = x.max() / 2 - x.min() / 2
    if extent < f.largest / 4:
        return x  # nowhere near; NaN and infinities go on
    # Halved, for the difference of two float64 may be beyond float64, whose own omega is no number in it.
    bound = f.omega / 2 if dtype != "float64" else np.nextafter(f.largest / 2, np.inf)
    m = x.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        beyond = np.isfinite(x) & np.isfinite(m) & (m / 2 - x / 2 >= bound)
    return np.where(beyond, -np.inf, x) if beyond.any() else x


def _exactly(array: Array, *, narrowed: bool) -> Array:
    """The values in float64, rounded to float32 first where 64-bit inputs are narrowed."""
    with np.errstate(over="ignore"):
        return (array.astype(np.float32) if narrowed else array).astype(np.float64, order=_order(array.shape))


def _upstream(problem: Problem, rows: int, *, narrowed: bool) -> Array:
    if problem.cotangent is None:
        return np.ones(rows)
    return np.broadcast_to(_exactly(problem.cotangent, narrowed=narrowed).reshape(-1), (rows,)).copy()


def _targets(
    problem: Problem, convention: Convention
) -> tuple[Array | None, Array | None, Array, Array, Array, str | None]:
    """Labels or probabilities, with the rows kept, the rows whose value a convention names, and a refusal."""
    rows, classes = problem.rows, problem.classes
    kept, forced, unjudged = np.ones(rows, bool), np.ones(rows), np.zeros(rows, bool)
    if problem.target_kind == "probabilities":
        narrowed = convention.wide_inputs == "narrowed" and problem.dtype == "float64"
        q = _exactly(problem.targets.reshape(rows, classes), narrowed=narrowed)
        ignores = problem.ignore_index is not None and 0 <= problem.ignore_index < classes
        if ignores and convention.ignore_with_probabilities == "one_hot":
            kept = ~(q == np.eye(classes)[problem.ignore_index]).all(axis=1)
        refuses = ignores and convention.ignore_with_probabilities == "error"
        return None, q, kept, forced, unjudged, "an ignored label beside probabilities" if refuses else None
    raw = problem.targets.reshape(rows)
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
    for bad, choice, what in (
        (kept & np.asarray(wide >= classes, bool), convention.label_out_of_range, "a label >= K"),
        (kept & np.asarray(wide < 0, bool), convention.label_negative, "a negative label"),
    ):
        if bad.any():
            refused = what if choice == "error" else refused
            labels, value = _repaired(labels, bad, classes, choice)
            unjudged = unjudged | (bad & (choice == "garbage"))
            forced = np.where(bad, value, forced)
    return labels, None, kept, forced, unjudged, refused


def _repaired(labels: Array, bad: Array, classes: int, choice: str) -> tuple[Array, Array | float]:
    """Labels in range, and the value that bad rows are forced to (1: none)."""
    match choice:
        case "wrap":  # one turn only: beyond it a wrapping implementation finds nothing
            wrapped = np.where(bad, np.where(labels < 0, labels + classes, labels - classes), labels)
            lost = bad & ((wrapped < 0) | (wrapped >= classes))
            return np.where(lost, 0, wrapped), np.where(lost, LOST_ROW, 1.0)
        case "clamp":
            return np.where(bad, np.clip(labels, 0, max(classes - 1, 0)), labels), 1.0
        case _:
            return np.where(bad, 0, labels), {"nan": LOST_ROW, "zero": 0.0}.get(choice, 1.0)


def _clip(convention: Convention, *, wide: bool) -> tuple[float, float] | None:
    """The bounds of the clip; where the arithmetic has no number between 1 - epsilon and 1, the upper one is 1."""
    if convention.inputs != "probabilities" or convention.probability_clip == "none":
        return None
    low = float(convention.probability_clip)
    return low, 1 - low if wide or np.float32(1 - low) < 1 else 1.0


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


def _fixed(problem: Problem, convention: Convention, divisor: Array) -> str | None:
    """What a convention names in place of a mean of nothing; None: there is something."""
    if problem.rows == 0:
        return convention.empty_batch_mean
    if math.fsum(np.where(np.isfinite(divisor), divisor, 1.0)) == 0:
        return convention.all_ignored_mean
    return None
