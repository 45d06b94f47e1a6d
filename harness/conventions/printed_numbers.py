"""Read numbers as people paste them, and say which reals a printed number may stand for.

`0,1;2,3`, `[[0, 1], [2, 3]]`, `tensor([[0., 1.]], device='cuda:0')`, `array([0. 1.])` and the name of a `.npy` file are
all read. Nothing is evaluated: the text is cut into brackets and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import numpy as np

from logitmus.core.errors import LogitmusError
from logitmus.core.floats import Array
from logitmus.oracle.enclosure import Enclosure

# Relative slack of a printed number: it was computed in this dtype, and its last two bits may be wrong.
_ROUNDING: Final = {"float64": 2.0**-51, "float32": 2.0**-22, "float16": 2.0**-9, "bfloat16": 2.0**-6}
DTYPES: Final = tuple(_ROUNDING)
_TOKEN: Final = re.compile(r"\s*(?:([\[(])|([\])])|[,;]|([^\s,;\[\]()]+))")
_WRAPPERS: Final = re.compile(r"^\s*(?:(?:\w+\.)*(?:tensor|array|asarray|Tensor|Array|Parameter|constant))\s*\(")


class ExplainError(LogitmusError, ValueError):
    """Numbers that do not fit together; the message says which and what is expected."""


@dataclass(frozen=True)
class PrintedNumber:
    """A number with the digits given: any real between `lo` and `hi` is printed like this.

    Attributes:
        text: as it was given. lo, hi: float64; nan and the infinities are themselves.
    """

    text: str
    lo: float
    hi: float

    @classmethod
    def of(cls, text: str | float, dtype: str = "float32") -> PrintedNumber:
        """Read a number: `0.7437` is [0.74365, 0.74375], widened by a rounding to `dtype`.

        Raises:
            ExplainError: for text that is not a number.
        """
        return cls._read(text, Decimal(_ROUNDING[dtype]))

    @classmethod
    def exactly(cls, text: str | float) -> PrintedNumber:
        """Read a number: `0.7437` is [0.74365, 0.74375], all that is printed so.

        Raises:
            ExplainError: for text that is not a number.
        """
        return cls._read(text, Decimal(0))

    @classmethod
    def _read(cls, text: str | float, relative_slack: Decimal) -> PrintedNumber:
        written = str(text).strip()
        unwrapped = re.sub(r"^\s*(?:\w+\.)*(?:tensor|array|Tensor|Array|float\d*)\(([^,)]*).*\)$", r"\1", written)
        try:
            number = Decimal(unwrapped)
        except InvalidOperation:
            raise ExplainError(f"{written!r} is not a number; write it as it was printed, e.g. 0.7437") from None
        if not number.is_finite():
            return cls(written, float(number), float(number))
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101  (finite)
        half = Decimal(1).scaleb(exponent) / 2 if exponent < 0 else Decimal(0)
        slack = abs(number) * relative_slack
        return cls(written, float(number - half - slack), float(number + half + slack))

    @property
    def mid(self) -> float:
        return self.lo / 2 + self.hi / 2

    @property
    def bits(self) -> float:
        """The information in it: log2 of the magnitude over the width; 1 for nan and the infinities."""
        if not np.isfinite(self.lo):
            return 1.0
        width, size = self.hi - self.lo, max(abs(self.lo), abs(self.hi))
        return float(np.log2(size / width)) if 0 < width < size else (0.0 if width else 24.0)

    def agrees(self, exact: Enclosure, index: tuple[int, ...]) -> bool:
        """Whether the exact value could have been printed like this."""
        return self.overlaps(float(exact.lo[index]), float(exact.hi[index]))

    def overlaps(self, lo: float, hi: float) -> bool:
        """Whether a value between `lo` and `hi` could have been printed like this."""
        if np.isnan(lo) or np.isnan(self.lo):
            return bool(np.isnan(lo) and np.isnan(self.lo))
        return lo <= self.hi and self.lo <= hi


def parse_array(name: str, text: str) -> Array:
    """Read an array from text or from a `.npy` file: float64, of any number of axes.

    Args:
        name: what it is, for messages. text: brackets, or rows separated by semicolons, or the path of a `.npy` file.

    Raises:
        ExplainError: for text that is no number, rows of different lengths, a file that cannot be read.
    """
    if text.strip().endswith(".npy"):
        return _load(name, Path(text.strip()))
    nested = _nested(name, text)
    lengths = _ragged(nested)
    if lengths:
        raise ExplainError(f"{name}: rows of {', '.join(map(str, lengths))} numbers; give every row as many")
    return np.array(nested, np.float64)


def parse_targets(text: str, logits: Array) -> Array:
    """Read labels (int64) or probabilities (float64).

    Whole numbers in the shape of the batch are labels; everything else is probabilities in the shape of the logits.
    Write probabilities with a dot (`0.,0.,0.,1.`) where both would fit.

    Raises:
        ExplainError: as `parse_array` does.
    """
    array = parse_array("target", text)
    if text.strip().endswith(".npy"):
        whole = bool(np.isfinite(array).all() and (array == np.round(array)).all())
        return array.astype(np.int64) if whole and array.shape != logits.shape else array
    body = _body(text)
    whole = not re.search(r"[.einf]", re.sub(r"[\[\](),;\s]", "", body))
    if not whole:
        return array
    batches = {logits.shape[:-1], (logits.shape[0], *logits.shape[2:])}
    labels = array.astype(np.int64)
    if array.shape == (logits.size // logits.shape[-1], 1):  # `1;2` for two rows
        return labels[:, 0]
    if array.shape == (1,) and () in batches:
        return labels[0]
    fits = array.shape in batches or array.shape != logits.shape
    return labels if fits else array


def printed(text: str | float | Sequence[str | float], dtype: str = "float32") -> tuple[PrintedNumber, ...]:
    """Read a printed number, or several."""
    if isinstance(text, (str, float, int)):
        return (PrintedNumber.of(text, dtype),)
    return tuple(PrintedNumber.of(number, dtype) for number in text)


def split_numbers(text: str) -> list[str]:
    """Cut `0.34, 4.02` or `tensor([0.34, 4.02])` into its numbers, with the digits as written."""
    return [match for match in re.split(r"[\s,;\[\]()]+", _body(text)) if match]


def _body(text: str) -> str:
    """The text without `tensor(` around it and without what follows the brackets (`device=...`, `dtype=...`)."""
    wrapped = _WRAPPERS.match(text)
    if not wrapped:
        return text
    inner = text[wrapped.end() :].strip()
    if not inner.startswith(("[", "(")):
        return re.split(r"[,)]", inner, maxsplit=1)[0]
    depth = 0
    for at, letter in enumerate(inner):
        depth += (letter in "[(") - (letter in "])")
        if depth == 0:
            return inner[: at + 1]
    return inner


def _nested(name: str, text: str) -> list[object] | float:
    """The numbers as nested lists."""
    body = _body(text).strip()
    if "[" not in body and "(" not in body:
        rows = [[_number(name, cell) for cell in re.split(r"[,\s]+", row.strip())] for row in body.split(";")]
        return list(rows) if len(rows) > 1 else list(rows[0])
    stack: list[list[object]] = [[]]
    at = 0
    while at < len(body):
        match = _TOKEN.match(body, at)
        if match is None:
            break
        at = match.end()
        opened, closed, number = match.groups()
        if opened:
            stack.append([])
        elif closed:
            if len(stack) < 2:
                raise ExplainError(f"{name}: a closing bracket without an opening bracket in {body[:60]!r}")
            inner = stack.pop()
            stack[-1].append(inner)
        elif number:
            stack[-1].append(_number(name, number))
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ExplainError(f"{name}: the brackets of {body[:60]!r} do not match; write [[0, 1], [2, 3]]")
    (whole,) = stack[0]
    assert isinstance(whole, list)  # noqa: S101  (a bracket was opened)
    return whole


def _ragged(nested: object) -> list[int] | None:
    """The lengths of sibling lists where they differ, None where none do; numbers beside lists count as length 0."""
    if not isinstance(nested, list):
        return None
    lengths = [len(item) if isinstance(item, list) else 0 for item in nested]
    if len(set(lengths)) > 1:
        return lengths
    return next((found for item in nested if (found := _ragged(item))), None)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ExplainError(f"{name}: {text.strip()!r} is not a number") from None


def _load(name: str, path: Path) -> Array:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ExplainError(f"{name}: {path} cannot be read as a .npy file of numbers ({error})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise ExplainError(f"{name}: {path} does not hold a single array of real numbers")
    return array.astype(np.float64)
