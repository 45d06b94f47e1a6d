"""The simplest number within an interval: what a person would have written for a measured value.

A value solved for from results is an interval. Among the numbers in it that a person writes (decimals of few digits,
fractions, powers of 2, decimals times 1/ln 2 or pi, a decimal rounded to float32), the cheapest is taken, if it costs
less than the interval says: to find a number of b bits in an interval of b bits would be chance. Otherwise the value is
"about" what all numbers of the interval have in common.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from logitmus.oracle.arithmetic import EXACT

_DIGIT: Final = 3.4  # bits
_START: Final = 2.0
_MARGIN: Final = 5.0  # bits by which an interval must say more than the number costs
_CONSTANT: Final = 9.0
_DENOMINATORS: Final = 64
_TINY: Final = 0.02
_CONSTANTS: Final = (
    ("/ln 2", 1 / np.log(EXACT(2))),
    ("/ln 10", 1 / np.log(EXACT(10))),
    ("*ln 2", np.log(EXACT(2))),
    ("*ln 10", np.log(EXACT(10))),
    ("*e", np.exp(EXACT(1))),
    ("*sqrt 2", np.sqrt(EXACT(2))),
    ("*pi", 4 * np.arctan(EXACT(1))),
)


@dataclass(frozen=True)
class Interval:
    """middle - half <= value <= middle + half; long double, because it may be narrower than float64 can say."""

    middle: Any
    half: Any

    def holds(self, number: Any) -> bool:
        """Whether the number lies within."""
        return bool(abs(EXACT(number) - self.middle) <= self.half)

    def over(self, divisor: Any) -> Interval:
        """The interval divided by a number that is not 0."""
        return Interval(self.middle / divisor, self.half / abs(divisor))

    def meeting(self, other: Interval) -> Interval | None:
        """What the two have in common; None: nothing."""
        # As offsets from a common middle: their difference is exact where the numbers themselves are not.
        offset = other.middle - self.middle
        low, high = max(-self.half, offset - other.half), min(self.half, offset + other.half)
        return Interval(self.middle + (low + high) / 2, (high - low) / 2) if low <= high else None

    @property
    def bits(self) -> float:
        """How many bits of the value are known."""
        if self.half <= 0:
            return 64.0
        return float(min(np.log2(np.maximum(abs(self.middle) / self.half, EXACT(2) ** -20)), 64))


@dataclass(frozen=True)
class Simple:
    """A number: as it is written, its value, what it costs in bits, and whether it is more than "about" right."""

    text: str
    value: Any
    bits: float
    exactly: bool = True


def simplest(interval: Interval) -> Simple:
    """The cheapest number within the interval, or what its numbers share, as "about"."""
    known = interval.bits
    if interval.holds(0):
        return Simple("0", EXACT(0), _START)
    found = [
        simple for simple in _candidates(interval) if interval.holds(simple.value) and simple.bits + _MARGIN <= known
    ]
    if found:
        return min(found, key=lambda number: number.bits)
    return Simple(shared_digits(interval), interval.middle, _START + known, exactly=False)


def shared_digits(interval: Interval) -> str:
    """The middle, with the digits that both ends agree on (at least one)."""
    low, high = float(interval.middle - interval.half), float(interval.middle + interval.half)
    text = f"{float(interval.middle):.1g}"
    for digits in range(2, 17):
        if float(f"{low:.{digits}g}") != float(f"{high:.{digits}g}"):
            break
        text = f"{float(interval.middle):.{digits}g}"
    return decimal_text(float(text))


def decimal_text(number: float) -> str:
    """0.1, 125, 1e-4: as a person writes it."""
    text = f"{number:.15g}"
    if "e" not in text and abs(number) >= 1e-3:
        return text
    mantissa, _, exponent = f"{number:.14e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _candidates(interval: Interval) -> Iterator[Simple]:
    middle = interval.middle
    negative = 1.0 if middle < 0 else 0.0
    magnitude = abs(middle)
    positive = Interval(magnitude, interval.half)
    sign = "-" if negative else ""
    for simple in _positive(positive):
        yield Simple(sign + simple.text, -simple.value if negative else simple.value, simple.bits + negative)


def _positive(interval: Interval) -> Iterator[Simple]:
    yield Simple("1", EXACT(1), 0.0)
    yield from _decimals(interval, 16)
    yield from _float32_decimals(interval)
    yield from _fractions(interval.middle)
    exponent = int(np.rint(np.log2(interval.middle)))
    if abs(exponent) > 3:
        yield Simple(f"2^{exponent}", EXACT(2) ** exponent, _START + _CONSTANT)
    excess = 1 / interval.middle - 1
    if 0 < excess < _TINY:  # something is added to a divisor that must not be 0
        for simple in _decimals(Interval(excess, interval.half / interval.middle**2), 2):
            yield Simple(f"1/(1 + {simple.text})", 1 / (1 + simple.value), _CONSTANT + simple.bits)
    if interval.middle < _TINY:  # a floor of e^-5 caps the loss at 5
        logarithm = -np.log(interval.middle)
        for simple in _decimals(Interval(logarithm, interval.half / interval.middle), 3):
            yield Simple(f"e^-{simple.text}", np.exp(-simple.value), _CONSTANT + simple.bits)
    for text, constant in _CONSTANTS:
        for simple in _decimals(interval.over(constant), 4):
            is_one = simple.text == "1"
            written = text[1:] if is_one and text[0] == "*" else f"{simple.text}{text}"
            yield Simple(written, simple.value * constant, _CONSTANT + (0.0 if is_one else simple.bits))


def _decimals(interval: Interval, most: int) -> Iterator[Simple]:
    """The decimal of the fewest digits within the interval."""
    exponent = math.floor(np.log10(interval.middle))
    for digits in range(1, most + 1):
        power = digits - 1 - exponent
        ten = EXACT(10) ** abs(power)
        mantissa = np.rint(interval.middle * ten if power >= 0 else interval.middle / ten)
        value = mantissa / ten if power >= 0 else mantissa * ten
        if interval.holds(value):
            text = decimal_text(float(value))
            # 1e-4 is as simple as 0.1; 3e17 is less so.
            yield Simple(text, value, _START + _DIGIT * digits + 0.1 * abs(exponent))
            return


def _float32_decimals(interval: Interval) -> Iterator[Simple]:
    for digits in range(1, 6):
        text = f"{float(interval.middle):.{digits}g}"
        value = EXACT(np.float32(text))
        if interval.holds(value):
            written = decimal_text(float(text))
            yield Simple(written, value, _START + _DIGIT * digits + 8.0)
            return


def _fractions(middle: Any) -> Iterator[Simple]:
    for q in range(3, _DENOMINATORS + 1):
        if 100 % q == 0:  # 0.25 is what a person writes
            continue
        p = int(np.rint(middle * q)) if middle < 1e6 else 0
        if p and math.gcd(p, q) == 1:
            yield Simple(f"{p}/{q}", EXACT(p) / q, _START + 3 + math.log2(p) + math.log2(q) * 1.2)
    inverse = np.rint(1 / middle) if middle > 1e-6 else 0
    if inverse > _DENOMINATORS:
        digits = len(str(int(inverse)).rstrip("0"))
        yield Simple(f"1/{int(inverse)}", 1 / EXACT(inverse), _START + 3 + _DIGIT * digits)
