"""A row model: what a loss computes from a row of logits and its label, with its parameters.

    label map -> inputs z(x) -> losses l_k = -log p_k -> penalties g(l_k) -> sum of c_j term_j -> outer function

Each step is written once, in the generic operations of `oracle.arithmetic`. `evaluate` therefore gives the exact value,
the budget, the derivative or an emulation, whatever the combination of steps. `INPUTS`, `PENALTIES`, `TERMS` and
`parameter.LAWS` are the vocabulary: `conventions.row_fit` searches in it, `oracle.sentence` puts it in words.

Nothing here cancels in the exact arithmetic: 1 - p is -expm1(-l), and the logsumexp is m + log1p of the sum without the
largest term.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from logitmus.core.floats import Array
from logitmus.oracle import arithmetic
from logitmus.oracle.arithmetic import EXACT, Arithmetic, Level, Number
from logitmus.oracle.parameter import ENTROPY, MACHINE_NUMBERS, ONE, Parameter
from logitmus.oracle.partial_sums import PARTIAL_SUMS, summed

INPUTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "x": (),  # logits
        "scale": ("s",),  # s x
        "cap": ("c",),  # c tanh(x / c)
        "scale_cap": ("s", "c"),  # c tanh(s x / c)
        "zeros": ("n",),  # n further logits of 0
        "margin": ("m",),  # x_t - m
        "scale_margin": ("s", "m"),  # s (x - m e_t)
        "clamp": ("c",),  # x kept within [-c, c]
        "softmax": (),  # softmax(x), taken for logits
        "scale_softmax": ("s",),  # softmax(s x), taken for logits
        "without_last": (),  # the last class is left out of the sum
        **dict.fromkeys(PARTIAL_SUMS, ("k",)),  # the sum is wrong for many classes
        "log_probabilities": (),  # x is log p
        "probabilities": (),  # x is p
        "probabilities_scaled": (),  # x / sum x is p
        "sigmoid": (),  # p_k = sigmoid(x_k), independent of each other
        "scale_sigmoid": ("s",),  # p_k = sigmoid(s x_k)
    }
)
"""What is done to the numbers before the softmax, with the parameters of it."""
PENALTIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "log": (),  # l
        "log_plus": ("e",),  # -log(p + e)
        "clip": ("e",),  # -log of p within [e, 1 - e]
        "floor": ("e",),  # -log max(p, e)
        "clip_scaled": ("e",),  # the same as clip, then divided by the sum of the clipped
        "focal": ("g",),  # (1 - p)^g l
        "focal_log_plus": ("g", "e"),  # -(1 - p)^g log(p + e)
        "focal_clip": ("g", "e"),  # the same as focal, of p within [e, 1 - e]
        "generalized": ("q",),  # (1 - p^q) / q
    }
)
"""g(l_k), applied to every class."""
TERMS: Final = ("target", "mean", "lse", "lse2", "entropy", "one_minus_p", "brier", "one")
_OF_LABEL: Final = ("target", "one_minus_p", "brier", "others", "x_t")  # the others are the same for every label
SIGMOID_TERMS: Final = ("target", "others", "x_t", "x_mean", "one")
TAKES_PROBABILITIES: Final = ("probabilities", "probabilities_scaled")
OF_SIGMOID: Final = ("sigmoid", "scale_sigmoid")
LABELS: Final[Mapping[str, Callable[[Array, int], Array]]] = MappingProxyType(
    {
        "t": lambda t, _: t,
        "t + 1": lambda t, K: (t + 1) % K,
        "t - 1": lambda t, K: (t - 1) % K,
        "K - 1 - t": lambda t, K: K - 1 - t,
    }
)
OUTERS: Final = ("", "exp", "square")
MECHANISMS: Final = (
    "no_max_shift",
    "logsumexp_formed_and_then_subtracted",
    "log_of_softmax",
    "log_of_unshifted_softmax",
)
NEUTRAL: Final = MappingProxyType({"s": 1.0, "n": 0.0, "m": 0.0, "e": 0.0, "g": 0.0})
"""At these values a parameter does nothing."""


@dataclass(frozen=True)
class RowModel:
    """The loss of a row.

    Its core is (1 - eps) g_t + eps mean_k g_k. Without a core it is a combination of terms alone.

    Attributes:
        label: of `LABELS`. inputs: of `INPUTS`. penalty: of `PENALTIES`. outer: of `OUTERS`.
        theta: the parameters of inputs and penalty, by name.
        factor: multiplies the core. smoothing: eps, None for 0. core: whether there is a core.
        terms: the coefficients of further terms, by name. inside: whether the factor multiplies these, too.
        class_factors: multiply the loss of the rows with this label.
    """

    label: str = "t"
    inputs: str = "x"
    penalty: str = "log"
    theta: Mapping[str, Parameter] = field(default_factory=dict)
    factor: Parameter = ONE
    smoothing: Parameter | None = None
    core: bool = True
    terms: Mapping[str, Parameter] = field(default_factory=dict)
    inside: bool = False
    outer: str = ""
    class_factors: Mapping[int, Parameter] = field(default_factory=dict)

    def in_dtype(self, dtype: str) -> RowModel:
        """The model for logits of this dtype, where numbers follow it."""
        theta = {
            name: replace(p, value=EXACT(MACHINE_NUMBERS[p.machine](dtype))) if p.machine else p
            for name, p in self.theta.items()
        }
        return replace(self, theta=theta)

    def times(self, number: Number) -> RowModel:
        """The model of a multiple of the loss."""
        factor = _times(self.factor, number)
        own = {name: p if self.inside or p.law == ENTROPY else _times(p, number) for name, p in self.terms.items()}
        return replace(self, factor=factor, terms=own)

    def coefficients(self, classes: int) -> dict[str, Number]:
        """The coefficient of each term, for so many classes."""
        out: dict[str, Number] = {}
        factor = self.factor.at(classes)
        epsilon = EXACT(0) if self.smoothing is None else self.smoothing.at(classes)
        if self.core:
            out["target"] = factor * (1 - epsilon)
            if self.smoothing is not None:
                out["mean"] = factor * epsilon
        for name, parameter in self.terms.items():
            if parameter.law == ENTROPY:
                c = EXACT(parameter.value) * factor * negative_entropy(epsilon, classes)
            else:
                c = parameter.at(classes) * (factor if self.inside else 1)
            out[name] = out.get(name, EXACT(0)) + c
        return out


PLAIN: Final = RowModel()


def _times(parameter: Parameter, number: Number) -> Parameter:
    return replace(parameter, value=parameter.value * number, text="", simple=False)


def negative_entropy(epsilon: Number, classes: int) -> Number:
    """Sum q log q of a smoothed target: 1 - eps + eps / K at the label, eps / K elsewhere."""
    other = EXACT(epsilon) / classes
    q = np.array([1 - EXACT(epsilon) + other, *[other] * (classes - 1)], EXACT)
    return EXACT("nan") if (q < 0).any() else (q * np.log(np.where(q > 0, q, 1))).sum()


def evaluate(
    model: RowModel, x: Array, labels: Array, numbers: Arithmetic | None = None, *, mechanism: str = ""
) -> Number:
    """The losses of rows.

    Args:
        x: (R, K), exact: float64, or any dtype that it holds. labels: (R,) integers in [0, K).
        numbers: the arithmetic; None: long double.
        mechanism: of `MECHANISMS`: how the logsumexp is formed; only in an emulated arithmetic does it matter.

    Returns:
        (R,) numbers of the arithmetic.
    """
    numbers = numbers or arithmetic.exact()
    return _evaluate(model, numbers.array(x), x.shape[-1], labels, numbers, mechanism)


def budget(model: RowModel, x: Array, labels: Array, level: Level) -> tuple[Array, Array]:
    """The exact losses, and how far from them a sound implementation at this level may be: (R,) each, long double."""
    result = evaluate(model, x, labels, arithmetic.running(level))
    exact = np.where(np.abs(result.a) > level.beyond, np.copysign(EXACT("inf"), result.a), result.a)
    return exact, result.e + level.u * np.abs(result.a) + level.least


def gradient(
    model: RowModel, x: Array, labels: Array, level: Level | None = None, classes: Array | None = None
) -> tuple[Array, Array]:
    """The derivative of each row's loss by its logits, and its budget at the level: (R, K) each, long double.

    Args:
        classes: the logits to differentiate by, in this order; None: all. The cost is proportional to their number.
    """
    base = arithmetic.exact() if level is None else arithmetic.running(level)
    numbers, start = arithmetic.along(base, x, classes)
    d = _evaluate(model, start, x.shape[-1], labels, numbers, "").d
    exact = arithmetic.value(d).T
    if level is None:
        return exact, np.zeros_like(exact)
    return exact, arithmetic.bound(d).T + level.u * np.abs(exact) + level.least


def terms_of(
    inputs: str,
    penalty: str,
    theta: Mapping[str, Number],
    z: Number,
    labels: Array,
    numbers: Arithmetic,
    mechanism: str = "",
    names: Sequence[str] = (),
) -> dict[str, Number]:
    """Terms of a model of this form, (R,) each.

    Args:
        theta: its parameters, as numbers of the arithmetic; in the exact arithmetic also `by_row`.
        z: the inputs x, (R, K), as numbers of the arithmetic. labels: (R,); or target probabilities, (R, K), where
            the form `is_linear`: the terms of each class, summed with these weights.
        names: of the terms; empty: all.
    """
    soft = labels.ndim == 2
    is_target = labels if soft else np.arange(z.shape[-1]) == labels[:, None]
    ones = numbers.array(np.ones(len(labels)))
    if inputs in OF_SIGMOID:
        z = z if inputs == "sigmoid" else z * theta["s"]
        terms = _sigmoid_terms(penalty, theta, z, labels, is_target, ones, smoothed="x_mean" in names)
    else:
        terms = _softmax_terms(inputs, penalty, theta, z, labels, is_target, ones, mechanism, names or TERMS)
    return {n: t * labels.sum(-1) if soft and n not in _OF_LABEL else t for n, t in terms.items()}


def is_linear(model: RowModel) -> bool:
    """Whether the sum of the losses of all classes, weighted by target probabilities, is that of its terms."""
    by_label = model.inputs in ("margin", "scale_margin") or "brier" in model.terms or model.label != "t"
    return not (by_label or model.outer or model.class_factors)


def _softmax_terms(
    inputs: str,
    penalty: str,
    theta: Mapping[str, Number],
    z: Number,
    labels: Array,
    is_target: Array,
    ones: Number,
    mechanism: str,
    names: Sequence[str],
) -> dict[str, Number]:
    """The terms of probabilities that sum to 1, or are given."""
    K = z.shape[-1]
    z, losses, lse = _losses(inputs, theta, z, is_target, mechanism)
    given = inputs in TAKES_PROBABILITIES
    p = z if given and penalty != "log" else arithmetic.exp(-losses)

    def away(exponent: Number = None) -> Number:
        """1 - p to the power of an exponent (None: 1), without cancellation where p comes from logits."""
        if given:
            return 1 - (z if exponent is None else arithmetic.power(z, exponent))
        return arithmetic.one_minus_exp(losses if exponent is None else losses * exponent)

    g = _penalty(penalty, theta, losses, p, away)
    made: dict[str, Callable[[], Number]] = {
        "target": lambda: arithmetic.pick(g, labels),
        "mean": lambda: arithmetic.total(g) / K,
        "lse": lambda: lse,
        "lse2": lambda: lse * lse,
        "entropy": lambda: 0 * lse if given else arithmetic.total(arithmetic.exp(-losses) * losses),
        "one_minus_p": lambda: _one_minus_p(losses, z, labels),
        "brier": lambda: _brier(losses, is_target),
        "one": lambda: ones,
    }
    return {name: made[name]() for name in names}


def by_row(theta: Mapping[str, Array]) -> dict[str, Number]:
    """Parameters with a number for every row, (R,) each, as `terms_of` takes them."""
    return {name: numbers if name == "n" else numbers[:, None] for name, numbers in theta.items()}


def _one_minus_p(losses: Number, z: Number, labels: Array) -> Number:
    if labels.ndim == 2:
        away = arithmetic.pick(arithmetic.one_minus_exp(losses), labels)
    else:
        away = arithmetic.one_minus_exp(arithmetic.pick(losses, labels))
    level = arithmetic.level_of(z)
    if level is None or not isinstance(z, arithmetic.Dual):
        return away
    # Through the softmax of all classes the gradient is p_k (g_k - sum p_j g_j): the errors of all p_j count.
    p, slope = np.exp(-arithmetic.value(losses)), np.abs(arithmetic.value(z.d))
    return arithmetic.widened_derivative(away, (8 * level.v * p * slope).sum(-1))


def _brier(losses: Number, is_target: Array) -> Number:
    away = arithmetic.where(is_target, arithmetic.one_minus_exp(losses), arithmetic.exp(-losses))
    return arithmetic.total(away * away)


def _evaluate(model: RowModel, z: Number, classes: int, labels: Array, numbers: Arithmetic, mechanism: str) -> Number:
    theta = {name: numbers.parameter(p.at(classes)) for name, p in model.theta.items()}
    coefficients = model.coefficients(classes)
    with np.errstate(all="ignore"):
        terms = terms_of(
            model.inputs,
            model.penalty,
            theta,
            z,
            LABELS[model.label](labels, classes),
            numbers,
            mechanism,
            tuple(coefficients),
        )
        result: Number = None
        for name, coefficient in coefficients.items():
            term = terms[name] if coefficient == 1 else terms[name] * numbers.parameter(coefficient)
            result = term if result is None else result + term
        if model.outer == "exp":
            result = arithmetic.exp(result)
        elif model.outer == "square":
            result = result * result
        for label, factor in model.class_factors.items():
            result = arithmetic.where(labels == label, result * numbers.parameter(factor.at(classes)), result)
        return result


def _losses(
    inputs: str, theta: Mapping[str, Number], x: Number, is_target: Array, mechanism: str
) -> tuple[Number, Number, Number]:
    """What is taken for logits (or probabilities), -log p of every class, and the logsumexp (0 where there is none)."""
    z = _transformed(inputs, theta, x, is_target)
    tail = theta["n"] if inputs == "zeros" else None
    none = 0 * z[:, 0]
    if inputs == "log_probabilities":
        return z, -z, none
    if inputs in TAKES_PROBABILITIES:
        if inputs == "probabilities_scaled":
            z = z / arithmetic.column(arithmetic.total(z))
        return z, -arithmetic.log(z), none
    if inputs in ("softmax", "scale_softmax"):
        first, _ = log_softmax(z, mechanism)
        z = arithmetic.exp(-first)
    if inputs in PARTIAL_SUMS:
        _, lse = log_softmax(summed(inputs, int(arithmetic.value(theta["k"])), z), mechanism)
        return z, arithmetic.column(lse) - z, lse
    if inputs == "without_last":
        _, lse = log_softmax(z[:, :-1], mechanism)
        return z, arithmetic.column(lse) - z, lse
    return z, *log_softmax(z, mechanism, tail)


def _transformed(inputs: str, theta: Mapping[str, Number], x: Number, is_target: Array) -> Number:
    """The logits after the elementwise operations on them."""
    if inputs in ("scale", "scale_softmax"):
        return x * theta["s"]
    if inputs == "cap":
        return arithmetic.tanh(x / theta["c"]) * theta["c"]
    if inputs == "scale_cap":
        return arithmetic.tanh(x * theta["s"] / theta["c"]) * theta["c"]
    if inputs == "margin":
        return arithmetic.where(is_target, x - theta["m"], x)
    if inputs == "scale_margin":
        return arithmetic.where(is_target, x - theta["m"], x) * theta["s"]
    return arithmetic.clip(x, -theta["c"], theta["c"]) if inputs == "clamp" else x


def log_softmax(z: Number, mechanism: str = "", tail: Number = None) -> tuple[Number, Number]:
    """-log softmax, (R, K), and the logsumexp, (R,); `tail` further logits are 0."""
    at = arithmetic.value(z)
    if mechanism == "no_max_shift":
        s = arithmetic.total(arithmetic.exp(z))
        lse = arithmetic.log(s if tail is None else s + tail)
        return arithmetic.column(lse) - z, lse
    if mechanism == "log_of_unshifted_softmax":
        e = arithmetic.exp(z)
        s = arithmetic.total(e)
        s = s if tail is None else s + tail
        return -arithmetic.log(e / arithmetic.column(s)), arithmetic.log(s)
    top = np.argmax(at, -1)
    m = arithmetic.pick(z, top)
    emulated = bool(mechanism) or (isinstance(z, np.ndarray) and z.dtype not in (EXACT, object))
    if tail is not None and emulated:
        m = np.maximum(m, 0 * m)
    d = z - arithmetic.column(m)
    e = arithmetic.exp(d)
    if emulated:
        s = arithmetic.total(e)
        log_sum = arithmetic.log(s if tail is None else s + arithmetic.exp(-m) * tail)
        if mechanism == "log_of_softmax":
            return -arithmetic.log(e / arithmetic.column(s)), m + log_sum
        lse = m + log_sum
        if mechanism:
            return arithmetic.column(lse) - z, lse
        return arithmetic.column(log_sum) - d, lse
    is_top = np.arange(at.shape[-1]) == top[:, None]
    if tail is not None:  # a further logit of 0 may be the largest
        zero = arithmetic.value(m) < 0
        is_top &= ~zero[:, None]
        m = arithmetic.where(zero, 0 * m, m)
        d = z - arithmetic.column(m)
        e = arithmetic.exp(d)
    s2 = arithmetic.total(arithmetic.where(is_top, 0 * e, e))
    if tail is not None:
        s2 = s2 + arithmetic.where(zero, 0 * m + tail - 1, arithmetic.exp(-m) * tail)
    log_sum = arithmetic.log1p(arithmetic.stored(s2))
    level = arithmetic.level_of(z)
    if level is not None:
        p = np.exp(at - at.max(axis=-1, keepdims=True))
        p = p / p.sum(axis=-1, keepdims=True)
        offset = 2 * level.v * np.abs(arithmetic.value(m)) if level.separate else np.zeros(len(at), EXACT)
        classes = at.shape[-1] + (0.0 if tail is None else float(abs(arithmetic.value(tail))))
        further = 0.0 if tail is None else level.v * arithmetic.roundings(classes)
        log_sum = arithmetic.widened(log_sum, level.w + offset + further)
        if isinstance(z, arithmetic.Dual):
            # The gradient may be formed as p_t - 1: an error of p_j counts where it is subtracted.
            slope = np.abs(arithmetic.value(z.d))
            log_sum = arithmetic.widened_derivative(log_sum, ((8 * level.v + offset)[..., None] * p * slope).sum(-1))
    return arithmetic.column(log_sum) - arithmetic.stored(d), m + log_sum


def _penalty(
    penalty: str, theta: Mapping[str, Number], losses: Number, p: Number, away: Callable[..., Number]
) -> Number:
    """The penalty of every class, (R, K); `away` gives 1 - p, and 1 - p^q."""
    if penalty == "log_plus":
        return -arithmetic.log(p + theta["e"])
    if penalty == "floor":
        return -arithmetic.log(arithmetic.where(arithmetic.value(p) < arithmetic.value(theta["e"]), theta["e"], p))
    if penalty in ("clip", "clip_scaled"):
        kept = arithmetic.clip(p, theta["e"], 1 - theta["e"])
        if penalty == "clip_scaled":
            kept = kept / arithmetic.column(arithmetic.total(kept))
        return -arithmetic.log(kept)
    if penalty == "focal":
        return arithmetic.power(away(), theta["g"]) * losses
    if penalty == "focal_log_plus":
        return -arithmetic.power(away(), theta["g"]) * arithmetic.log(p + theta["e"])
    if penalty == "focal_clip":
        kept = arithmetic.clip(p, theta["e"], 1 - theta["e"])
        return -arithmetic.power(1 - kept, theta["g"]) * arithmetic.log(kept)
    if penalty == "generalized":
        return away(theta["q"]) / theta["q"]
    return losses


def _sigmoid_terms(
    penalty: str,
    theta: Mapping[str, Number],
    z: Number,
    labels: Array,
    is_target: Array,
    ones: Number,
    *,
    smoothed: bool,
) -> dict[str, Number]:
    """Binary cross-entropies: the class of the label, the sum over the others, and what such losses add."""
    absent, present = arithmetic.softplus(z), arithmetic.softplus(-z)
    level = arithmetic.level_of(z)
    # softplus(-z) may be formed as softplus(z) - z. For a smoothed target q, frameworks subtract q z from softplus(z).
    if level is not None and (level.separate or smoothed):
        absent, present = (arithmetic.widened(a, 2 * level.v * np.abs(arithmetic.value(z))) for a in (absent, present))
    if penalty == "focal":
        present = present * arithmetic.power(arithmetic.one_minus_exp(present), theta["g"])
        absent = absent * arithmetic.power(arithmetic.one_minus_exp(absent), theta["g"])
    if labels.ndim == 2:
        others = arithmetic.pick(absent, labels.sum(-1, keepdims=True) - labels)
    else:
        others = arithmetic.total(arithmetic.where(is_target, 0 * absent, absent))
    return {
        "target": arithmetic.pick(present, labels),
        "others": others,
        "x_t": arithmetic.pick(z, labels),
        "x_mean": arithmetic.total(z) / z.shape[-1],
        "one": ones,
    }
