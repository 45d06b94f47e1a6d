"""Budgets: how far a well-made implementation may be from each exact value, by rounding-error analysis.

u, w and v are the unit roundoffs of the result, of values stored between kernels, and of the arithmetic. Every formula
is derived in docs/accuracy.md, section 2; no constant is chosen by experience.

What is hard is to be wide enough for every good implementation and narrow enough to expose a fault, for each value:

- A relative tolerance is neither. The loss of a confident row is tiny, and its relative error is legitimately large if
  it is computed as a difference; near a loss of 1 the same tolerance accepts lost digits. So a budget is a sum of
  terms, each for an operation that may round, weighted by the magnitude of its operands in this very problem.
- The textbook bound for a sum, (n-1) v, exceeds 1 for a float16 vocabulary and would accept anything. But an addition
  errs by no more than its smaller operand, so that most classes of a peaked softmax cost nothing (`summation`).
- One budget cannot also say how good a result is. Hence four: A (errors that vanish with the loss), B+ (a stable
  formula with a good summation; the verdict), B (any order of summation) and C (the logsumexp formed first). B and C
  only name a weakness of a result that B+ rejects.
- The backward pass may multiply by the cotangent before a value is stored or after it, and may compute a lone target's
  gradient as p - 1 or as the sum of the other classes. A budget allows for each of these.
- Underflow is absolute, not relative: the thresholds th_u and th_w and the smallest normal number lam_v add what a
  subnormal, or zero in its place, may lose. Scales are multiplied in first, so that tiny weights do not underflow here.
- If the analysis itself says nothing (v S > 1/16, or a sum of weights that may be anything), the row is coarse or
  ill-posed: reported as such, and judged only for integrity.

Budgets are computed in float64 for all values at once, and lazily: most of the precisions and conventions that a
diagnosis tries are refuted by a single part. `SAFETY` covers their own roundings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from logitmus.core.finding import Grade
from logitmus.core.floats import Array, format_of, row_sums
from logitmus.core.subject import Precision
from logitmus.oracle.answer import Answer
from logitmus.oracle.question import Question
from logitmus.oracle.softmax import Softmax

SAFETY = 1 + 2.0**-10  # budgets are themselves computed in float64
_LEAST = 2.0**-1074  # half of float64's smallest subnormal is 0 in float64


@dataclass(frozen=True)
class Roundoffs:
    """u, w, v of a subject for a dtype, with the thresholds of underflow."""

    u: float
    w: float
    v: float
    th_u: float
    th_w: float
    lam_v: float
    flushes: bool = False

    @classmethod
    @cache
    def of(cls, precision: Precision, *, flushes: bool) -> Roundoffs:
        """The roundoffs of a precision; subnormal results are 0 where it flushes."""
        result, storage, arithmetic = map(format_of, (precision.result, precision.storage, precision.arithmetic))
        return cls(
            result.u,
            storage.u,
            arithmetic.u,
            result.smallest_normal if flushes else max(result.smallest_subnormal / 2, _LEAST),
            storage.smallest_normal if flushes else max(storage.smallest_subnormal / 2, _LEAST),
            arithmetic.smallest_normal,
            flushes,
        )


def summation(shares: Array, v: float, *, well: bool) -> Array:
    """S(n) along the last axis: the number of roundings in a sum of n terms with these shares of sum |t|.

    Any order (B): min(n-1, log2 n + 2 sum_{j not max} min(1, t_j/v)): an addition errs by at most its smaller
    operand, so absorbed and zero terms cost nothing. Well summed (B+): also at most log2 n + 2 sqrt n
    (Higham & Mary 2019; blocked and pairwise sums stay below it).
    """
    n = shares.shape[-1]
    if n <= 1:
        return np.zeros(shares.shape[:-1])
    counted = np.minimum(1.0, shares / v)
    any_order = np.log2(n) + 2 * (row_sums(counted) - counted.max(axis=-1))
    out = np.minimum(float(n - 1), any_order)
    return np.minimum(out, np.log2(n) + 2 * np.sqrt(n)) if well else out


@dataclass(frozen=True, eq=False)
class Budget:
    """The budgets of a question at a precision and grade: arrays of the shapes of the answer's.

    Attributes:
        coarse: (R,) rows (or () for a reduction: any row) whose budget would let any number pass.
    """

    answer: Answer
    roundoffs: Roundoffs
    grade: Grade

    @cached_property
    def loss(self) -> Array:
        """(R,) or (): the allowed distance of a loss."""
        return self._bounded(self._loss)

    @cached_property
    def grad_logits(self) -> Array:
        """(R, K): the allowed distance of a gradient by the logits."""
        return self._bounded(self._grad_logits)

    @cached_property
    def grad_targets(self) -> Array:
        """(R, K): the allowed distance of a gradient by target probabilities."""
        return self._bounded(self._grad_targets)

    @cached_property
    def coarse(self) -> Array:
        """(R,): v S > 1/16, the analysis' own limit."""
        return np.asarray(self.roundoffs.v * self._s > 1 / 16)

    @staticmethod
    def _bounded(compute: Callable[[], Array]) -> Array:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            budget = np.asarray(compute() * SAFETY)
        unknown = np.isnan(budget)
        return np.where(unknown, np.inf, budget) if unknown.any() else budget

    # The parts have the names of docs/accuracy.md.

    @property
    def _q(self) -> Question:
        return self.answer.question

    @property
    def _soft(self) -> Softmax:
        return self.answer.workspace

    @cached_property
    def _s(self) -> Array:
        """S(K) per row."""
        return summation(self._soft.p, self.roundoffs.v, well=self.grade in (Grade.A, Grade.B_PLUS))

    @cached_property
    def _l(self) -> Array:
        """l_k with infinities replaced by 0: they are judged as special values, not by distance."""
        value = self._soft.neg_log_p if self._softmax_inside else np.abs(self._q.log_inputs)
        finite = np.isfinite(value)
        return value if finite.all() else np.where(finite, value, 0.0)

    @cached_property
    def _softmax_inside(self) -> bool:
        """Whether the loss is a logsumexp: of logits, or of the logs of probabilities scaled after the clip."""
        return self._q.inputs == "logits" or self._q.probability_scale == "after_clip"

    @cached_property
    def _logs(self) -> Array:
        """(R, K): the error of taking the logs of (scaled, clipped) probabilities."""
        r, z = self.roundoffs, self._q.log_inputs
        z = np.where(np.isfinite(z), np.abs(z), 0.0)
        return r.v * (8 * z + 4 + self._s[:, None]) + r.w * (z + 1)

    @cached_property
    def _constant(self) -> float:
        """1, or 0 for K = 1, where exp 0 and log 1 are exact."""
        return 0.0 if self._q.classes == 1 else 1.0

    @cached_property
    def _dl(self) -> Array:
        """DL, (R,): the error of log sum e^d."""
        r, soft = self.roundoffs, self._soft
        c = self._constant
        return r.v * (3 * soft.spread + self._s + 12 * c + 8 * soft.L) + r.w * (soft.spread + 2 * c + soft.L)

    @property
    def _passed_on(self) -> float:
        """The rounding of a value that one operation passes to the next: stored, or an array of the result's dtype."""
        return max(self.roundoffs.u, self.roundoffs.w)

    @cached_property
    def _divided(self) -> Array | None:
        """(R, K): the relative error of p_k, and so of l_k, from logits divided by a temperature; None: 0.

        A division by a power of 2 is exact.
        """
        if math.frexp(self._q.temperature)[0] == 0.5:
            return None
        z = np.where(np.isfinite(self._q.log_inputs), np.abs(self._q.log_inputs), 0.0)
        moved = (self._passed_on + 3 * self.roundoffs.v) * z
        return np.expm1(moved + np.log(row_sums(self._soft.p * np.exp(moved)))[:, None])

    @cached_property
    def _z_loss(self) -> tuple[Array, Array, Array]:
        """(R,) each: |logsumexp|, the error of it, and the error of the z-loss before the factor and the divisor."""
        r, soft, passed_on = self.roundoffs, self._soft, self._passed_on
        m = np.where(np.isfinite(soft.m), soft.m, 0.0)
        lse = np.abs(m + soft.L)
        error = self._dl + 2 * (r.v + passed_on) * (np.abs(m) + soft.L)
        if self._divided is not None:
            error = error + self._divided.min(axis=1)
        return lse, error, self._q.z_loss * (error * (2 * lse + error) + 4 * (r.v + passed_on) * lse**2)

    def _with_z_loss(self, error: Array, magnitude: Array) -> tuple[Array, Array]:
        """The error and the magnitude of rows, with what the z-loss adds to both."""
        if not self._q.z_loss:
            return error, magnitude
        lse, _, added = self._z_loss
        term = self._q.z_loss * lse**2
        # Each of the two terms may have been passed on before they are added.
        both = (magnitude + self._over * term) * (self._passed_on + self.roundoffs.v)
        return error + self._over * added + both, magnitude + self._over * term

    @cached_property
    def _offset(self) -> Array | None:
        """(R, K): the error of logs of probabilities, or of divided logits, and of grade C's logsumexp; None: 0."""
        logs = self._logs if self._q.inputs == "probabilities" else self._divided
        if self.grade is not Grade.C:
            return logs
        m = np.where(np.isfinite(self._soft.m), np.abs(self._soft.m), 0.0)[:, None]
        x = np.where(np.isfinite(self._q.log_inputs), np.abs(self._q.log_inputs), 0.0)
        slope = 2 * (self.roundoffs.v + self.roundoffs.w)
        return slope * m + slope * x if logs is None else logs + slope * m + slope * x

    @cached_property
    def _dl_k(self) -> Array:
        """Dl_k, (R, K): the error of -log p_k."""
        return self._log_error(self._dl[:, None], self._soft.abs_d, self._l, self._offset)

    def _log_error(self, dl: Array, abs_d: Array, l_k: Array, offset: Array | None) -> Array:
        """Dl_k of some elements."""
        slope = self.roundoffs.v + self.roundoffs.w  # first: |d| may be near float64's own largest value
        error = dl + slope * abs_d + slope * l_k
        return np.asarray(error if offset is None else error + offset)

    @cached_property
    def _rows(self) -> tuple[Array, Array]:
        """E without the result's own rounding, and T = sum h_k l_k, (R,); of a mean, both over |W| - dW."""
        r, q = self.roundoffs, self._q
        if self.grade is Grade.A:
            return self._accurate_rows
        c, over = self._constant, self._over
        if q.hard:
            at = (np.arange(q.rows), q.labels)
            size, l_t = q.target_size * over, self._l[at]
            offset = None if self._offset is None else self._offset[at]
            magnitude = size * l_t
            error = (
                size * self._log_error(self._dl, self._soft.abs_d[at], l_t, offset)
                + (3 * r.v + 3 * r.w) * magnitude
                + r.lam_v * size * q.classes * c
                + 3 * r.th_w * c * over
            )
            error, magnitude = self._with_z_loss(error, magnitude)
            return self._kept(error), self._kept(magnitude)
        a, h, _ = q.effective
        h = h * over
        terms = h * self._l
        magnitude, size = row_sums(terms), row_sums(h)
        nnz = (a != 0).sum(axis=1)
        s_t = self._s_t
        error = (
            row_sums(h * self._dl_k)
            + (r.v * (s_t + 3) + 3 * r.w) * magnitude
            + q.classes * r.lam_v * size * c
            + r.th_w * (nnz + 2) * c * over
            + row_sums(self._flushed * over * self._l)
        )
        if self.grade is Grade.C and self._offset is not None:
            error = error + s_t * row_sums(h * self._offset) / 2
        error, magnitude = self._with_z_loss(error, magnitude)
        return self._kept(error), self._kept(magnitude)

    @cached_property
    def _flushed(self) -> Array:
        """(R, K): the magnitudes of targets that flushing turns to zero; (1, 1) of 0 if nothing is flushed."""
        if not self.roundoffs.flushes:
            return np.zeros((1, 1))
        _, h, _ = self._q.effective
        return np.where(h < self.roundoffs.lam_v, h, 0.0)

    def _kept(self, values: Array) -> Array:
        return np.where(self._q.kept, values, 0.0)

    @cached_property
    def _s_t(self) -> Array:
        """S_T per row: the summation over the nonzero targets; 0 for a lone target."""
        q = self._q
        if q.hard:
            return np.zeros(q.rows)
        _, h, _ = q.effective
        terms = h * self._l
        total = row_sums(terms)[:, None]
        shares = np.divide(terms, total, out=np.zeros_like(terms), where=total > 0)
        return summation(shares, self.roundoffs.v, well=self.grade in (Grade.A, Grade.B_PLUS))

    @cached_property
    def _one_minus_p_max(self) -> Array:
        value, _ = self._soft.others(self._soft.top)
        return value

    @cached_property
    def _accurate_rows(self) -> tuple[Array, Array]:
        """Grade A: v H (3D + (S+8)(1 - p_max)) and 8 v T for dense rows; the terms vanish with the loss."""
        r, q, soft = self.roundoffs, self._q, self._soft
        _, h, lone = q.effective
        h = h * self._over
        size, magnitude = row_sums(h), row_sums(h * self._l)
        error = r.v * size * (3 * soft.spread + (self._s + 8) * self._one_minus_p_max)
        error = error + np.where(lone >= 0, 0.0, 8 * r.v * self._s_t * magnitude)
        if self._divided is not None:
            error = error + row_sums(h * self._divided)
        error, magnitude = self._with_z_loss(error, magnitude)
        return self._kept(error), self._kept(magnitude)

    @cached_property
    def _divisor(self) -> tuple[float, float]:
        """dW and |W| - dW; 0 and 1 without a mean."""
        r, q = self.roundoffs, self._q
        if q.reduction != "mean" or q.fixed is not None:
            return 0.0, 1.0
        weights = np.abs(q.divisor)
        total = float(weights.sum())
        d_w = 0.0
        if len(weights) > 1:
            shares = weights / total if total else weights
            d_w = (r.v * float(summation(shares, r.v, well=False)) + r.w) * total
        elif total * r.w > 1:
            d_w = r.w * total  # a count that the storage precision cannot hold
        return d_w, abs(q.denominator) - d_w

    @cached_property
    def _over(self) -> float:
        """|factor| / (|W| - dW), taken before anything is multiplied, so that tiny weights do not underflow here."""
        left = self._divisor[1]
        return abs(self._q.factor) / left if left > 0 else np.inf

    @cached_property
    def _relative_w(self) -> float:
        """dW / |W|."""
        d_w, left = self._divisor
        return d_w / left if left > 0 else np.inf

    @cached_property
    def _s_n(self) -> float:
        """S_N: the summation over the rows."""
        _, magnitudes = self._rows
        total = magnitudes.sum()
        if not len(magnitudes):
            return 0.0
        shares = magnitudes / total if total > 0 else magnitudes
        return float(summation(shares, self.roundoffs.v, well=self.grade in (Grade.A, Grade.B_PLUS)))

    @property
    def ill_posed(self) -> bool:
        """|W| <= dW: the sum of weights may be anything; judged only for integrity."""
        return self._divisor[1] <= 0

    def _loss(self) -> Array:
        r = self.roundoffs
        y = self.answer.loss.magnitude
        if self._q.fixed is not None:
            return np.array(r.th_u)
        errors, magnitudes = self._rows
        if self._q.factor != 1:
            errors = errors + (self._passed_on + 2 * r.v) * magnitudes
        if self._q.single_rows and self.grade is not Grade.A:  # as below, for each row
            return errors + (r.v * 2.0 + 2 * r.w) * magnitudes + (r.u + r.v) * y + r.th_u
        if self._q.reduction == "none":
            own = 8 * r.u * y + 2 * r.th_u if self.grade is Grade.A else r.u * y + r.th_u
            return errors + own
        if self.grade is Grade.A:
            inner = errors.sum() + 8 * r.v * magnitudes.sum() * self._s_n
            return np.array(inner + y * self._relative_w + 8 * r.u * y + 2 * r.th_u)
        inner = errors.sum() + (r.v * (self._s_n + 2) + 2 * r.w) * magnitudes.sum()
        return np.array(inner + y * self._relative_w + (r.u + r.v) * y + r.th_u)

    @cached_property
    def _c(self) -> Array:
        """|c| per row, (R, 1), with the factor of the loss."""
        q = self._q
        over = q.denominator if q.fixed is None else 1.0
        return np.abs(np.where(q.kept, q.upstream * q.factor / over, 0.0))[:, None]

    def _grad_logits(self) -> Array:
        error = self._grad_of_cross_entropy()
        r, q, soft = self.roundoffs, self._q, self._soft
        if q.z_loss:
            lse, of_lse, _ = self._z_loss
            slope = self._c / q.temperature * 2 * q.z_loss * soft.p
            both = self._c / q.temperature * (q.target_size[:, None] * soft.p + q.effective[1]) + slope * lse[:, None]
            # The logsumexp has to be formed, and p may be taken from it, as exp(x_k - logsumexp).
            x = np.where(np.isfinite(q.log_inputs), np.abs(q.log_inputs), 0.0)
            of_p = np.expm1(self._relative_p + of_lse[:, None] + (self._passed_on + 4 * r.v) * (x + 1))
            error = error + slope * (of_lse[:, None] + (lse + of_lse)[:, None] * of_p)
            error = error + (3 * self._passed_on + 4 * r.v) * both
        if not q.is_plain:
            error = error + (self._passed_on + 4 * r.v) * self.answer.grad_logits.magnitude
        return np.asarray(error)

    def _grad_of_cross_entropy(self) -> Array:
        r, q, soft = self.roundoffs, self._q, self._soft
        g = self.answer.grad_logits.magnitude
        size = q.target_size[:, None]
        if q.soft_target_gradient == "plain":
            size = np.maximum(size, 1.0)
        c = self._c / q.temperature
        size = c * size  # first, so that tiny weights do not underflow here
        own = r.u + 4 * r.v + 3 * r.w + self._relative_w
        if q.inputs != "logits":
            p = np.exp(q.log_inputs)
            terms = size / row_sums(p)[:, None] * (q.probability_scale != "none") + c * q.effective[1] / p
            error = terms * (self._relative_p + 4 * r.w) + own * g + r.th_u
            return error if q.clip is None else error + self._at_the_clip(terms, c * q.effective[1])
        rows = np.flatnonzero(q.lone >= 0)
        lone, of_p = q.lone[rows], size * soft.p
        if self.grade is Grade.A:
            common = (3 * soft.spread + (self._s + 8) * self._one_minus_p_max)[:, None]
            error = of_p * (3 * r.v * soft.abs_d + r.v * (common + 8))
            if not q.hard:
                dense = 8 * r.v * self._s_t[:, None] * (of_p + c * q.effective[1])
                error += np.where((q.lone < 0)[:, None], dense, 0.0)
            error[rows, lone] = (r.v * size * common)[rows, 0]
            if self._divided is not None:
                error += of_p * self._divided
            return error + (8 * r.u + self._relative_w) * g + 2 * r.th_u
        # A value may be stored before or after it is multiplied by the cotangent.
        stored = r.th_w * np.maximum(1.0, c)
        error = of_p * (self._relative_p + r.v * self._s_t[:, None])
        error += size * (r.lam_v + r.th_w) + stored + r.th_u
        nnz = q.target_size[:, None] != 0
        if not q.hard:
            nnz = (q.effective[0] != 0).sum(axis=1)[:, None]
            error += np.where(nnz > 1, (4 * r.v + 3 * r.w) * (of_p + c * q.effective[1]), 0.0)
        error += stored * nnz * soft.p
        # A lone target's gradient may be -c A sum_{j != t} p_j as well as c A (p_t - 1): then that sum errs, too.
        others, _ = self.answer.others
        error[rows, lone] += (size[:, 0] * others * (self._dl + r.v * (self._s + 8)))[rows]
        if r.flushes:
            gone = c * self._flushed
            error += row_sums(gone)[:, None] * soft.p + gone
        return error + own * g

    def _at_the_clip(self, terms: Array, own: Array) -> Array:
        """(R, K): the terms of a gradient that are 0 or not, where a rounding decides whether p is clipped.

        Args:
            terms: the size of all terms. own: (R, K): c h_k, the size of that of each class's own probability, times p.
        """
        r, q = self.roundoffs, self._q
        low, high = q.clip or (0.0, 1.0)
        divided = q.probability_scale == "before_clip"
        total = row_sums(q.x)[:, None] if divided else np.ones((len(q.x), 1))
        p = q.x / total
        slack = 2 * self._passed_on + ((self._s + 8) * r.v)[:, None] * divided
        near = (np.abs(p - low) <= slack * low) | (np.abs(p - high) <= slack)
        of_total = row_sums(np.where(near, own, 0.0))[:, None] / total * divided
        return np.where(near, terms / total, 0.0) + of_total

    @cached_property
    def _relative_p(self) -> Array:
        """r_i, (R, K): the relative error of p_i, also when taken as exp of a stored log-probability."""
        r, soft = self.roundoffs, self._soft
        error = (self._dl + 8 * r.v + r.w)[:, None] + (3 * r.v + r.w) * soft.abs_d + r.w * self._l
        return np.asarray(error if self._offset is None else error + self._offset)

    def _grad_targets(self) -> Array:
        r, q = self.roundoffs, self._q
        g = self.answer.grad_targets.magnitude
        if q.factor != 1:
            return self._grad_of_targets(g) + (self._passed_on + 2 * r.v) * g
        return self._grad_of_targets(g)

    def _grad_of_targets(self, g: Array) -> Array:
        r, q = self.roundoffs, self._q
        weight = np.ones(q.classes) if q.weight is None else np.abs(q.weight)
        scale = self._c * weight[None, :] * abs(1 - q.eps)
        relative_w = self._relative_w
        if self.grade is Grade.A:
            soft = self._soft
            error = r.v * (3 * soft.spread + (self._s + 8) * self._one_minus_p_max)[:, None]
            return scale * error + (8 * r.u + relative_w) * g + 2 * r.th_u
        return scale * self._dl_k + (r.u + 5 * r.v + 3 * r.w + relative_w) * g + r.th_u + r.th_w * scale
