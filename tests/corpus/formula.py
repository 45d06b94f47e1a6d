"""What a truth predicts, in long double: the losses, and their gradient by the complex step.

Independent of the harness's own evaluators. Nothing cancels: 1 - p is the sum of the other probabilities, and -log p of
the likeliest class is log1p of their ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from corpus.truth import Truth
from logitmus.core.convention import PORTABLE, Convention

REAL, COMPLEX = np.longdouble, np.clongdouble
STEP: Final = REAL("1e-300")
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Question:
    """One call of a function: a batch of rows, and the options that are passed by name."""

    logits: Array  # (N, K)
    target: Array  # labels (N,) or probabilities (N, K)
    weight: Array | None = None
    ignore_index: int | None = None
    label_smoothing: float | None = None
    reduction: str | None = None

    def options(self) -> dict[str, Any]:
        """The options that are passed."""
        names = ("weight", "ignore_index", "label_smoothing", "reduction")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True)
class Prediction:
    """The loss, the gradient (N, K) of its sum, and the largest number in between, to which roundings are relative."""

    loss: Array
    gradient: Array
    size: float


@dataclass(frozen=True)
class _Classes:
    """Of every class: the probability, one minus it, and minus its logarithm."""

    p: Array
    rest: Array
    loss: Array


def predict(truth: Truth, question: Question) -> Prediction:
    """The prediction for one call.

    Args:
        truth: an explainable truth.
        question: rows whose logits the function takes as they are; `truth.arithmetic` is not used here.
    """
    convention = PORTABLE.but(**truth.convention)
    N, K = question.logits.shape
    x = np.broadcast_to(question.logits.astype(COMPLEX), (K, N, K)).copy()
    for direction in range(K):
        x[direction, :, direction] += 1j * STEP
    with np.errstate(all="ignore"):
        labels, kept = _labels(truth, convention, question)
        z, classes, lse = _classes(truth, convention, x, labels)
        main, smoothed = _sums(truth, convention, question, labels, z, classes, lse)
        factor = _factor(truth, convention, K)
        main, smoothed = _without_ignored(truth, kept, factor * main, factor * smoothed)
        loss = _reduced(truth, convention, question, labels, kept, main, smoothed)
        if loss.ndim == 1:  # one number: each row has its share of it
            shares = np.broadcast_to(1j * STEP * np.eye(N), (N, N))
            parts = main[0].real, smoothed[0].real
            first = _reduced(truth, convention, question, labels, kept, parts[0] + shares, parts[1] + 0 * shares)
            second = _reduced(truth, convention, question, labels, kept, parts[0] + 0 * shares, parts[1] + shares)
            rows = (first.imag * main.imag + second.imag * smoothed.imag) / STEP
        else:
            rows = loss.imag
    size = [np.abs(np.where(np.isfinite(part.real), part.real, 0)).max(initial=0) for part in (z, main, smoothed)]
    return Prediction(loss.real[0], np.where(kept | (smoothed.imag != 0), rows, 0).T / STEP, float(max(size)))


def _without_ignored(truth: Truth, kept: Array, main: Array, smoothed: Array) -> tuple[Array, Array]:
    everywhere = truth.parameters.get("ignored") == "the target's term only"
    return np.where(kept, main, 0), np.where(kept | everywhere, smoothed, 0)


def _labels(truth: Truth, convention: Convention, question: Question) -> tuple[Array, Array]:
    """The class whose loss a row takes (0 for rows left out), and which rows are kept."""
    t = question.target
    if t.ndim == 2:
        return np.zeros(len(t), int), np.ones(len(t), bool)
    kept = np.ones(len(t), bool)
    if truth.parameters.get("position") == "next row":
        t = np.roll(t, -1)
        kept[-1:] = False
    ignored = [question.ignore_index]
    if question.ignore_index is None:
        default = convention.ignore_default
        ignored = [None if default == "none" else int(default), truth.parameters.get("ignored_label")]
    for label in ignored:
        if label is not None:
            kept = kept & (t != label)
    t = np.where(kept, t, 0)
    K = question.logits.shape[1]
    if (t < 0).any() or (t >= K).any():
        raise ValueError("a label that is neither a class nor left out")
    moved = {"t": 0, "t - 1": -1, "t + 1": 1}[str(truth.parameters.get("label", "t"))]
    return (t + moved) % K, kept


def _classes(truth: Truth, convention: Convention, x: Array, labels: Array) -> tuple[Array, _Classes, Array]:
    """The logits after what is done to them, each class's probability, and the logsumexp."""
    given = truth.parameters
    z = x
    if "margin" in given:
        z = z - _number(given["margin"]) * (np.arange(x.shape[-1]) == labels[:, None])
    z = z * _number(given.get("scale", 1)) / _number(given.get("temperature", 1))
    if "soft_cap" in given:
        z = _number(given["soft_cap"]) * np.tanh(z / _number(given["soft_cap"]))
    if "clamp" in given:
        limit = _number(given["clamp"])
        z = np.where(np.abs(z.real) > limit, np.sign(z.real) * limit, z)
    if given.get("softmax") == "twice":
        z = _softmax(z, REAL(0))[0].p
    lse = np.zeros(z.shape[:-1], COMPLEX)
    if given.get("probability") == "sigmoid":
        classes = _Classes(1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z)), _softplus(-z))
    elif convention.inputs == "log_probabilities":
        classes = _Classes(np.exp(z), 1 - np.exp(z), -z)
    elif convention.inputs == "probabilities":
        p = z if convention.probability_scale == "none" else z / z.sum(-1, keepdims=True)
        classes = _Classes(p, 1 - p, -_log(p))
    else:
        classes, lse = _softmax(z, _extra(given.get("extra_zero_logits", 0), z.shape[-1]))
    return z, _penalised(truth, convention, classes), lse


