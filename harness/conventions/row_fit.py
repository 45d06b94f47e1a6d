"""The numbers of a row model whose form is given: refined, with their ranges, and tested.

Gauss-Newton on the parameters, with long double residuals; coefficients by least squares. The true form converges
quadratically, so a search whose residual does not fall to a third in three steps is ended.

**Intervals.** Let r = A theta + error, |error_i| <= b_i, and a' A = g'. Then g' theta is within sum |a_i| b_i of a' r,
whatever a is. By the duality of linear programs the best such a gives the exact range of g' theta; reweighted least
squares come close to it, and any a is a proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from logitmus.conventions.simple_numbers import Interval
from logitmus.core.floats import Array
from logitmus.oracle import arithmetic, row_model
from logitmus.oracle.arithmetic import EXACT, Level
from logitmus.oracle.parameter import Parameter
from logitmus.oracle.row_model import (
    INPUTS,
    LABELS,
    OF_SIGMOID,
    PENALTIES,
    SIGMOID_TERMS,
    TAKES_PROBABILITIES,
    TERMS,
    RowModel,
)

# What is plausible. Without it absurd models pass, such as a margin of -40 with a focal exponent of -60.
_RANGES: Final = MappingProxyType(
    {
        "s": (1e-3, 1e3),
        "c": (0.1, 1e3),
        "n": (-0.95, 1e6),
        "m": (-20.0, 20.0),
        "e": (1e-40, 0.45),
        "g": (0.05, 10.0),
        "q": (0.01, 1.5),
    }
)

_ADDITIVE: Final = frozenset({"n", "m"})  # may be negative; the others are refined by ratios


@dataclass(frozen=True)
class Rows:
    """Rows of K classes, and the losses observed: x (R, K) float64, labels (R,), r (R,) long double."""

    x: Array
    labels: Array
    r: Array

    def __len__(self) -> int:
        return len(self.r)

    @property
    def classes(self) -> int:
        return int(self.x.shape[-1])

    def at(self, where: Array) -> Rows:
        """Some of the rows."""
        return Rows(self.x[where], self.labels[where], self.r[where])

    def through(self, outer: str) -> Rows:
        """As the outer function would have got them."""
        if outer == "exp":
            return replace(self, r=np.log(self.r))
        return replace(self, r=np.sqrt(self.r)) if outer == "square" else self


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of the same number of classes, together."""
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "labels", "r")))


@dataclass(frozen=True)
class Form:
    """What is not a number in a row model."""

    label: str
    inputs: str
    penalty: str
    outer: str = ""

    @property
    def parameters(self) -> tuple[str, ...]:
        return (*INPUTS[self.inputs], *PENALTIES[self.penalty])

    @property
    def terms(self) -> tuple[str, ...]:
        return SIGMOID_TERMS if self.inputs in OF_SIGMOID else TERMS


@dataclass(frozen=True)
class Fit:
    """A form with numbers: parameters, and the coefficients of its terms, fitted at a given number of classes.

    share: the largest deviation of a row as a multiple of its budget. jacobian: (R, n), of terms, then of parameters.
    deviation, allowed: (R,) r - prediction, and budgets.
    """

    form: Form
    theta: Mapping[str, Any]
    terms: Mapping[str, Any]
    share: float
    jacobian: Array = field(repr=False)
    deviation: Array = field(repr=False)
    allowed: Array = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.terms, *self.theta)

    @property
    def vector(self) -> Array:
        return np.array([*self.terms.values(), *self.theta.values()], EXACT)


def known(fit: Fit) -> float:
    """The bits that the rows say about a fit."""
    with np.errstate(all="ignore"):
        bits = np.log2(np.abs(fit.jacobian[:, : len(fit.terms)] @ fit.vector[: len(fit.terms)]) / (4 * fit.allowed))
    return float(np.where(np.isfinite(bits) & (bits > 0), bits, 0).sum())


def relative(fit: Fit, rows: Rows) -> float:
    size = np.abs(rows.r) + 1e-3 * np.median(np.abs(rows.r))
    return float(np.sqrt(np.mean((fit.deviation / size) ** 2)))


