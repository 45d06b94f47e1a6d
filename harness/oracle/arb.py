"""The rigorous tier of the oracle: Arb ball arithmetic (python-flint), row by row, at any precision.

The same formulas as the float64 tier (docs/accuracy.md, section 1), arranged without cancellation, on balls that
carry their own error bounds. Slow (about a microsecond a term) and always right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx

from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.question import Question

Ball = Any  # flint.arb has no type stubs


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Arb's working precision, restored afterwards."""
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


@dataclass(frozen=True)
class RowBalls:
    """One row: -log p, p as balls (None: no limit exists), exact where infinite; lse: the logsumexp of logits."""

    neg_log: list[Ball]
    p: list[Ball]
    others: Callable[[int], Ball]
    slope: Callable[[int, Ball, Ball], Ball]
    lse: Ball = None


def to_enclosure(balls: list[Ball], shape: tuple[int, ...]) -> Enclosure:
    """The balls as mid + rest +- radius in float64."""
    mid, rest, radius = np.empty(len(balls)), np.zeros(len(balls)), np.zeros(len(balls))
    for i, ball in enumerate(balls):
        middle = ball.mid()
        high = mid[i] = float(middle)
        if math.isfinite(high):
            low = rest[i] = float(middle - high)
            # What the two floats leave of the middle is at most half an ulp of the second.
            radius[i] = (float(ball.rad()) + abs(low) * 2.0**-52) * (1 + 2.0**-50)
            if not ball.is_exact():
                radius[i] += _LEAST
        elif not ball.is_finite() and not _infinite(ball):
            mid[i] = math.nan
    return Enclosure(mid, rest, radius).reshape(shape)


def _infinite(ball: Ball) -> bool:
    return not ball.is_finite() and bool(abs(ball) == INF)


INF = arb("inf")
_LEAST = 2.0**-1074
NAN = arb("nan")


def _scale(question: Question) -> Ball:
    return {"e": lambda: arb(1), "2": lambda: arb(2).log(), "10": lambda: arb(10).log()}[question.log_base]()


def row_balls(question: Question, n: int) -> RowBalls | None:
    """The n-th row as balls; None where no limit exists."""
    if not question.classes:
        return None
    x = question.x[n].tolist()
    match question.inputs:
        case "logits":
            return _from_logits(x, arb(question.temperature), nan_infinities=question.nan_infinities)
        case "log_probabilities":
            return _from_log_probabilities(x)
        case _:
            return _from_probabilities(x, question)


def _from_logits(x: list[float], temperature: Ball, *, nan_infinities: bool) -> RowBalls | None:
    if any(map(math.isnan, x)) or x.count(math.inf) > 1 or max(x) == -math.inf:
        return None
    m = max(x)
    if m == math.inf and nan_infinities:
        return None
    top = x.index(m)
    if m == math.inf:
        d = [arb(0) if v == m else -INF for v in x]
    else:
        big = arb(m)
        d = [(arb(v) - big) / temperature if v != -math.inf else -INF for v in x]
    e = [
        arb(0) if v == -math.inf or (m == math.inf and k != top) else dk.exp()
        for k, (v, dk) in enumerate(zip(x, d, strict=True))
    ]
    s2 = _total(e, without=top)
    log_sum, total = s2.log1p(), 1 + s2
    p = [ek / total for ek in e]
    neg_log = [INF if pk == 0 and dk == -INF else log_sum - dk for pk, dk in zip(p, d, strict=True)]

    def others(k: int) -> Ball:
        return (s2 if k == top else _total(e, without=k)) / total

    lse = arb(m) / temperature + log_sum
    return RowBalls(neg_log, p, others, lambda i, a_total, a_i: a_total * p[i] - a_i, lse)


def _from_log_probabilities(x: list[float]) -> RowBalls | None:
    if any(map(math.isnan, x)):
        return None
    neg_log = [-arb(v) if math.isfinite(v) else (INF if v < 0 else -INF) for v in x]
    zero = arb(0)
    return RowBalls(neg_log, [zero] * len(x), lambda k: zero, lambda i, a_total, a_i: -a_i)


