"""The softmax and its parts, with a proven error bound on every part: the workspace of oracle and budgets.

Formulas: docs/accuracy.md, section 1. The bound assumes that + - * / are correctly rounded to unit roundoff E, that
exp and log1p are within 4 ulp (8 E) for normal results and MU absolute otherwise (`trustworthy` tests that against
Arb), and ANY order of summation. No sum here cancels. It is computed in float64, or in this machine's extended
precision (`EXTENDED`), which is narrow enough to judge float64 itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import numpy as np
from flint import arb, ctx

from logitmus.core.floats import Array, row_sums

E: Final = 2.0**-53  # unit roundoff of float64
R: Final = 1.02  # covers second-order terms for K < 2^40


@dataclass(frozen=True)
class Working:
    """A format to compute in.

    Attributes:
        bits: of its significand, with the leading bit. E: its unit roundoff. MU: its smallest normal number.
    """

    dtype: Any
    bits: int
    E: float
    MU: Any

    @classmethod
    def of(cls, dtype: Any) -> Working:
        """The format of a NumPy dtype."""
        bits = int(np.finfo(dtype).nmant) + 1
        return cls(np.dtype(dtype), bits, 2.0**-bits, dtype(2) ** int(np.finfo(dtype).minexp))


DOUBLE: Final = Working.of(np.float64)
# The long double of x87 (80 bits) or IEEE (128 bits). None on other machines, where Arb takes its place.
EXTENDED: Final = Working.of(np.longdouble) if np.finfo(np.longdouble).nmant in (63, 112) else None


@dataclass(frozen=True)
class Softmax:
    """Per row (first axis R), of the divided logits: m = max x, d = x - m, L = log(sum e^d), l = L - d, p = e^-l.

    Attributes:
        m, s2, L: (R,); s2 is the sum of e^d without the first maximal class. d: (R, K).
        abs_d: (R, K) |d| with 0 where d is infinite. spread: (R,) D = sum p|d|.
        ds, dL: (R,) bounds on the errors of s2 and L.
        lost: (R,) rows without a limit: NaN among the logits, two +inf, all -inf.
        top: (R,) the first maximal class. exponentials: (R, K) e^d.
        working: the format of all of them. roundings: of each d, 2 where a temperature divides it.
    """

    working: Working

    m: Array
    d: Array
    abs_d: Array
    exponentials: Array
    top: Array
    s2: Array
    L: Array
    spread: Array
    ds: Array
    dL: Array
    lost: Array
    roundings: int

    @cached_property
    def p(self) -> Array:
        """(R, K): e^d / sum e^d."""
        return np.asarray(self.exponentials / (1.0 + self.s2)[:, None])

    @cached_property
    def neg_log_p(self) -> Array:
        """(R, K): l = L - d."""
        return np.asarray(self.L[:, None] - self.d)

    @property
    def neg_log_p_error(self) -> Array:
        """A bound on the error of l, (R, K)."""
        return self._log_error(self.neg_log_p, self.abs_d, self.dL[:, None])

    def neg_log_p_at(self, k: Array) -> tuple[Array, Array]:
        """l and its error bound at the classes k, (R,)."""
        rows = np.arange(len(k))
        value = self.L - self.d[rows, k]
        return value, self._log_error(value, self.abs_d[rows, k], self.dL)

    def logsumexp(self) -> tuple[Array, Array]:
        """m + L and its error bound, (R,)."""
        value = self.m + self.L
        size = (self.roundings - 1) * np.abs(self.m) + np.abs(value)
        return value, np.asarray(self.dL + 1.01 * self.working.E * size)

    def _log_error(self, value: Array, abs_d: Array, dL: Array) -> Array:
        size = self.roundings * abs_d + np.where(np.isfinite(value), value, 0.0)
        return np.asarray(dL + 1.01 * self.working.E * size)

    def p_error(self) -> Array:
        """A bound on the error of p, (R, K)."""
        exponent = 1.01 * self.working.E * (self.roundings * self.abs_d + 12)
        return self.p * (exponent + self._relative_ds[:, None]) + self.working.MU

    def others(self, k: Array) -> tuple[Array, Array]:
        """sum of p_j over j != k and its error bound, (R,), without cancellation (1 - p_k would cancel)."""
        E, MU = self.working.E, self.working.MU
        at_top = k == self.top
        e_k = self.exponentials[np.arange(len(k)), k]
        numerator = np.where(at_top, self.s2, (self.s2 - e_k) + 1.0)
        numerator_error = self.ds + np.where(at_top, 0.0, 4 * E * (1.0 + self.s2))
        denominator = 1.0 + self.s2
        value = numerator / denominator
        error = numerator_error / (denominator - self.ds) + value * (self._relative_ds + 8 * E) + MU
        # A lone class has no others: exactly 0 (also where all others are masked with -inf).
        alone = at_top & (self.s2 == 0) & (self.ds <= 0)
        return value, np.where(alone, 0.0, error)

    @property
    def _relative_ds(self) -> Array:
        return self.ds / (1.0 + self.s2 - self.ds)


def softmax(x: Array, working: Working = DOUBLE, temperature: float = 1.0) -> Softmax:
    """The workspace for x / temperature, (R, K) float64 with K >= 1; extended reals by their limits."""
    rows, classes = x.shape
    E, MU = working.E, working.MU
    x = x.astype(working.dtype, copy=False)
    top = x.argmax(axis=1)
    m = x[np.arange(rows), top]
    lost = ~np.isfinite(m)  # argmax finds NaN first, then +inf; all -inf has no limit either
    with np.errstate(invalid="ignore", over="ignore"):
        d = x - m[:, None]
        if temperature != 1:
            d, m = d / working.dtype.type(temperature), m / working.dtype.type(temperature)
    if lost.any():
        plus = x == np.inf
        lost = np.isnan(m) | (plus.sum(axis=1) > 1) | (m == -np.inf)
        d = np.where(plus | lost[:, None], 0.0, d)  # a single +inf: probability 1 there
    exponentials = np.exp(d)
    exponentials[np.arange(rows), top] = 0.0
    abs_d = np.abs(d)
    live = np.full(rows, classes)
    roundings = 1 if temperature == 1 else 2
    with np.errstate(invalid="ignore"):
        weighted = row_sums(exponentials * abs_d)
    if not np.isfinite(weighted).all():  # 0 * inf: a class at -inf contributes exactly 0
        masked = abs_d == np.inf
        abs_d[masked] = 0.0
        live = classes - masked.sum(axis=1)
        weighted = row_sums(exponentials * abs_d)
    s2 = row_sums(exponentials)
    ds = np.where(live > 1, R * E * ((classes + 8) * s2 + roundings * weighted) + classes * MU, 0.0)
    L = np.log1p(s2)
    dL = np.where(live > 1, ds / (1.0 + s2 - ds) + 8.1 * E * L + MU, 0.0)
    exponentials[np.arange(rows), top] = 1.0
    total = 1.0 + s2
    return Softmax(
        working=working,
        m=m,
        d=d,
        abs_d=abs_d,
        exponentials=exponentials,
        top=top,
        s2=s2,
        L=L,
        spread=weighted / total,
        ds=ds,
        dL=dL,
        lost=lost,
        roundings=roundings,
    )


class Softmaxes:
    """The workspaces of a problem, each computed once: most questions about a problem share their logits."""

    def __init__(self) -> None:
        self._computed: list[tuple[Array, float, Softmax]] = []

    def of(self, x: Array, working: Working = DOUBLE, temperature: float = 1.0) -> Softmax:
        """`softmax` of x / temperature."""
        for logits, divisor, workspace in self._computed:
            same = workspace.working is working and divisor == temperature
            if same and (logits is x or np.array_equal(logits, x)):
                return workspace
        workspace = softmax(x, working, temperature)
        self._computed.append((x, temperature, workspace))
        return workspace


@cache
def trustworthy(working: Working) -> bool:
    """Whether exp and log1p keep the assumed bounds on this machine, at 10^4 points compared with Arb."""
    # Integers scaled by powers of two: the same points on every machine; the last ones are exp's thresholds.
    deepest = math.log(2) * int(np.finfo(working.dtype).minexp - np.finfo(working.dtype).nmant)
    steps = np.arange(1, 4001, dtype=np.float64)
    exp_points: Array = np.concatenate(
        [
            steps * (deepest / 4000),
            -steps * 2.0**-14,
            -(2.0 ** -np.arange(60.0)),
            [-708.3, -708.4, -744.4, -745.1, -745.2, -11355.1, -11356.5, -11399.4, -1e5],
        ]
    ).astype(working.dtype)
    exp_points[:4000] /= 3  # points that float64 cannot hold, too
    exp_points[:2000] *= 3
    log_points = np.concatenate([steps * 32.0, 2.0 ** -np.arange(1000.0), steps[:900] * 2.0**-10]).astype(working.dtype)
    log_points[::3] /= 3
    before, ctx.prec = ctx.prec, 256
    try:
        checks: tuple[tuple[Array, Array, Callable[[Any], Any]], ...] = (
            (exp_points, np.exp(exp_points), lambda value: value.exp()),
            (log_points, np.log1p(log_points), lambda value: value.log1p()),
        )
        (smallest,) = _exactly(np.array([working.MU]))
        for points, computed, exact in checks:
            normal = (computed >= working.MU).tolist()
            for point, value, is_normal in zip(_exactly(points), _exactly(computed), normal, strict=True):
                true = exact(point)
                if not abs(value - true) < (8 * working.E * true if is_normal else smallest):
                    return False
    finally:
        ctx.prec = before
    return True


def _exactly(values: Array) -> list[Any]:
    """Numbers of up to 113 bits as Arb balls of no radius."""
    if values.dtype == np.float64:
        return list(map(arb, values.tolist()))
    fraction, exponent = np.frexp(values)
    total = [arb(0)] * len(values)
    while fraction.any():
        piece = fraction.astype(np.float64)
        total = [ball + arb(part) for ball, part in zip(total, piece.tolist(), strict=True)]
        fraction = fraction - piece
    return [ball * arb(2) ** power for ball, power in zip(total, exponent.tolist(), strict=True)]
