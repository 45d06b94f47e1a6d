"""One text of a formula, several arithmetics: exact, with running errors, with derivatives, or in a dtype.

`oracle.row_model` writes each loss once, with the functions of this module. What the formula yields depends on the
numbers that are put in:

- long double arrays: the value, to about 2^-64 (`exact`);
- arrays of `flint.arb`: the value as balls, as narrow as wanted (`balls`);
- `Running`: the value, and a bound on the error of a sound implementation of the same formula (`running`). Such a bound
  is the budget of any composed loss, with no analysis written by hand;
- `Dual`: the value and its derivatives, over any of these;
- arrays of a dtype: what a straightforward implementation in that dtype computes, rounding by rounding (`emulated`).

Running errors are first-order bounds (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 3.3):
every operation passes on the errors of its operands and adds its own rounding. A `Level` says how large that is.
The bounds of this module and those of docs/accuracy.md, section 2, have the same constants: 8v for an exponential or a
logarithm, 4v absolute where a logarithm is near 0, S(n) roundings for a sum of n terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from flint import arb

from logitmus.core.floats import Array, format_of

EXACT: Final = np.longdouble
Number = Any
"""An array (long double, a dtype of `FLOAT_DTYPES`, or objects that are balls), a `Running` or a `Dual`."""
_OWN: Final = float(np.finfo(np.longdouble).eps)  # of the exact arithmetic itself: twice its unit roundoff
_TRANSCENDENTAL: Final = 8.0  # roundings charged to exp and log: 4 ulp


@dataclass(frozen=True)
class Level:
    """The precisions of an implementation.

    Attributes:
        v, w: the unit roundoffs of its arithmetic and of what it stores between kernels. u: that of its result.
        least: the smallest normal number of its arithmetic: the absolute error of what underflows.
        beyond: results from here on are rounded to infinity.
        separate: allow for a logsumexp that is formed before the logit is subtracted (2v |max x| more).
    """

    v: float
    w: float
    u: float
    least: float
    beyond: float = math.inf
    separate: bool = False

    @property
    def noise(self) -> float:
        """The coarsest of the roundings."""
        return max(self.v, self.w, self.u)

    @classmethod
    def of(cls, arithmetic: str, stored: str = "", result: str = "", *, separate: bool = False) -> Level:
        """The level of these dtypes; what is left out is as the arithmetic (the result: as what is stored)."""
        stored = stored or arithmetic
        result = result or stored
        least = max(format_of(name).smallest_normal for name in (arithmetic, stored))
        own = [format_of(name).u + _OWN for name in (arithmetic, stored, result)]
        largest = np.finfo(np.float64).max if result == "float64" else format_of(result).omega
        return cls(own[0], own[1], own[2], least, float(largest), separate)


@dataclass(frozen=True)
class Running:
    """Values and first-order bounds on their errors: two long double arrays of the same shape."""

    a: Array
    e: Array
    level: Level
    __array_priority__ = 1000  # so that array + Running is Running.__radd__

    def _lift(self, other: Number) -> Running:
        if isinstance(other, Running):
            return other
        value = np.asarray(other, EXACT)
        return Running(value, np.zeros_like(value), self.level)

    def _made(self, value: Array, passed_on: Array, *, least: float = 0.0) -> Running:
        return Running(value, passed_on + self.level.v * np.abs(value) + least, self.level)

    def __add__(self, other: Number) -> Number:
        if isinstance(other, Dual):
            return NotImplemented
        o = self._lift(other)
        return self._made(self.a + o.a, self.e + o.e)

    __radd__ = __add__

    def __neg__(self) -> Running:
        return Running(-self.a, self.e, self.level)

    def __sub__(self, other: Number) -> Number:
        return NotImplemented if isinstance(other, Dual) else self + (-self._lift(other))

    def __rsub__(self, other: Number) -> Number:
        return self._lift(other) + (-self)

    def __mul__(self, other: Number) -> Number:
        if isinstance(other, Dual):
            return NotImplemented
        o = self._lift(other)
        if o.a.ndim == 0 and _is_power_of_two(o):  # exact
            return Running(self.a * o.a, self.e * np.abs(o.a), self.level)
        error = _times(np.abs(self.a), o.e) + _times(np.abs(o.a), self.e) + self.e * o.e
        return self._made(self.a * o.a, error, least=self.level.least * self.level.v)

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> Number:
        if isinstance(other, Dual):
            return NotImplemented
        o = self._lift(other)
        value = self.a / o.a
        if o.a.ndim == 0 and _is_power_of_two(o):  # exact
            return Running(value, self.e / np.abs(o.a), self.level)
        # A divisor that may be 0 within its error has no first-order bound: half of it is taken as the least.
        divisor = np.maximum(np.abs(o.a) - o.e, np.abs(o.a) / 2)
        return self._made(value, (self.e + np.abs(value) * o.e) / divisor, least=self.level.least * self.level.v)

    def __rtruediv__(self, other: Number) -> Number:
        return self._lift(other) / self

    def __getitem__(self, index: Any) -> Running:
        return Running(self.a[index], self.e[index], self.level)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.a.shape


@dataclass(frozen=True)
class Dual:
    """A value and its derivatives along D directions, which have an additional axis in front; both may be `Running`."""

    a: Number
    d: Number
    __array_priority__ = 2000

    def _lift(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return other
        if isinstance(self.a, Running) and not isinstance(other, Running):
            other = self.a._lift(other)
        shape = np.shape(value(other))
        zeros = np.zeros((value(self.d).shape[0], *(shape or (1,) * np.ndim(value(self.a)))), EXACT)
        return Dual(other, self.a._lift(zeros) if isinstance(self.a, Running) else zeros)

    def __add__(self, other: Number) -> Dual:
        o = self._lift(other)
        return Dual(self.a + o.a, self.d + o.d)

    __radd__ = __add__

    def __neg__(self) -> Dual:
        return Dual(-self.a, -self.d)

    def __sub__(self, other: Number) -> Dual:
        return self + (-self._lift(other))

    def __rsub__(self, other: Number) -> Dual:
        return self._lift(other) + (-self)

    def __mul__(self, other: Number) -> Dual:
        o = self._lift(other)
        return Dual(self.a * o.a, self.d * o.a + o.d * self.a)

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> Dual:
        o = self._lift(other)
        quotient = self.a / o.a
        return Dual(quotient, (self.d - o.d * quotient) / o.a)

    def __rtruediv__(self, other: Number) -> Dual:
        return self._lift(other) / self

    def __getitem__(self, index: Any) -> Dual:
        index = index if isinstance(index, tuple) else (index,)
        return Dual(self.a[index], self.d[(slice(None), *index)])

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(value(self.a))


@dataclass(frozen=True)
class Arithmetic:
    """How the numbers of a formula are made.

    Attributes:
        array: makes a number of an array that is exact. parameter: ... of a parameter, which is rounded once.
    """

    array: Callable[[Array], Number]
    parameter: Callable[[Number], Number]


def exact() -> Arithmetic:
    """Long double."""
    return Arithmetic(lambda array: np.asarray(array, EXACT), EXACT)


def running(level: Level) -> Arithmetic:
    """Values with bounds on the errors at this level."""

    def array(values: Array) -> Running:
        values = np.asarray(values, EXACT)
        return Running(values, np.zeros_like(values), level)

    def parameter(theta: Number) -> Running:
        number = np.asarray(theta, EXACT)
        rounded = 0 if _in_every_dtype(float(number)) else level.v
        return Running(number, np.abs(number) * rounded, level)

    return Arithmetic(array, parameter)


def emulated(dtype: np.dtype[Any]) -> Arithmetic:
    """The operations of a dtype, each rounded to it."""
    return Arithmetic(lambda array: np.asarray(array).astype(dtype), lambda theta: dtype.type(float(theta)))


def balls() -> Arithmetic:
    """Arb, at the precision of `flint.ctx`."""

    def ball(number: Any) -> Any:
        if isinstance(number, arb):
            return number
        high = float(number)
        return arb(high) + arb(float(EXACT(number) - EXACT(high))) if math.isfinite(high) else arb(high)

    def array(values: Array) -> Array:
        out = np.empty(np.shape(values), object)
        out.ravel()[:] = [ball(number) for number in np.ravel(values)]
        return out

    return Arithmetic(array, ball)


def along(base: Arithmetic, x: Array, by: Array | None = None) -> tuple[Arithmetic, Dual]:
    """Derivatives by each class's logit, or by some: the arithmetic, and the logits x, (R, K), as its numbers."""
    rows, classes = x.shape
    by = np.arange(classes) if by is None else by
    units = (by[:, None] == np.arange(classes)).astype(EXACT)
    directions = np.broadcast_to(units[:, None, :], (len(by), rows, classes)).copy()
    start = Dual(base.array(x), base.array(directions))
    return Arithmetic(lambda array: start._lift(base.array(array)), base.parameter), start