def _from_probabilities(x: list[float], question: Question) -> RowBalls | None:
    if any(map(math.isnan, x)):
        return None
    p = [arb(v) for v in x]
    total = sum(p, arb(0))
    if question.probability_scale == "before_clip":
        if not total > 0:
            return None
        p = [pk / total for pk in p]
    inside = [arb(1)] * len(p)
    if question.clip is not None:
        low, high = map(arb, question.clip)
        if high < 1:
            high = 1 - low  # exactly: float64 has few digits of it
        inside = [_inside(pk, low, high) for pk in p]
        p = [low if pk < low else min(pk, high) for pk in p]
    neg_log = [-pk.log() if pk > 0 else INF for pk in p]
    if question.probability_scale == "after_clip":
        clipped_total = sum(p, arb(0))
        log_total = clipped_total.log()
        neg_log = [value + log_total for value in neg_log]

        def slope(i: int, a_total: Ball, a_i: Ball) -> Ball:
            return inside[i] * (a_total / clipped_total - a_i / p[i])
    elif question.probability_scale == "before_clip":
        # d/dx_i of -sum a_k log(x_k/S): -a_i in_i / x_i + (sum a_k in_k) / S; `a_total` carries that sum.
        def slope(i: int, a_total: Ball, a_i: Ball) -> Ball:
            return a_total / total - inside[i] * a_i / (p[i] * total)
    else:

        def slope(i: int, a_total: Ball, a_i: Ball) -> Ball:
            return -inside[i] * a_i / p[i] if a_i != 0 else arb(0)

    return RowBalls(neg_log, inside, lambda k: arb(0), slope)


def _inside(value: Ball, low: Ball, high: Ball) -> Ball:
    """1 strictly inside the clip, 0 strictly outside; on a bound any subgradient between is right."""
    if value > low and value < high:
        return arb(1)
    if value < low or value > high:
        return arb(0)
    return arb(0.5, 0.5)


def _total(terms: list[Ball], *, without: int) -> Ball:
    out = arb(0)
    for k, term in enumerate(terms):
        if k != without:
            out += term
    return out


def effective_targets(question: Question, n: int) -> list[Ball]:
    """a_k of row n, exactly."""
    classes = question.classes
    label = None if question.labels is None else int(question.labels[n])
    q = [arb(0)] * classes if question.q is None else [arb(v) for v in question.q[n].tolist()]
    if label is not None:
        q[label] = arb(1)
    if question.eps:
        eps = arb(question.eps)
        if question.spread == "others":
            share = eps / max(classes - 1, 1)
            q = [(1 - eps) * v + (share if v == 0 else 0) for v in q]
        else:
            q = [(1 - eps) * v + eps / classes for v in q]
    if question.weight is not None:
        w = question.weight.tolist()
        if question.weigh == "target" and label is not None:
            q = [arb(w[label]) * v for v in q]
        else:
            q = [arb(wk) * v for wk, v in zip(w, q, strict=True)]
    return q


def row_loss(question: Question, n: int, balls: RowBalls | None) -> Ball:
    """sum a_k l_k of row n; terms with a_k = 0 contribute 0, or NaN beside an infinite l_k where 0 * inf is NaN."""
    forced = float(question.forced[n])
    if not question.kept[n]:
        return NAN if math.isnan(forced) else arb(0)
    if forced != 1.0:
        return NAN if math.isnan(forced) else arb(0)
    if balls is None:
        return NAN
    total, infinite = arb(0), 0
    lone = None if question.labels is None or question.eps else int(question.labels[n])
    for k, (a, value) in enumerate(zip(effective_targets(question, n), balls.neg_log, strict=True)):
        if a == 0:
            if question.nan_products and _infinite(value) and lone in (None, k):
                return NAN
        elif not a.is_finite():
            return NAN
        elif _infinite(value):
            sign = 1 if (a > 0) == (value > 0) else -1
            if infinite == -sign:
                return NAN
            infinite = sign
        else:
            total += a * value
    factor = arb(question.factor)
    if infinite:
        return factor * infinite * INF
    return factor * (total / _scale(question) + _z_loss(question, balls))


