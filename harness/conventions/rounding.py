"""Can rounding alone explain that two losses differ? An answer from the losses, without the logits.

Two printed losses a <= b are given, in a dtype. If both are right for the same logits and labels, to the bit, there
is one exact loss y >= 0, and each lies within its budget of y (docs/accuracy.md, section 2). The logits are not
known, so the budget has to be bounded over all logits that have the loss y. For a row with a label t and no class
weight, with d_k = x_k - max x, L = log sum e^(d_k), l = L - d_t and D = sum p_k |d_k|, the budget is

    E = v (3D + S + 12 + 8L) + w (D + 2 + L) + (v + w)(|d_t| + l) + 3 (v + w) l + K lam_v + 3 th_w

and the loss itself bounds every term of it:

    D + L = sum p_k l_k is the entropy of the softmax, so it is at most log K.
    L <= l and L <= log K, because d_t <= 0 and because the sum has K terms of at most 1.
    |d_t| = l - L <= l.
    S <= S(K) = min(K - 1, log2 K + 2 sqrt K) if the sum is blocked or pairwise, K - 1 if it is formed term by term.

Hence 3D + 8L <= 3 log K + 5 min(l, log K), and with a row loss l

    E(l) = v (3 log K + 5 min(l, log K) + S(K) + 12) + w (log K + 2) + 5 (v + w) l + K lam_v + 3 th_w

whatever the logits are: neither their magnitude nor their spread matters, because a sound algorithm subtracts the
largest logit first. E is concave in l, so for N rows the mean of E(l_n) is at most E of the mean loss. With the
roundings of the reduction,

    none:  B(y) = E(y) + u y + th_u
    mean:  B(y) = E(y) + (v (S(N) + 2) + 2w) y + (u + v) y + th_u
    sum:   B(y) = N E(y / N) + (v (S(N) + 2) + 2w) y + (u + v) y + th_u

The divisor of a mean without class weights is a count, which is exact as far as the dtype holds it; beyond, v S(N) +
w of it may be lost. A value r is within the budget if a real number within B of y rounds to it, which adds half an
ulp. B grows by less than y does, so a common y exists only if it exists between a and b, and then

    b - a <= 2 B(b) + ulp(b);    if a + b < 0, where the nearest y is 0:  -2a in place of b - a.

That is the whole criterion. It is an upper bound over all logits and all sound algorithms, and no estimate: typical
differences are much smaller. "Cannot" is certain under the assumptions; "can" means that no bound contradicts it.
Where an assumption may be wrong, the answer states how wrong it would have to be:

- A function that forms the logsumexp of the unshifted logits first (grade C) errs by 2 (v + w)(|max x| + |x_t|) more
  in each row; the sum by N times the mean.
- If the logits themselves differ by at most delta, the loss of a row differs by at most 2 (1 - p_t) delta, since its
  gradient is p - e_t, and 1 - p_t = 1 - e^(-l). The mean differs by at most 2 (1 - e^(-y)) delta, as this is concave
  in l, too; the sum by N times the mean.

B grows with K and N. Where these are not given, the answer is for the smallest, 2 classes and one row; if rounding
cannot explain the difference there, the answer names the smallest K and the smallest N that would be enough, by
bisection, up to the sizes for which the analysis holds (v S <= 1/16).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from logitmus.conventions.printed_numbers import DTYPES, ExplainError, PrintedNumber
from logitmus.core.floats import decimal, float_array, format_of, from_ordinal, ordinal, ulp
from logitmus.core.subject import Precision
from logitmus.judging.budget import SAFETY, Roundoffs

REDUCTIONS: Final = ("none", "mean", "sum")
_LARGEST: Final = 1 << 40  # classes or rows: the analysis ends before, for every dtype but float64
_TOO_COARSE: Final = 1 / 16


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The number of classes, of (kept) rows, and the reduction of a loss; None: not known."""

    classes: int | None = None
    rows: int | None = None
    reduction: str | None = None

    def __post_init__(self) -> None:
        """Raise ExplainError for sizes that no loss has."""
        for name, size in (("classes", self.classes), ("rows", self.rows)):
            if size is not None and size < 1:
                raise ExplainError(f"--{name} {size}: give a whole number of at least 1")
        if self.reduction not in (None, *REDUCTIONS):
            raise ExplainError(f"unknown reduction {self.reduction!r}; use {', '.join(REDUCTIONS)}")
        if self.reduction == "none" and self.rows not in (None, 1):
            raise ExplainError(f"--rows {self.rows} does not matter for reduction none: each loss is of one row")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two losses.

    Attributes:
        observed, expected: as they were given.
        steps: the fewest and the most ulps of the dtype between values that print so; None: one is NaN.
        low, high: the smallest and the largest difference that has to be explained.
        larger: the largest value that the larger one may be.
        negative: whether the smaller one is negative, as no cross-entropy of labels is.
        why_not: why no rounding can explain it, whatever the sizes; "" where that depends on a bound.
        no_values: the numbers that are no values of the dtype, and the nearest value.
    """

    observed: str
    expected: str
    steps: tuple[int, int] | None
    low: float = 0.0
    high: float = 0.0
    larger: float = 0.0
    negative: bool = False
    why_not: str = ""
    no_values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether rounding can explain a pair, of implementations of a kind.

    Attributes:
        condition: what these implementations do, as a clause that begins with "if"; "": what all sound ones do.
        bound: the largest difference, 2 B(b) + ulp(b); infinite where the analysis says nothing. ulps: in ulps at b.
        explains: True, False, or None: the printed digits leave it open.
        from_classes, from_rows: where it is False and a size is not known, the least that would be enough, with the
            other size as given or as small as possible; None: the size is given, or none is enough.
        offset: |max x| + |x_t| from which on an unshifted logsumexp would explain it. logits: the least difference of
            the logits that would. Both are 0 where `explains` is not False.
    """

    condition: str
    bound: float
    ulps: float
    explains: bool | None
    from_classes: int | None = None
    from_rows: int | None = None
    offset: float = 0.0
    logits: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RoundingAnswer:
    """The answer for several pairs.

    Attributes:
        pairs: all of them; worst: the pair that is furthest from what rounding explains.
        verdicts: on the worst pair, by kind of implementation: each allows what the one before allows, or more; empty
            where no rounding can explain it.
    """

    dtype: str
    sizes: Sizes
    pairs: tuple[Pair, ...]
    worst: Pair
    verdicts: tuple[Verdict, ...]

    @property
    def explains(self) -> bool:
        """Whether rounding explains all pairs, without a condition on what is not known."""
        return bool(self.verdicts) and self.verdicts[0].explains is True


