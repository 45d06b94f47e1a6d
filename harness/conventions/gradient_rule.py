"""Does the gradient follow from the model? If not, which other rule gives it?

A right gradient lies within the model's budget on every row. Another rule is named only if it gives every gradient to
rounding: some terms of the loss left out (detached), a constant factor, the gradient of plain cross-entropy, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from logitmus.conventions.simple_numbers import Interval, simplest
from logitmus.core.floats import Array
from logitmus.oracle import row_model, sentence
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import FunctionModel, narrowed
from logitmus.oracle.model_prediction import gradient_rounding
from logitmus.oracle.parameter import ONE, Parameter
from logitmus.oracle.row_model import PLAIN, TAKES_PROBABILITIES, RowModel

OTHER: Final = "the gradient is not that of the loss"
Rows = tuple[Array, Array, Array]  # logits (R, K), labels (R,), gradients (R, K)


def gradient_rule(model: FunctionModel, observed: Sequence[Rows]) -> str:
    """In words how the gradient is not that of the loss; "" where it is, or where there are no gradients.

    Args:
        observed: rows with gradients, by number of classes. Where the model takes probabilities, rows of other numbers
            say nothing.
    """
    if model.row.inputs in TAKES_PROBABILITIES:
        observed = [_at(rows, np.all((rows[0] >= 0) & (rows[0] <= 1), axis=1)) for rows in observed]
    if not observed or all(_within(model, rows) for rows in observed):
        return ""
    if all(not gradient.any() for _, _, gradient in observed):
        return "the gradient is 0 everywhere"
    return _by_terms(model, observed) or OTHER


def _at(rows: Rows, where: Array) -> Rows:
    x, labels, gradients = rows
    return x[where], labels[where], gradients[where]


def _within(model: FunctionModel, rows: Rows) -> bool:
    x, labels, observed = rows
    with np.errstate(all="ignore"):
        exact, bound = model.gradient_of_rows(x, labels)
        bound = bound + gradient_rounding(model, x, labels, exact, np.arange(x.shape[-1]))
        right = np.abs(observed - exact) <= bound
    return bool((right | ~np.isfinite(exact)).all())


def _by_terms(model: FunctionModel, observed: Sequence[Rows]) -> str:
    """The gradient as a combination of the gradients of the terms of the loss."""
    row = model.row
    parts: dict[str, RowModel] = {}
    if row.outer:
        return ""
    if row.core:
        parts["target"] = replace(row, smoothing=None, terms={}, factor=ONE)
        if row.smoothing is not None:
            parts["mean"] = replace(row, core=False, smoothing=None, terms={"mean": ONE}, inside=False)
    for name in row.terms:
        if name != "one":
            parts[name] = replace(row, core=False, smoothing=None, terms={name: ONE}, inside=False)
    solved = _combination(model, parts, observed)
    coefficients = {len(x[0]): row.coefficients(len(x[0])) for x, _, _ in observed}
    by_terms = _in_words(solved, coefficients) if solved is not None else ""
    if by_terms and "times" not in by_terms:
        return by_terms
    if row != PLAIN and _combination(model, {"target": PLAIN}, observed) == {"target": 1.0}:
        return "the gradient is that of plain cross-entropy"
    lse = replace(PLAIN, core=False, terms={"lse": ONE})
    for name, found in _LONE.items():
        if _combination(model, {"target": PLAIN, "lse": lse}, observed) == found:
            return name
    return by_terms


_LONE: Final = {
    "the gradient is softmax alone: the target is not subtracted": {"target": 0.0, "lse": 1.0},
    "the gradient is minus the target alone: no softmax is added": {"target": 1.0, "lse": -1.0},
}


def _combination(model: FunctionModel, parts: dict[str, RowModel], observed: Sequence[Rows]) -> dict[str, float] | None:
    """The coefficients of the parts' gradients that give every gradient, if some do: the same for all rows."""
    columns: dict[str, list[Array]] = {name: [] for name in parts}
    bounds: dict[str, list[Array]] = {name: [] for name in parts}
    level = model.precisions.level(separate=True)
    for x, labels, _ in observed:
        for name, part in parts.items():
            with np.errstate(all="ignore"):
                slope, bound = row_model.gradient(part, narrowed(x, model.precisions), labels, level)
            columns[name].append(slope.ravel())
            bounds[name].append(bound.ravel())
    a = np.stack([np.concatenate(column) for column in columns.values()], axis=1)
    e = np.stack([np.concatenate(bound) for bound in bounds.values()], axis=1)
    g = np.concatenate([gradient.ravel() for _, _, gradient in observed]).astype(EXACT)
    usable = np.isfinite(a).all(axis=1) & np.isfinite(e).all(axis=1)
    a, e, g = a[usable], e[usable], g[usable]
    if len(g) < 4 * len(parts):
        return None
    c = np.zeros(len(parts), EXACT)
    inverse = np.linalg.pinv(a.astype(np.float64))
    for _ in range(3):
        c = c + inverse @ (g - a @ c).astype(np.float64)
    c = np.array(
        [simplest(Interval(v, max(abs(v) * 1e-4, EXACT(1e-9)) * (1e3 * level.v) ** 0.5)).value for v in c], EXACT
    )
    allowed = e @ np.abs(c) + 4 * level.u * np.abs(g) + level.least
    return dict(zip(parts, c.astype(float).tolist(), strict=True)) if (np.abs(g - a @ c) <= allowed).all() else None


_WORDS: Final = {
    "target": "cross-entropy",
    "mean": "smoothed",
    "lse2": "z-loss",
    "entropy": "entropy",
    "one_minus_p": "1 - p",
    "brier": "Brier",
    "lse": "logsumexp",
    "others": "other classes'",
    "x_t": "label's logit",
    "x_mean": "mean logit",
}


def _in_words(solved: dict[str, float], own: dict[int, dict[str, Array]]) -> str:
    ratios = {}
    for name, value in solved.items():
        wanted = {float(coefficients[name]) for coefficients in own.values()}
        if value and len(wanted) > 1:
            return ""  # the loss depends on the number of classes, and the gradient does not
        ratios[name] = value / next(iter(wanted)) if len(wanted) == 1 and next(iter(wanted)) else 0.0
    missing = [name for name, ratio in ratios.items() if abs(ratio) < 1e-9]
    kept = [ratio for name, ratio in ratios.items() if name not in missing]
    if not kept or max(kept) - min(kept) > 1e-6 * abs(kept[0]):
        return ""
    parts = []
    if missing:
        parts.append(f"the gradient leaves out the {' and the '.join(_WORDS[name] for name in missing)} term")
    if abs(kept[0] - 1) > 1e-6:
        amount = sentence.number(Parameter(EXACT(kept[0]), text=f"{kept[0]:.6g}"))
        parts.append(f"the gradient is {amount} times that of the loss")
    return ", ".join(parts)