def _softmax(z: Array, extra: Array) -> tuple[_Classes, Array]:
    K = z.shape[-1]
    top = z.real.max(-1, keepdims=True)
    powers, more = np.exp(z - top), extra * np.exp(-top)
    total = powers.sum(-1, keepdims=True) + more
    largest = np.arange(K) == z.real.argmax(-1)[..., None]
    rest = np.where(largest, np.where(largest, 0, powers).sum(-1, keepdims=True) + more, total - powers)
    unlikely = _log(total) - (z - top)
    loss = np.where(largest, _log1p(rest / powers), unlikely)
    return _Classes(powers / total, rest / total, loss), (_log(total) + top)[..., 0]


def _penalised(truth: Truth, convention: Convention, classes: _Classes) -> _Classes:
    """What takes the place of -log p; the probabilities stay beside it."""
    given = truth.parameters
    clip = given.get("clip", None if convention.probability_clip == "none" else float(convention.probability_clip))
    if clip is not None:
        classes = _kept_within(classes, _number(clip), 1 - _number(clip))
    if "floor" in given:
        classes = _kept_within(classes, _number(given["floor"]), REAL("inf"))
    if "log_plus" in given:
        classes = replace(classes, loss=-_log(classes.p + _number(given["log_plus"])))
    return classes


def _kept_within(classes: _Classes, low: Array, high: Array) -> _Classes:
    p = np.where(classes.p.real < low, low, np.where(classes.p.real > high, high, classes.p))
    moved = (classes.p.real < low) | (classes.p.real > high)
    return _Classes(p, np.where(moved, 1 - p, classes.rest), np.where(moved, -_log(p), classes.loss))


def _penalty(truth: Truth, loss: Array, p: Array, rest: Array) -> Array:
    given = truth.parameters
    if "generalized_q" in given:
        return (1 - _power(p, _number(given["generalized_q"]))) / _number(given["generalized_q"])
    if "focal_gamma" in given:
        return _power(rest, _number(given["focal_gamma"])) * loss
    return loss


