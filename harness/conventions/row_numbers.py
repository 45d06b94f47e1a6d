"""From fits at several numbers of classes to models: the law of every number in K, and the simple number it is.

Each quantity of a model (a parameter, the factor, the smoothing, the coefficient of a term) is an interval at every K.
A law is a constant c with theta(K) = c law(K) in all of them. That tells eps/K from eps/(K-1), a factor 1/K from
1/10, a padded block (n = -K mod 8) from a fixed block, and the constant of a KL divergence from any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from logitmus.conventions.row_fit import Fit, bounds
from logitmus.conventions.simple_numbers import Interval, Simple, simplest
from logitmus.core.floats import Array
from logitmus.oracle import row_model
from logitmus.oracle.arithmetic import EXACT, Level
from logitmus.oracle.parameter import ENTROPY, LAWS, Parameter
from logitmus.oracle.row_model import RowModel


@dataclass(frozen=True)
class _Quantity:
    """A number of the model, measured at every number of classes."""

    intervals: Mapping[int, Interval]

    def laws(self) -> Iterator[tuple[str, Interval]]:
        """The laws that a single constant satisfies, with the constant."""
        for law, at in LAWS.items():
            if law and len(self.intervals) < 3:
                continue
            common: Interval | None = None
            for classes, interval in self.intervals.items():
                factor = at(classes)
                if factor == 0:
                    if not interval.holds(0):
                        common = None
                        break
                    continue
                here = interval.over(factor)
                common = here if common is None else common.meeting(here)
                if common is None:
                    break
            if common is not None:
                yield law, common


@dataclass(frozen=True)
class _Measured:
    name: str
    law: str
    simple: Simple
    interval: Interval

    @property
    def bits(self) -> float:
        return self.simple.bits + (0.0 if not self.law else 6.0)

    def parameter(self, *, exactly: bool = True) -> Parameter:
        if not exactly:
            return Parameter(self.interval.middle, self.law, f"about {self.simple.text}", simple=False)
        return parameter_of(self.simple, self.law)


def parameter_of(simple: Simple, law: str = "") -> Parameter:
    """The number as a parameter of a model; "about" it where it is measured, and no number that a person writes."""
    text = simple.text if simple.exactly else f"about {simple.text}"
    return Parameter(simple.value, law, text, simple.exactly)


def _best(quantity: _Quantity, name: str) -> _Measured | None:
    """The simplest law and number."""
    found = [_Measured(name, law, simplest(interval), interval) for law, interval in quantity.laws()]
    return min(found, key=lambda measured: (not measured.simple.exactly, measured.bits), default=None)


def models_of(fits: Mapping[int, Fit], level: Level) -> Iterator[tuple[RowModel, float]]:
    """Models of these fits, the simplest first: with simple numbers; where these fail, some are "about"."""
    found = sorted(_forms_of_numbers(fits), key=lambda candidate: candidate[1])
    yield from ((model, bits) for model, bits, _ in found)
    for model, bits, measured in found:
        # A number that looks simple may not be: all as measured.
        yield _with_numbers(model, measured), bits + 40


def _with_numbers(model: RowModel, measured: Mapping[str, _Measured]) -> RowModel:
    def chosen(name: str, parameter: Parameter) -> Parameter:
        return measured[name].parameter(exactly=False) if name in measured and parameter.value != 1 else parameter

    return replace(
        model,
        theta={name: chosen(name, p) for name, p in model.theta.items()},
        factor=chosen("factor", model.factor),
        smoothing=None if model.smoothing is None else chosen("smoothing", model.smoothing),
        terms={name: chosen(name, p) for name, p in model.terms.items()},
    )


def _forms_of_numbers(fits: Mapping[int, Fit]) -> Iterator[tuple[RowModel, float, dict[str, _Measured]]]:
    """Ways to write the coefficients: with a common factor, a smoothing and further terms in or out of the factor."""
    some = next(iter(fits.values()))
    form = some.form
    names = some.names
    unit = {name: np.eye(len(names))[n].astype(EXACT) for n, name in enumerate(names)}
    theta: dict[str, _Measured] = {}
    for name in some.theta:
        measured = _best(_Quantity({K: bounds(fit, unit[name]) for K, fit in fits.items()}), name)
        if measured is None:
            return
        theta[name] = measured
    base = RowModel(
        label=form.label,
        inputs=form.inputs,
        penalty=form.penalty,
        outer=form.outer,
        theta={name: measured.parameter() for name, measured in theta.items()},
        core=False,
    )
    if any(measured.interval.holds(row_model.NEUTRAL.get(name, -1)) for name, measured in theta.items()):
        return  # a form without this parameter must do
    bits = sum(measured.bits + 5 for measured in theta.values())
    bits += 6.0 * ((form.inputs != "x") + (form.penalty != "log") + bool(form.outer) + (form.label != "t"))
    further = [name for name in some.terms if name not in ("target", "mean")]
    cores: list[tuple[RowModel, float, dict[str, _Measured]]] = []
    if "target" in some.terms or "mean" in some.terms:
        cores += _cores(fits, base, bits, unit)
    for model, cost, known in cores:
        for inside in (False, True) if further and model.factor.value != 1 else (False,):
            whole = _with_terms(fits, replace(model, inside=inside), cost, {**theta, **known}, further, unit)
            if whole is not None:
                yield whole
    if not cores or "mean" in some.terms:
        whole = _with_terms(fits, base, bits + 3, theta, list(some.terms), unit)
        if whole is not None:
            yield whole


def _cores(
    fits: Mapping[int, Fit], base: RowModel, bits: float, unit: Mapping[str, Array]
) -> list[tuple[RowModel, float, dict[str, _Measured]]]:
    """The factor and the smoothing."""
    some = next(iter(fits.values()))
    whole = np.sum([unit[name] for name in ("target", "mean") if name in some.terms], axis=0)
    factors = {K: bounds(fit, whole) for K, fit in fits.items()}
    if any(interval.holds(0) for interval in factors.values()):
        return []
    factor = _best(_Quantity(factors), "factor")
    if factor is None:
        return []
    model = replace(base, core=True, factor=factor.parameter())
    bits += factor.bits + (5 if factor.simple.value != 1 or factor.law else 0)
    if "mean" not in some.terms:
        return [(model, bits, {"factor": factor})]
    shares = {}
    for K, fit in fits.items():
        at = EXACT(fit.terms["mean"]) / (whole @ fit.vector)
        tilt = (unit["mean"] - at * whole) / (whole @ fit.vector)
        here = bounds(fit, tilt)
        shares[K] = Interval(at + here.middle, here.half)
    smoothing = _best(_Quantity(shares), "smoothing")
    if smoothing is None or smoothing.simple.value == 0:
        return []
    model = replace(model, smoothing=smoothing.parameter())
    return [(model, bits + smoothing.bits + 5, {"factor": factor, "smoothing": smoothing})]


def _with_terms(
    fits: Mapping[int, Fit],
    model: RowModel,
    bits: float,
    known: Mapping[str, _Measured],
    names: Iterable[str],
    unit: Mapping[str, Array],
) -> tuple[RowModel, float, dict[str, _Measured]] | None:
    """The model with these terms, None where no law holds for a term."""
    measured = dict(known)
    terms: dict[str, Parameter] = {}
    for name in names:
        intervals = {K: bounds(fit, unit[name]) for K, fit in fits.items()}
        if model.inside:
            intervals = {K: interval.over(model.factor.at(K)) for K, interval in intervals.items()}
        found = _best(_Quantity(intervals), name)
        if (found is None or not found.simple.exactly or found.law) and name == "one" and model.smoothing is not None:
            entropy = _entropy(model, intervals)
            if entropy is not None:
                terms[name] = entropy
                bits += 9
                continue
        if found is None or found.simple.value == 0:  # a term that does nothing is none
            return None
        measured[name] = found
        terms[name] = found.parameter()
        bits += found.bits + 5
    return replace(model, terms=terms), bits, measured


def _entropy(model: RowModel, intervals: Mapping[int, Interval]) -> Parameter | None:
    """The constant of a KL divergence: minus the entropy of the smoothed target, at every number of classes."""
    if model.smoothing is None:
        return None
    for K, interval in intervals.items():
        factor = EXACT(1) if model.inside else model.factor.at(K)
        if not interval.holds(factor * row_model.negative_entropy(model.smoothing.at(K), K)):
            return None
    return Parameter(EXACT(1), ENTROPY, "1")