def explain_by_rounding(
    observed: Sequence[str], expected: Sequence[str], dtype: str, sizes: Sizes | None = None
) -> RoundingAnswer:
    """Answer whether rounding can explain the difference of each pair of losses (see the module).

    Args:
        observed, expected: as many numbers, as they were printed.
        dtype: of both; a dtype of `printed_numbers.DTYPES`.

    Raises:
        ExplainError: for numbers that cannot be compared, or an unknown dtype.
    """
    sizes = sizes or Sizes()
    if dtype not in DTYPES:
        raise ExplainError(f"unknown dtype {dtype!r}; use {', '.join(DTYPES)}")
    if len(observed) != len(expected) or not observed:
        raise ExplainError(
            f"observed has {len(observed)} numbers and expected has {len(expected)}; give as many of both, in one order"
        )
    pairs = tuple(_pair(*texts, dtype) for texts in zip(observed, expected, strict=True))
    judged = [_judged(pair, dtype, sizes) for pair in pairs]
    worst, verdicts = max(judged, key=lambda of: _excess(*of))
    return RoundingAnswer(dtype=dtype, sizes=sizes, pairs=pairs, worst=worst, verdicts=verdicts)


def bound(loss: float, roundoffs: Roundoffs, *, classes: int, rows: int, reduction: str, well: bool = True) -> float:
    """B(y): how far a sound implementation may be from a loss y >= 0, whatever the logits (see the module).

    Infinite where the analysis says nothing. well: sums are blocked or pairwise, and not formed term by term.
    """
    r, constant, log_k = roundoffs, float(classes > 1), math.log(classes)
    s_k, s_n = _roundings(classes, well=well), _roundings(rows, well=well)
    if r.v * max(s_k, s_n) > _TOO_COARSE:
        return math.inf

    def row(of: float) -> float:
        stored = classes * r.lam_v + 3 * r.th_w
        form = r.v * (3 * log_k + 5 * min(of, log_k) + s_k + 12 * constant) + r.w * (log_k + 2 * constant)
        return form + 5 * (r.v + r.w) * of + stored * constant

    if reduction == "none":
        return (row(loss) + r.u * loss + r.th_u) * SAFETY
    errors = rows * row(loss / rows) if reduction == "sum" else row(loss)
    reduced = (r.v * (s_n + 2) + 2 * r.w) * loss
    if reduction == "mean" and rows * min(r.v, r.w) > 1:  # a count that the dtype cannot hold
        lost = r.v * s_n + r.w
        reduced = (errors + reduced + loss * lost) / (1 - lost) - errors
    return (errors + reduced + (r.u + r.v) * loss + r.th_u) * SAFETY