def _z_loss(question: Question, balls: RowBalls) -> Ball:
    return arb(question.z_loss) * balls.lse**2 if question.z_loss else arb(0)


def row_gradient(question: Question, n: int, balls: RowBalls | None, factor: Ball) -> list[Ball]:
    """The gradient of row n by its inputs, times `factor` (the cotangent over the denominator)."""
    classes = question.classes
    if not question.kept[n]:
        return [arb(0)] * classes
    forced = float(question.forced[n])
    if balls is None or forced != 1.0:
        return [NAN if balls is None or math.isnan(forced) else arb(0)] * classes
    a = effective_targets(question, n)
    if question.inputs == "logits":
        factor = factor / arb(question.temperature)
        of_lse = factor * 2 * arb(question.z_loss) * balls.lse if question.z_loss else arb(0)
        factor = factor / _scale(question)
        total = sum(a, arb(0)) if question.soft_target_gradient == "scaled" else arb(1)
        live = [k for k in range(classes) if a[k] != 0]
        out = [factor * balls.slope(i, total, a[i]) for i in range(classes)]
        if len(live) == 1 and total == a[live[0]]:  # a lone target: the others' sum, without cancellation
            out[live[0]] = -factor * total * balls.others(live[0])
        return [slope + of_lse * p for slope, p in zip(out, balls.p, strict=True)] if question.z_loss else out
    factor = factor / _scale(question)
    total = sum((ak * inside for ak, inside in zip(a, balls.p, strict=True)), arb(0))
    if question.probability_scale == "after_clip":
        total = sum(a, arb(0))
    return [factor * balls.slope(i, total, a[i]) for i in range(classes)]


def row_target_gradient(question: Question, n: int, balls: RowBalls | None, factor: Ball) -> list[Ball]:
    """The gradient of row n by q_k: c w_k (1 - eps) l_k, 0 where w_k is 0."""
    if not question.kept[n]:
        return [arb(0)] * question.classes
    if balls is None or float(question.forced[n]) != 1.0:
        return [NAN] * question.classes
    weight = [1.0] * question.classes if question.weight is None else question.weight.tolist()
    scale = factor * (1 - arb(question.eps)) / _scale(question)
    return [_times(scale * arb(w), value) for w, value in zip(weight, balls.neg_log, strict=True)]


def _times(a: Ball, value: Ball) -> Ball:
    if a == 0:
        return arb(0)
    if not _infinite(value):
        return a * value
    return INF if (a > 0) == (value > 0) else -INF


def denominator(question: Question) -> Ball:
    """W exactly: the sum of the divisor's terms."""
    return sum((arb(v) for v in question.divisor.tolist()), arb(0))


def add_rows(losses: list[Ball], counts: list[int]) -> Ball:
    """Their sum, each as often as it occurs; infinities of both signs, or NaN: NaN."""
    infinite, total = 0, arb(0)
    for value, count in zip(losses, counts, strict=True):
        if _infinite(value):
            sign = 1 if value > 0 else -1
            if infinite == -sign:
                return NAN
            infinite = sign
        elif not value.is_finite():
            return NAN
        else:
            total += count * value
    return infinite * INF if infinite else total


def as_array(rows: list[list[Ball]], classes: int) -> Enclosure:
    """Rows of balls as an (R, K) enclosure."""
    return to_enclosure([ball for row in rows for ball in row], (len(rows), classes))


def column(values: list[Ball]) -> Enclosure:
    """Balls as an (R,) enclosure."""
    return to_enclosure(values, (len(values),))


def factor_of(question: Question, n: int, over: Ball) -> Ball:
    """The cotangent of row n, times the factor of the loss, divided by the denominator."""
    return arb(float(question.upstream[n])) * arb(question.factor) / over