def refine(
    rows: Rows,
    form: Form,
    names: Sequence[str],
    start: Mapping[str, Any],
    level: Level,
    *,
    hasty: bool = False,
) -> Fit | None:
    """Parameters and coefficients together, by Gauss-Newton from a starting point.

    Args:
        rows: as the outer function would have got them. hasty: weights by the results; no budget is computed.

    Returns:
        None: it does not converge, leaves the plausible range, or there are fewer rows than unknowns.
    """
    theta = {name: EXACT(number) for name, number in start.items()}
    if len(rows) <= len(names) + len(theta):
        return None
    labels = LABELS[form.label](rows.labels, rows.classes)
    size = np.abs(rows.r) + 1e-3 * np.median(np.abs(rows.r))
    scale = size * max(level.v, 2.0**-53)
    coefficients, history, final = None, [], None
    for step in range(14):
        columns, slopes = _with_slopes(rows.x, labels, form, names, theta)
        if not np.isfinite(columns).all():
            return None
        if coefficients is None or not theta:
            coefficients = _least_squares(columns, rows.r, scale, hasty=hasty)
        deviation = rows.r - columns @ coefficients
        jacobian = np.concatenate([columns, (slopes @ coefficients).T], axis=1)
        if not np.isfinite(jacobian).all():
            return None
        if not hasty and step >= 1:
            scale = _allowed(rows, form, names, theta, coefficients, level)
            if not np.isfinite(scale).all():
                return None
        shift = _least_squares(jacobian, deviation, scale, hasty=hasty)
        worst = float(np.max(np.abs(deviation) / scale))
        history.append(float(np.sqrt(np.mean((deviation / size) ** 2))))
        if (hasty and history[-1] == min(history)) or (
            not hasty and step >= 1 and (final is None or worst <= final.share)
        ):
            final = Fit(form, theta, dict(zip(names, coefficients, strict=True)), worst, jacobian, deviation, scale)
        settled = step >= (1 if hasty else 2) and (
            not theta or worst <= 0.3 or (step > 3 and history[-1] > 0.5 * history[-2])
        )
        if (
            settled
            or (step >= 3 and history[-1] > history[-4] / 3)
            or (hasty and step >= 2 and len(theta) < 2 and history[-1] > history[-3] * 0.7)
        ):
            break
        coefficients = coefficients + shift[: len(names)]
        theta = _moved(theta, shift[len(names) :])
    if final is None or any(not _RANGES[k][0] <= float(v) <= _RANGES[k][1] for k, v in final.theta.items()):
        return None
    return final


def _moved(theta: Mapping[str, Any], shift: Array) -> dict[str, Any]:
    """The parameters after a step, which is bounded."""
    out = {}
    for (name, number), change in zip(theta.items(), shift, strict=True):
        low, high = _RANGES[name]
        if name in _ADDITIVE:
            most = max(abs(number), EXACT(0.5))
            out[name] = min(max(number + min(max(change, -most), most), EXACT(low)), EXACT(high))
        else:
            ratio = min(max(change / number, EXACT(-0.6)), EXACT(1.5))
            out[name] = min(max(number * (1 + ratio), EXACT(low)), EXACT(high))
    return out


def columns_at(x: Array, labels: Array, form: Form, names: Sequence[str], points: Sequence[Mapping[str, Any]]) -> Array:
    """The terms of these names at each point, that is, with these parameters: (G, R, n) long double.

    All points are computed in one pass, as further rows: with so few rows, NumPy's cost is the number of calls.
    """
    numbers = arithmetic.exact()
    count = len(points)
    theta = {name: np.repeat(np.array([point[name] for point in points], EXACT), len(x)) for name in points[0]}
    rows, targets = np.tile(x, (count, 1)), np.tile(labels, count)
    with np.errstate(all="ignore"):
        terms = row_model.terms_of(
            form.inputs, form.penalty, row_model.by_row(theta), numbers.array(rows), targets, numbers, names=names
        )
    return np.stack([terms[name] for name in names], axis=-1).reshape(count, len(x), len(names))


def _with_slopes(
    x: Array, labels: Array, form: Form, names: Sequence[str], theta: Mapping[str, Any]
) -> tuple[Array, Array]:
    """The terms, (R, n), and their derivatives by the parameters, (P, R, n).

    The derivatives are central differences: good to 1e-9 in long double.
    """
    points, steps = [theta], []
    for name, number in theta.items():
        h = EXACT(2) ** -22 * max(abs(number), EXACT(2) ** -110)
        points += [{**theta, name: number + h}, {**theta, name: number - h}]
        steps.append(2 * h)
    columns = columns_at(x, labels, form, names, points)
    return columns[0], (columns[1::2] - columns[2::2]) / np.array(steps, EXACT)[:, None, None]


def _allowed(
    rows: Rows, form: Form, names: Sequence[str], theta: Mapping[str, Any], coefficients: Array, level: Level
) -> Array:
    """The budgets of the rows; behind an outer function, those of its argument."""
    model = raw_model(replace(form, outer=""), theta, dict(zip(names, coefficients, strict=True)))
    _value, allowed = row_model.budget(model, rows.x, rows.labels, level)
    if form.outer == "exp":
        return np.asarray(allowed + 10 * level.u)
    return np.asarray(allowed)