def _roundings(n: int, *, well: bool) -> float:
    """S(n): the most roundings that a sum of n terms may cost."""
    return min(n - 1.0, math.log2(n) + 2 * math.sqrt(n)) if well else n - 1.0


def _pair(observed: str, expected: str, dtype: str) -> Pair:
    numbers = PrintedNumber.exactly(observed), PrintedNumber.exactly(expected)
    pair = Pair(observed=numbers[0].text, expected=numbers[1].text, steps=None)
    nans = [math.isnan(number.lo) for number in numbers]
    if any(nans):
        return replace(pair, why_not="" if all(nans) else "one of them is NaN, and the other is a number")
    if pair.observed == pair.expected:
        return replace(pair, steps=(0, 0))
    values = sorted(_values(number, dtype, other) for number, other in zip(numbers, reversed(numbers), strict=True))
    (a_lo, a_hi, _), (b_lo, b_hi, _) = values
    steps = max(0, ordinal(b_lo, dtype) - ordinal(a_hi, dtype)), ordinal(b_hi, dtype) - ordinal(a_lo, dtype)
    omega = format_of(dtype).omega  # an infinite result is a real number of at least this
    low, high = (max(0.0, min(b_lo, omega) - a_hi), min(b_hi, omega) - a_lo) if steps[1] else (0.0, 0.0)
    if steps[1] and a_hi + b_hi < 0:
        low, high = -2 * a_hi, -2 * a_lo
    return replace(
        pair,
        steps=steps,
        low=low,
        high=high,
        larger=min(b_hi, omega),
        negative=a_hi < 0,
        why_not="one of them is infinite, and the other is a number" if math.isinf(high) else "",
        no_values=tuple(named for _, _, named in values if named[0]),
    )


def _judged(pair: Pair, dtype: str, sizes: Sizes) -> tuple[Pair, tuple[Verdict, ...]]:
    """The verdicts on a pair; none, and why, where no rounding can explain it."""
    if not pair.why_not and sizes.classes == 1 and pair.high:
        pair = replace(pair, why_not="with one class, the cross-entropy is 0 and is computed without rounding")
    if pair.why_not:
        return pair, ()
    verdicts = tuple(_verdict(pair, dtype, sizes, kind) for kind in _kinds(dtype))
    if pair.larger == format_of(dtype).omega and verdicts[-1].explains is False:
        return replace(
            pair,
            why_not="one of them is infinite, and the other is a number far below the largest one; "
            "look for an intermediate result that overflowed",
        ), ()
    return pair, verdicts