def _sums(
    truth: Truth, convention: Convention, question: Question, labels: Array, z: Array, classes: _Classes, lse: Array
) -> tuple[Array, Array]:
    """Of each row, what comes from the target and what comes from smoothing."""
    given, K = truth.parameters, classes.p.shape[-1]
    hard = (np.arange(K) == labels[:, None]) if question.target.ndim == 1 else question.target
    hard = hard.astype(REAL)
    epsilon = _number(given.get("label_smoothing", 0) if question.label_smoothing is None else question.label_smoothing)
    spread = (1 - hard) / (K - 1) if convention.smoothing == "others" else np.ones_like(hard) / K
    target, smooth = (1 - epsilon) * hard, epsilon * spread
    weight = np.ones(K, REAL) if question.weight is None else question.weight.astype(REAL)
    if "first_class_factor" in given:
        other = _number(given["other_classes_factor"])
        weight = weight * np.where(np.arange(K) == 0, _number(given["first_class_factor"]), other)
    loss, p, rest = classes.loss, classes.p, classes.rest
    if given.get("weights") == "inside":
        loss = weight * loss
        p, rest, weight = np.exp(-loss), -_expm1(-loss), np.ones(K, REAL)
    each = _penalty(truth, loss, p, rest)
    if given.get("probability") == "sigmoid":
        against = _penalty(truth, np.where(z.real > 0, loss + z, _log1p(np.exp(z))), rest, p)
        q = target + smooth
        each_of = _number(given.get("target_factor", 1)) * q * each
        return (each_of + _number(given.get("others_factor", 1)) * (1 - q) * against).sum(-1), 0 * lse
    smooth_weight = np.ones(K, REAL) if given.get("weights") == "not on the smoothed term" else weight
    main = _dot(target * weight, each)
    main = main + _number(given.get("poly", 0)) * _dot(hard, classes.rest)
    main = main + _number(given.get("z_loss", 0)) * lse**2
    main = main + _number(given.get("entropy", 0)) * (classes.p * classes.loss).sum(-1)
    if given.get("added") == "minus the entropy of the target":
        q = target + smooth
        main = main + (q * np.log(np.where(q > 0, q, 1))).sum(-1)
    return main, _dot(smooth * smooth_weight, each)


def _factor(truth: Truth, convention: Convention, K: int) -> Array:
    base = {"e": REAL(1), "2": 1 / np.log(REAL(2)), "10": 1 / np.log(REAL(10))}[convention.log_base]
    law = {"1": REAL(1), "1/K": 1 / REAL(K), "1/log K": 1 / np.log(REAL(K))}
    return base * _number(truth.parameters.get("factor", 1)) * law[str(truth.parameters.get("factor_in_classes", "1"))]


def _reduced(
    truth: Truth,
    convention: Convention,
    question: Question,
    labels: Array,
    kept: Array,
    main: Array,
    smoothed: Array,
) -> Array:
    """Of (directions, rows), the loss as it is returned: (directions, rows) or (directions,)."""
    given = truth.parameters
    reduction = question.reduction or convention.default_reduction
    if reduction == "none":
        return main + smoothed
    if reduction == "sum":
        loss = (main + smoothed).sum(-1)
    elif not kept.any():
        loss = main[:, 0] * (0 if convention.all_ignored_mean == "zero" else REAL("nan"))
    elif "micro_batch" in given:
        size = int(given["micro_batch"])
        starts = range(0, len(kept), size)
        loss = np.mean([main[:, i : i + size].sum(-1) / kept[i : i + size].sum() for i in starts], 0)
    else:
        divisor = _divisor(truth, convention, question, labels, kept)
        other = REAL(len(kept)) if given.get("weights") == "not on the smoothed term" else divisor
        loss = main.sum(-1) / divisor + smoothed.sum(-1) / other
    return np.exp(loss) if given.get("outer") == "exp" else loss


def _divisor(truth: Truth, convention: Convention, question: Question, labels: Array, kept: Array) -> Array:
    given, (N, K) = truth.parameters, question.logits.shape
    weights = kept if question.weight is None else np.where(kept, question.weight[labels], 0)
    by_name = {"rows": N, "kept": kept.sum(), "weights": weights.sum(), "elements": N * K}
    divisor = REAL(given.get("divisor", by_name[convention.mean_denominator]))
    return divisor + _number(given.get("divisor_plus", 0)) + _number(given.get("divisor_plus_per_row", 0)) * N


def _dot(q: Array, values: Array) -> Array:
    """The sum over the classes, in which a factor of 0 leaves its term out."""
    return np.where(q != 0, q * values, 0).sum(-1)


def _extra(value: Any, K: int) -> Array:
    return REAL(-K % int(value.removeprefix("-K mod "))) if isinstance(value, str) else _number(value)