def value(a: Number) -> Array:
    """The values alone; of balls their middles, as float64."""
    while isinstance(a, Running | Dual):
        a = a.a
    if isinstance(a, np.ndarray) and a.dtype == object:
        return np.array([float(ball) for ball in a.ravel()], np.float64).reshape(a.shape)
    return np.asarray(a)


def bound(a: Number) -> Array:
    """The bounds of a `Running`."""
    return a.e if isinstance(a, Running) else np.zeros(np.shape(value(a)), EXACT)


def _in_every_dtype(number: float) -> bool:
    """Whether a number has at most 8 significant bits, and is of moderate size: every dtype holds it."""
    mantissa, exponent = math.frexp(number)
    return (mantissa * 256).is_integer() and -10 < exponent < 14


def _is_power_of_two(scalar: Running) -> bool:
    return not scalar.e and abs(math.frexp(float(scalar.a))[0]) == 0.5


def _times(left: Array, right: Array) -> Array:
    """left * right, where an infinity times 0 is 0: what has no error passes none on."""
    return np.where(right == 0, 0, left * right)


def _apply(a: Number, f: Callable[[Any], Any], slope: Callable[[Any, Any], Any], absolute: float = 0.0) -> Number:
    """f(a); `slope(a, f(a))` is its derivative, `absolute` the rounding near a zero of f, in units of v."""
    if isinstance(a, Running):
        y = f(a.a)
        own = a.level.v * (_TRANSCENDENTAL * np.abs(y) + absolute) + a.level.least
        return Running(y, _times(np.abs(slope(a.a, y)), a.e) + own, a.level)
    if isinstance(a, Dual):
        y = _apply(a.a, f, slope, absolute)
        if not isinstance(a.a, Running):
            return Dual(y, slope(a.a, y) * a.d)
        return Dual(y, _slope_with_error(a.a, y, f, slope) * a.d)
    return f(a)