def raw_model(form: Form, theta: Mapping[str, Any], terms: Mapping[str, Any]) -> RowModel:
    return RowModel(
        label=form.label,
        inputs=form.inputs,
        penalty=form.penalty,
        outer=form.outer,
        theta={name: Parameter(number) for name, number in theta.items()},
        core=False,
        terms={name: Parameter(number) for name, number in terms.items()},
    )


def _least_squares(a: Array, b: Array, scale: Array, *, hasty: bool) -> Array:
    """Weighted least squares, with refinement of the solution by long double residuals.

    Args:
        hasty: without the refinement, in float64.
    """
    a, b = a / scale[:, None], b / scale
    norms = np.sqrt((a * a).sum(axis=0))
    norms = np.where(norms > 0, norms, 1)
    try:
        if hasty:
            solution = np.linalg.lstsq((a / norms).astype(np.float64), b.astype(np.float64), rcond=1e-13)[0]
            return np.asarray(solution / norms)
        inverse = np.linalg.pinv((a / norms).astype(np.float64), rcond=1e-13)
    except np.linalg.LinAlgError:  # numbers without a solution: the caller sees that nothing is finite
        return np.full(a.shape[1], np.nan, EXACT)
    x = np.zeros(a.shape[1], EXACT)
    for _ in range(3):
        rest = (b - a @ x).astype(np.longdouble)
        size = np.max(np.abs(rest)) if len(rest) else 0
        if not size or not np.isfinite(size):
            break
        x = x + (inverse @ (rest / size).astype(np.float64)) * size / norms
    return x


def bounds(fit: Fit, functional: Array) -> Interval:
    """The range of a linear function of the fitted numbers over all that keep every row within its budget."""
    a = (fit.jacobian / fit.allowed[:, None]).astype(np.float64)
    norms = np.sqrt((a * a).sum(axis=0))
    norms = np.where(norms > 0, norms, 1)
    a = a / norms
    g = functional.astype(np.float64) / norms
    best, least = np.zeros(len(a)), np.inf
    weights = np.ones(len(a))
    for _ in range(20):
        root = np.sqrt(weights)
        try:  # the least-norm solution
            combination = root * np.linalg.lstsq((root[:, None] * a).T, g, rcond=1e-14)[0]
        except np.linalg.LinAlgError:
            break
        size = np.abs(combination).sum()
        # Only a combination that really gives the functional is a proof.
        if np.abs(a.T @ combination - g).max() > 1e-6 * max(np.abs(g).max(), 1e-300):
            break
        if size < least:
            best, least = combination, size
        weights = np.abs(combination) + 1e-6 * size / len(a)
    middle = functional @ fit.vector + best @ (fit.deviation / fit.allowed)
    # What the rows do not determine may be anything.
    return Interval(middle, EXACT(least) * (1 + 1e-6) if np.isfinite(least) else np.abs(middle) * 1e6 + 1e6)


def worst_share(model: RowModel, tested: Iterable[Rows], level: Level) -> float:
    """The largest deviation as a multiple of the budget; infinite where an infinity or NaN is not predicted."""
    worst = 0.0
    for rows in tested:
        if len(rows):
            worst = max(worst, float(shares(model, rows, level).max()))
    return worst


def shares(model: RowModel, rows: Rows, level: Level) -> Array:
    """Each row's deviation as a multiple of its budget, (R,); NaN that is predicted is 0, otherwise infinite."""
    with np.errstate(all="ignore"):
        value, allowed = row_model.budget(model, rows.x, rows.labels, level)
        share = np.abs(rows.r - value) / allowed
        same = (rows.r == value) | (np.isnan(rows.r) & np.isnan(value))
    # Probabilities below 0 or of sum 0 have no loss: whatever comes is no evidence.
    if model.inputs in TAKES_PROBABILITIES:
        same |= ~np.isfinite(value)
    if model.inputs == "probabilities_scaled":
        same |= rows.x.sum(axis=-1) == 0
    return np.where(same, 0.0, np.where(np.isfinite(share), share, np.inf)).astype(np.float64)


def information(model: RowModel, tested: Iterable[Rows], level: Level) -> float:
    """The bits that the rows say about the model: how much narrower their budgets are than their values."""
    out = 0.0
    for rows in tested:
        with np.errstate(all="ignore"):
            value, allowed = row_model.budget(model, rows.x, rows.labels, level)
            bits = np.log2(np.abs(value) / (4 * allowed))
        out += float(np.where(np.isfinite(bits) & (bits > 0), bits, 0).sum())
    return out