def _values(number: PrintedNumber, dtype: str, other: PrintedNumber) -> tuple[float, float, tuple[str, str]]:
    """The smallest and the largest value of the dtype that print so; if there is none, the nearest, and its text.

    A number that is a value of the dtype is this value, unless it was printed with a fixed number of digits. Where the
    other number has more digits, this one may have lost its last zeros (`round(loss, 4)` of 2.50003 is 2.5), and had
    as many.
    """
    if math.isinf(number.lo):
        return number.lo, number.hi, ("", "")
    nearest = float(float_array(number.mid, dtype))
    lo, hi = number.lo, number.hi
    if nearest == number.mid and not re.search(r"\.\d+0$", number.text):  # 1.5 is 1.5, and 1.5000 was cut at 4 digits
        half = (other.hi - other.lo) / 2 if math.isfinite(other.lo) else 0.0
        if not half or 0 < (hi - lo) / 2 <= half:
            return nearest, nearest, ("", "")
        lo, hi = nearest - half, nearest + half
    low, high = (ordinal(end, dtype) for end in (lo, hi))
    low += from_ordinal(low, dtype) < lo
    high -= from_ordinal(high, dtype) > hi
    if low <= high:
        return from_ordinal(low, dtype), from_ordinal(high, dtype), ("", "")
    return nearest, nearest, (number.text, decimal(nearest, dtype))


def _excess(pair: Pair, verdicts: tuple[Verdict, ...]) -> tuple[int, float]:
    """How far a pair is from what rounding explains, for an order."""
    return (0, pair.high / verdicts[0].bound) if verdicts else (int(bool(pair.why_not)), 0.0)


def _kinds(dtype: str) -> list[tuple[str, Roundoffs, bool]]:
    """Kinds of implementations: a condition, their precision, and whether they sum well; each allows more."""
    own = Roundoffs.of(Precision(dtype, dtype, dtype), flushes=False)
    if dtype in ("float16", "bfloat16"):
        wide = Roundoffs.of(Precision(dtype, "float32", "float32"), flushes=False)
        return [
            ("if the loss is computed in float32 and rounded at the end", wide, True),
            (f"if every intermediate result is rounded to {dtype}", own, True),
        ]
    return [("", own, True), ("if sums are formed term by term, and not in blocks or pairs", own, False)]


def _verdict(pair: Pair, dtype: str, sizes: Sizes, kind: tuple[str, Roundoffs, bool]) -> Verdict:
    condition, roundoffs, well = kind
    loss = max(pair.larger, 0.0)
    step = float(ulp(np.array(pair.larger), dtype))

    def reach(classes: int, rows: int) -> float:
        reduction = sizes.reduction or ("none" if rows == 1 else "mean")
        return 2 * bound(loss, roundoffs, classes=classes, rows=rows, reduction=reduction, well=well) + step

    classes, rows = sizes.classes or 2, sizes.rows or 1
    largest = reach(classes, rows)
    if pair.high <= largest:
        return Verdict(condition=condition, bound=largest, ulps=largest / step, explains=True)
    if pair.low <= largest:
        return Verdict(condition=condition, bound=largest, ulps=largest / step, explains=None)
    left = pair.low - largest
    return Verdict(
        condition=condition,
        bound=largest,
        ulps=largest / step,
        explains=False,
        from_classes=None if sizes.classes else _least(lambda size: reach(size, rows), pair.low),
        from_rows=None if sizes.rows or sizes.reduction == "none" else _least(lambda n: reach(classes, n), pair.low),
        offset=left / 2 / (2 * (roundoffs.v + roundoffs.w)) / (rows if sizes.reduction == "sum" else 1),
        logits=left / 2 / _slope(loss + largest / 2, rows, sizes.reduction),
    )


def _slope(loss: float, rows: int, reduction: str | None) -> float:
    """(1 - e^(-l)), of a sum N times that of the mean: half of how fast a loss may change with the logits."""
    if reduction == "sum":
        return rows * -math.expm1(-loss / rows)
    return -math.expm1(-loss)


def _least(reach: Callable[[int], float], difference: float) -> int | None:
    """The least size for which the bound is finite and reaches the difference; None: there is none."""
    low, high = 1, 2
    while reach(high) < difference:
        low, high = high, 2 * high
        if high > _LARGEST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reach(middle) >= difference else (middle, high)
    return high if math.isfinite(reach(high)) else None