def _slope_with_error(a: Running, y: Running, f: Callable[[Any], Any], slope: Callable[[Any, Any], Any]) -> Running:
    """The derivative, with the error that its argument's error makes in it (by differences)."""
    at = slope(a.a, y.a)
    step = np.maximum(a.e, 1e-9 * np.abs(a.a) + 1e-300)
    varied = np.maximum(*(np.abs(slope(a.a + h, f(a.a + h)) - at) for h in (step, -step)))
    varied = np.where(np.isfinite(varied), varied, 0)
    # 2v absolute: 1 - tanh^2 and the sigmoid may be formed from a rounded value near 1.
    own = a.level.v * (_TRANSCENDENTAL * np.abs(at) + (2.0 if f in (_tanh, _softplus) else 0.0))
    return Running(at, varied * (a.e / step) + own, a.level)


def _tanh(x: Any) -> Any:
    return np.tanh(x)


def _softplus(x: Any) -> Any:
    return np.where(value(x) > 0, x, 0 * x) + np.log1p(np.exp(-np.abs(x)))


def exp(a: Number) -> Number:
    """e^a."""
    return _apply(a, np.exp, lambda _, y: y)


def log(a: Number) -> Number:
    """ln a."""
    return _apply(a, np.log, lambda x, _: 1 / x, absolute=4.0)


def log1p(a: Number) -> Number:
    """ln(1 + a); an implementation may as well form log(1 + a), hence 4v absolute."""
    return _apply(a, np.log1p, lambda x, _: 1 / (1 + x), absolute=4.0)


def one_minus_exp(a: Number) -> Number:
    """1 - e^-a; an implementation may form 1 - p, hence 2v absolute."""
    if isinstance(a, np.ndarray) and a.dtype.itemsize < np.dtype(EXACT).itemsize and a.dtype != object:
        return 1 - np.exp(-a)  # as it is emulated
    return _apply(a, lambda x: -np.expm1(-x), lambda x, _: np.exp(-x), absolute=2.0)


def tanh(a: Number) -> Number:
    """The hyperbolic tangent."""
    return _apply(a, _tanh, lambda _, y: 1 - y * y)


def softplus(a: Number) -> Number:
    """ln(1 + e^a)."""
    return _apply(a, _softplus, lambda x, _: 1 / (1 + np.exp(-x)), absolute=4.0)