def _number(value: float | str) -> Array:
    """A decimal as it is written, not as float64 has it."""
    return REAL(repr(value)) if isinstance(value, float) else REAL(value)


def _log(a: Array) -> Array:
    return np.log(a.real) + 1j * (a.imag / a.real)


def _log1p(a: Array) -> Array:
    return np.log1p(a.real) + 1j * (a.imag / (1 + a.real))


def _expm1(a: Array) -> Array:
    return np.expm1(a.real) + 1j * (a.imag * np.exp(a.real))


def _power(a: Array, g: Array) -> Array:
    slope = np.where(g == 0, 0, g * np.where(a.real > 0, a.real, 1) ** (g - 1)) * (a.real > 0)
    return a.real**g + 1j * (a.imag * slope)


def _softplus(a: Array) -> Array:
    value = np.maximum(a.real, 0) + np.log1p(np.exp(-np.abs(a.real)))
    return value + 1j * (a.imag / (1 + np.exp(-a.real)))


def _plain(x: Array, t: Array) -> Array:
    top = x.max(-1, keepdims=True)
    return np.log(np.exp(x - top).sum(-1)) + top[:, 0] - x[np.arange(len(t)), t]


def _softmax_of(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _hot(x: Array, t: Array) -> Array:
    return (np.arange(x.shape[1]) == t[:, None]).astype(REAL)


def _ohem(x: Array, t: Array) -> Array:
    losses = np.sort(_plain(x, t))[::-1]
    hard = losses[losses > -np.log(REAL("0.7"))]
    return hard.mean() if len(hard) > 1 else losses[:1].mean()


def _symmetric(x: Array, t: Array) -> Array:
    p, q = np.clip(x, REAL("1e-7"), 1), np.clip(_hot(x, t), REAL("1e-4"), 1)
    return (-(q * np.log(p)) - p * np.log(q)).sum(1).mean()


def _dice(x: Array, t: Array) -> Array:
    p, q, small = _softmax_of(x), _hot(x, t), REAL("1e-5")
    return (1 - (2 * p * q + small) / (p + q + small)).mean() + _plain(x, t).mean()


def _jensen_shannon(x: Array, q: Array) -> Array:
    p = _softmax_of(x)
    middle = (p + q) / 2
    return ((p * np.log(p / middle) + q * np.log(q / middle)) / 2).sum(1)


def _personalised(x: Array, t: Array) -> Array:
    positive = x[np.arange(len(t)), t]
    gap = positive - (x.sum(1) - positive) / (x.shape[1] - 1)
    return -np.log(REAL("1e-10") + 1 / (1 + np.exp(-gap)))


def _bi_tempered(x: Array, t: Array) -> Array:
    """With the normaliser by bisection: it makes the probabilities sum to 1."""
    low, high = x.max(1, keepdims=True), x.max(1, keepdims=True) + 1e6
    for _ in range(90):
        middle = (low + high) / 2
        above = (1 + REAL("0.4") * (middle - x)) ** REAL("-2.5")
        large = above.sum(1, keepdims=True) > 1
        low, high = np.where(large, middle, low), np.where(large, high, middle)
    q = _hot(x, t)
    terms = -q * (above ** REAL("0.2") - 1) / REAL("0.2") + (above ** REAL("1.2") - q) / REAL("1.2")
    return terms.sum(1)


OUTSIDE: Final[Mapping[str, Callable[[Array, Array], Array]]] = {
    "mmseg_ohem": _ohem,
    "paddleseg_top_k": lambda x, t: np.sort(_plain(x, t))[-max(1, len(t) // 4) :].mean(),
    "monai_dice_ce": _dice,
    "trl_dynamic_fine_tuning": lambda x, t: _plain(x, t) * np.exp(-_plain(x, t)),
    "recbole_bpr": _personalised,
    "mmseg_kl_of_softmax": lambda x, q: (q * np.log(q) - q * _softmax_of(x)).sum(1),
    "trl_jensen_shannon": _jensen_shannon,
    "catalyst_symmetric": _symmetric,
    "bi_tempered": _bi_tempered,
}
"""Formulas of the losses that are not explainable, from logits (N, K) and a target, both in long double."""
