"""Which row model gives these losses? Screening of all forms, then the smallest that fits, then the test on all rows.

1. Screening. For every form (inputs and penalty) and every point of its parameters' grids, weighted least squares with
   all terms together: no subset of the terms can do better. All points at once, in float64.
2. Refinement of the best (`row_fit`), and the smallest subset of terms that still fits.
3. The same form at every other number of classes K; laws and simple numbers (`row_numbers`).
4. The test: every row, those held out included, within the model's own budget, or there is no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, product
from types import MappingProxyType
from typing import Final

import numpy as np

from logitmus.conventions import row_fit
from logitmus.conventions.row_fit import Fit, Form, Rows, information, joined, known, refine, relative, worst_share
from logitmus.conventions.row_numbers import models_of
from logitmus.core.floats import Array
from logitmus.oracle import row_model
from logitmus.oracle.arithmetic import EXACT, Level
from logitmus.oracle.parameter import Parameter
from logitmus.oracle.partial_sums import PARTIAL_SUMS
from logitmus.oracle.row_model import INPUTS, LABELS, PENALTIES, PLAIN, TAKES_PROBABILITIES, RowModel

_BITS: Final = 120.0  # that the rows must say, to name a form at all

_BITS_EACH: Final = 60.0  # ... and for every parameter

_AMPLE: Final = 600.0  # with so many bits to spare a form that fits is unique

_PROVISIONAL: Final = 3.0  # least squares may miss a row's budget by more than the true numbers do

_MOST_TERMS: Final = 4

_REFINED: Final = 14  # forms of each kind that are refined at most

_NEAR: Final = 0.05  # ... and within this share the smallest subsets of terms are tried

_FEWEST_PLAIN: Final = 30  # rows that plain cross-entropy predicts, to consider a sum that is wrong on the others

_WHOLE_NUMBERS: Final = (4, 8, 10, 16, 20, 32, 50, 64, 100, 128, 200, 256)

_HOPELESS: Final = 0.3  # a weighted residual beyond this share of the results is not refined


def _geometric(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(np.geomspace(low, high, count).tolist())


_GRIDS: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "s": _geometric(0.01, 100, 41),
        "c": _geometric(0.5, 200, 27),
        "n": (*_geometric(0.02, 1e5, 32), -0.5),
        "m": (-8, -4, -2, -1, -0.5, -0.2, 0.1, 0.2, 0.35, 0.5, 1, 2, 4, 8),
        "e": (*_geometric(1e-38, 1e-18, 20), *_geometric(1e-17, 0.3, 50)),
        "g": (0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 7),
        "q": (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0),
    }
)

_COARSE: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        **_GRIDS,
        "s": _geometric(0.05, 100, 18),
        "c": _geometric(1, 60, 9),
        "n": _geometric(0.1, 1e4, 10),
        "m": (-1, -0.5, -0.2, 0.1, 0.2, 0.35, 0.5, 1.0),
        "e": _geometric(1e-16, 0.1, 16),
        "g": (0.5, 1, 1.5, 2, 3, 5),
        "q": (0.1, 0.3, 0.5, 0.7, 0.9),
    }
)

_FREE: Final = tuple((i, "log") for i, names in INPUTS.items() if not names)

_SINGLE: Final = (
    *((i, "log") for i, names in INPUTS.items() if len(names) == 1 and i not in PARTIAL_SUMS),
    *(("x", p) for p, names in PENALTIES.items() if len(names) == 1),
    *product((*TAKES_PROBABILITIES, "softmax"), ("log_plus", "clip", "floor")),
    *product(TAKES_PROBABILITIES, ("focal", "generalized")),
    ("probabilities", "clip_scaled"),
    ("probabilities_scaled", "clip_scaled"),
    ("sigmoid", "focal"),
)

_DOUBLE: Final = (
    *product(("scale", "cap", "margin", "zeros"), ("focal", "log_plus", "clip", "floor")),
    *product(("x", *TAKES_PROBABILITIES), ("focal_log_plus", "focal_clip")),
    ("scale", "generalized"),
    ("scale_cap", "log"),
    ("scale_margin", "log"),
)

_TIERS: Final = ((_FREE, _GRIDS), (_SINGLE, _GRIDS), (_DOUBLE, _COARSE))


@dataclass(frozen=True)
class Found:
    """A model that predicts every row within its budget.

    Attributes:
        bits: its cost. spare: the bits of evidence to spare. share: of the budget that the worst row uses.
        numbers: how many numbers were fitted.
    """

    model: RowModel
    bits: float
    spare: float
    share: float
    numbers: int = 0


def search(
    by_classes: Mapping[int, Sequence[Rows]],
    held_out: Sequence[Rows],
    level: Level,
    labels: Sequence[str],
    at: int,
    *,
    simple: bool = False,
) -> list[Found]:
    """The models that predict all rows, simplest first; empty: none does.

    Args:
        by_classes: the rows to fit, by number of classes: those of logits, and those of probabilities.
        held_out: further rows to test. level: of the arithmetic. labels: of `LABELS`, which are tried in this order.
        at: the number of classes at which the form is looked for.
        simple: only forms with at most one parameter, and nothing made of the loss: a tenth of the time.
    """
    found: list[Found] = []
    for outer in ("",) if simple else row_model.OUTERS:
        for label in labels:
            for family in _families(by_classes[at], outer):
                for forms, grids in _TIERS[:2] if simple else _TIERS:
                    if outer and forms is not _FREE:
                        continue
                    chosen = [f for f in forms if (f[0] in TAKES_PROBABILITIES) == family.of_probabilities]
                    fits = 0
                    for fit in _fits(family.rows, label, outer, chosen, grids, level):
                        found += _completed(fit, family, by_classes, held_out, level)
                        fits += fit.share <= 1 and known(fit) > _AMPLE + _BITS_EACH * len(fit.names)
                    # Nothing else fits so many bits by chance: what fits here, but not elsewhere, is no model. Rows of
                    # probabilities do not say what becomes of other numbers: a clip shows elsewhere alone.
                    elsewhere = fits and not found and not family.of_probabilities
                    # Only a single number is beyond doubt at once: a temperature of 1.001 is, to first order, a factor
                    # and a share of the entropy, and in float32 both fit.
                    certain = any(candidate.spare > _AMPLE and candidate.numbers <= 1 for candidate in found)
                    if certain or elsewhere:
                        return sorted(found, key=lambda candidate: candidate.bits)
        if found:
            break
    return sorted(found, key=lambda candidate: candidate.bits)


def partial_sums(tested: Sequence[Rows], level: Level) -> list[Found]:
    """The losses with a wrong normalising sum that predict all rows, where plain cross-entropy predicts only some.

    Nothing is fitted: each of a few whole numbers is tested as it is.
    """
    tested = [rows for rows in tested if len(rows)]
    plain = [row_fit.shares(PLAIN, rows, level) <= 1 for rows in tested]
    if all(within.all() for within in plain) or sum(int(within.sum()) for within in plain) < _FEWEST_PLAIN:
        return []
    # Most of the losses fail at once on the rows that plain cross-entropy does not predict.
    telling = [rows.at(~within) for rows, within in zip(tested, plain, strict=True) if not within.all()]
    found = []
    for name, k in product(PARTIAL_SUMS, _WHOLE_NUMBERS):
        model = replace(PLAIN, inputs=name, theta={"k": Parameter(EXACT(k), text=str(k))})
        if any(worst_share(model, [rows], level) > 1 for rows in telling):
            continue
        share = worst_share(model, tested, level)
        if share <= 1:
            found.append(Found(model, bits=float(k), spare=information(model, tested, level), share=share))
    return found


@dataclass(frozen=True)
class _Family:
    """The rows on which forms of a kind are fitted: all finite ones, or those of probabilities."""

    rows: Rows
    of_probabilities: bool


def _families(parts: Sequence[Rows], outer: str, *, fewest: int = 12) -> Iterator[_Family]:
    logits, simplex = parts
    whole = joined([logits, simplex])
    finite = np.isfinite(whole.r)
    if outer:
        finite &= whole.r > 0
    if finite.sum() >= 0.6 * len(whole):
        yield _Family(whole.at(finite).through(outer), False)
    finite = np.isfinite(simplex.r)
    if finite.sum() >= fewest and not outer:
        yield _Family(simplex.at(finite), True)


def _completed(
    fit: Fit,
    family: _Family,
    by_classes: Mapping[int, Sequence[Rows]],
    held_out: Sequence[Rows],
    level: Level,
) -> Iterator[Found]:
    """The models that a fit at a number of classes leads to, with laws and simple numbers, if they hold for all."""
    fits = {family.rows.classes: fit}
    others = [
        (classes, other.rows)
        for classes, parts in by_classes.items()
        for other in _families(parts, fit.form.outer, fewest=6)
        if other.of_probabilities == family.of_probabilities and classes != family.rows.classes
    ]
    for classes, rows in others:
        again = refine(rows, fit.form, tuple(fit.terms), fit.theta, level)
        if fit.theta and (again is None or again.share > _PROVISIONAL):
            again = next(_smallest_at(rows, fit, level), again)
        if again is not None and again.share <= _PROVISIONAL:
            fits[classes] = again
        elif len(rows) > len(fit.names) + 2 and again is not None:
            return
    tested = [rows for parts in by_classes.values() for rows in parts] + list(held_out)
    for model, bits in models_of(fits, level):
        share = worst_share(model, tested, level)
        if share <= 1:
            spare = information(model, tested, level) - _BITS - _BITS_EACH * len(fit.names)
            if spare > 0:
                yield Found(model, bits, spare, share, len(fit.names))
                return


def _smallest_at(rows: Rows, fit: Fit, level: Level) -> Iterator[Fit]:
    """The same form from the neighbourhood of its parameters: they may depend on the number of classes."""
    for ratio in (0.5, 2.0, 0.25, 4.0, 1e-3):
        start = {name: number * EXACT(ratio) for name, number in fit.theta.items()}
        again = refine(rows, fit.form, tuple(fit.terms), start, level)
        if again is not None and again.share <= _PROVISIONAL:
            yield again


@lru_cache(maxsize=16)
def _grid_terms(
    forms: tuple[tuple[str, str], ...], grids: str, label: str, x: bytes, labels: bytes, classes: int
) -> list[tuple[tuple[str, str], list[dict[str, float]], Array]]:
    """For each form: its grid points, and all terms there, (G, R, F) float64. The same rows are used each time."""
    rows = np.frombuffer(x).reshape(-1, classes)
    at = LABELS[label](np.frombuffer(labels, np.int64), classes)
    source = _GRIDS if grids == "fine" else _COARSE
    out = []
    for inputs, penalty in forms:
        form = Form(label, inputs, penalty)
        points = [
            dict(zip(form.parameters, point, strict=True))
            for point in product(*(source[name] for name in form.parameters))
        ]
        columns = row_fit.columns_at(rows, at, form, form.terms, points)
        with np.errstate(over="ignore"):
            out.append(((inputs, penalty), points, columns.astype(np.float64)))
    return out


def _screened(
    rows: Rows, label: str, forms: Sequence[tuple[str, str]], grids: Mapping[str, tuple[float, ...]]
) -> list[tuple[float, tuple[str, str], dict[str, float]]]:
    """The weighted residual of the best points of each form, as a share of the results, best first."""
    r = rows.r.astype(np.float64)
    size = np.abs(r)
    weight = 1 / (size + 1e-3 * np.median(size) + 1e-300)
    goal = r * weight
    kind = "fine" if grids is _GRIDS else "coarse"
    tensors = _grid_terms(
        tuple(forms), kind, label, rows.x.tobytes(), rows.labels.astype(np.int64).tobytes(), rows.classes
    )
    out = []
    for form, points, columns in tensors:
        usable: Array = np.asarray(np.isfinite(columns).all(axis=(1, 2)))
        if not usable.any():
            continue
        a = columns[usable] * weight[:, None]
        norms = np.sqrt((a * a).sum(axis=1, keepdims=True))
        q = orthonormal(a / np.where(norms > 0, norms, 1))
        rest = goal - np.einsum("grf,gf->gr", q, np.einsum("grf,r->gf", q, goal))
        rest = rest - np.einsum("grf,gf->gr", q, np.einsum("grf,gr->gf", q, rest))
        residual = np.sqrt((rest * rest).sum(axis=1) / max((goal * goal).sum(), 1e-300))
        kept = [point for point, use in zip(points, usable, strict=True) if use]
        order = np.argsort(residual)
        names = (*INPUTS[form[0]], *PENALTIES[form[1]])
        out += [(float(residual[place]), form, kept[place]) for place in order[: 1 if not names else 3]]
    return sorted(out, key=lambda entry: entry[0])


def orthonormal(a: Array) -> Array:
    """Orthonormal bases of (G, R, F) columns; where columns depend on each other, with some other direction added."""
    q, _ = np.linalg.qr(a)
    return np.asarray(q)


def _fits(
    rows: Rows,
    label: str,
    outer: str,
    forms: Sequence[tuple[str, str]],
    grids: Mapping[str, tuple[float, ...]],
    level: Level,
) -> Iterator[Fit]:
    """Fits within budget, by form; of each form the smallest subsets of its terms."""
    if not len(rows) or not np.any(rows.r):
        return
    done: dict[tuple[str, str], int] = {}
    refined = 0
    for residual, (inputs, penalty), point in _screened(rows, label, forms, grids):
        form = Form(label, inputs, penalty, outer)
        if residual > _HOPELESS or refined >= _REFINED or done.get((inputs, penalty), 0) >= 2:
            continue
        if not form.parameters and residual > 1e-4 + 1e3 * level.noise:
            continue
        done[inputs, penalty] = done.get((inputs, penalty), 0) + 1
        refined += 1
        whole = refine(rows, form, form.terms, point, level, hasty=True)
        if whole is None:
            continue
        exact = relative(whole, rows) <= 1e-6 + 300 * level.noise
        if not exact and (not form.parameters or relative(whole, rows) > _NEAR):
            continue
        found = list(_smallest(rows, whole, level, exact=exact))
        yield from found
        if found:
            done[inputs, penalty] = 2


def _smallest(rows: Rows, whole: Fit, level: Level, *, exact: bool) -> Iterator[Fit]:
    """The fits with the fewest terms, from a fit with all of them."""
    r = rows.r.astype(np.float64)
    size = np.abs(r) + 1e-3 * np.median(np.abs(r))
    columns = {name: whole.jacobian[:, n].astype(np.float64) for n, name in enumerate(whole.terms)}
    # With all terms together the parameters may be poorly determined, although the fit is exact.
    limit = _HOPELESS if whole.theta else max(1e-7, 1e3 * relative(whole, rows), 3e3 * level.noise)
    # Beside all the other terms the parameters may not settle, although with the right terms they do.
    most, tried = (_MOST_TERMS, 4) if exact else (2, 2)
    for count in range(1, most + 1):
        subsets = list(combinations([name for name in columns if np.any(columns[name])], count))
        if not subsets:
            return
        a = np.stack([np.stack([columns[name] for name in names], -1) for names in subsets]) / size[:, None]
        norms = np.sqrt((a * a).sum(axis=1, keepdims=True))
        q = orthonormal(a / np.where(norms > 0, norms, 1))
        rest = r / size - np.einsum("grf,gf->gr", q, np.einsum("grf,r->gf", q, r / size))
        residual = np.sqrt((rest * rest).mean(axis=1))
        found = False
        for place in np.argsort(residual)[:tried]:
            if residual[place] > limit:
                break
            start = refine(rows, whole.form, subsets[place], whole.theta, level, hasty=True)
            if start is None or relative(start, rows) > 1e-6 + 300 * level.noise:
                continue
            fit = refine(rows, whole.form, subsets[place], start.theta, level)
            if fit is not None and fit.share <= _PROVISIONAL:
                found = True
                yield fit
        if found:
            return