def power(a: Number, exponent: Number) -> Number:
    """a^exponent for a >= 0; the exponent is a parameter, and a constant."""
    if isinstance(a, Dual):
        y = power(a.a, exponent)
        positive = value(a.a) > 0
        base = where(positive, a.a, 1 + 0 * a.a)
        return Dual(y, where(positive, a.d / base * y * exponent, 0 * a.d))
    if isinstance(a, Running):
        g = np.asarray(value(exponent), EXACT)
        y = np.power(a.a, g)
        upper = np.abs(np.power(a.a + a.e, g) - y)
        lower = np.abs(np.power(np.maximum(a.a - a.e, 0), g) - y)
        magnitude = np.abs(np.log(np.where(a.a > 0, a.a, 1)))
        own = a.level.v * (_TRANSCENDENTAL + 2 * np.abs(g) * magnitude) * y + a.level.least
        return Running(y, np.maximum(upper, lower) + own, a.level)
    if isinstance(a, np.ndarray) and a.dtype != object:
        return np.power(a, np.asarray(exponent, a.dtype))
    return a**exponent


def roundings(n: float) -> float:
    """S(n) of docs/accuracy.md for a well-made sum: at most n - 1, at most log2 n + 2 sqrt n."""
    return min(n - 1, math.log2(n) + 2 * math.sqrt(n)) if n > 1 else 0.0


def total(a: Number) -> Number:
    """The sum over the last axis."""
    if isinstance(a, Running):
        own = a.level.v * roundings(a.a.shape[-1]) * np.abs(a.a).sum(-1)
        return Running(a.a.sum(-1), a.e.sum(-1) + own, a.level)
    if isinstance(a, Dual):
        return Dual(total(a.a), total(a.d))
    if a.dtype.itemsize < np.dtype(np.float32).itemsize:  # halves are summed in float32
        return a.astype(np.float32).sum(-1).astype(a.dtype)
    return a.sum(-1)


def column(a: Number) -> Number:
    """(...,) as (..., 1)."""
    if isinstance(a, Running):
        return Running(a.a[..., None], a.e[..., None], a.level)
    if isinstance(a, Dual):
        return Dual(column(a.a), column(a.d))
    return a[..., None]


def where(condition: Array, a: Number, b: Number) -> Number:
    """Elementwise choice; the condition is of values, and has no derivative."""
    if isinstance(a, Dual) or isinstance(b, Dual):
        dual = a if isinstance(a, Dual) else b
        left, right = dual._lift(a), dual._lift(b)
        return Dual(where(condition, left.a, right.a), where(condition, left.d, right.d))
    if isinstance(a, Running) or isinstance(b, Running):
        number = a if isinstance(a, Running) else b
        left, right = number._lift(a), number._lift(b)
        return Running(np.where(condition, left.a, right.a), np.where(condition, left.e, right.e), number.level)
    return np.where(condition, a, b)


def clip(a: Number, low: Number, high: Number) -> Number:
    """`a`, kept between the bounds."""
    at = value(a)
    return where(at < value(low), low, where(at > value(high), high, a))


def pick(a: Number, k: Array) -> Number:
    """The element at column k of each row, (R,); for weights k, (R, K), the weighted sum of each row."""
    return total(where(k != 0, a, 0) * k) if k.ndim == 2 else a[np.arange(len(k)), k]


def stored(a: Number) -> Number:
    """What is written between kernels: another rounding, to what is stored (w)."""
    if isinstance(a, Running):
        return Running(a.a, a.e + a.level.w * np.abs(a.a), a.level)
    if isinstance(a, Dual):
        return Dual(stored(a.a), a.d)
    return a


def widened(a: Number, absolute: Array | float) -> Number:
    """`a` with so much added to the bound of its value; unchanged in other arithmetics."""
    if isinstance(a, Running):
        return Running(a.a, a.e + absolute, a.level)
    if isinstance(a, Dual):
        return Dual(widened(a.a, absolute), a.d)
    return a


def widened_derivative(a: Number, absolute: Array) -> Number:
    """A `Dual` over `Running` with so much added to the bounds of its derivatives."""
    if isinstance(a, Dual) and isinstance(a.d, Running):
        return Dual(a.a, widened(a.d, absolute))
    return a


def level_of(a: Number) -> Level | None:
    """The level of running errors; None in other arithmetics."""
    while isinstance(a, Dual):
        a = a.a
    return a.level if isinstance(a, Running) else None
