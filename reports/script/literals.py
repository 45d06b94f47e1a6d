"""Values as Python literals, and code that is inserted as it is."""

from __future__ import annotations

import base64
import textwrap
import zlib
from typing import Final

import numpy as np

from logitmus.core.floats import Array

WRITTEN_OUT: Final = 128  # numbers: a larger array is given by its bits, compressed


class Code(str):
    """Code that is inserted as it is; made of constants of this package and of names that were checked."""

    __slots__ = ()


def literal(value: object) -> str:
    """The text of `value` in a script: its literal, or itself if it is `Code`."""
    if isinstance(value, Code):
        return str(value)
    if not isinstance(value, str | int | float | tuple | list | dict | None):
        raise TypeError(f"a {type(value).__name__} has no literal")
    return ascii(value)


def exact(array: Array) -> Code:
    """The exact values: in hexadecimal; as bits, where there are many."""
    shape = "".join(f", {int(length)}" for length in array.shape)
    whole = array.dtype.kind in "iu"
    if array.size > WRITTEN_OUT:
        kind = array.dtype.str.replace("=", "<") if whole else "<f8"
        bits = zlib.compress(np.ascontiguousarray(array.astype(kind)).tobytes(), 9)
        lines = textwrap.wrap(base64.b64encode(bits).decode(), 100)
        return Code(
            "packed(\n    {}\n    {!a}{},\n)".format("\n    ".join(f'"{line}"' for line in lines) + ",", kind, shape)
        )
    if whole:
        return Code(f"np.array({array.tolist()}, np.{array.dtype.name})")
    values = array.astype(np.float64).reshape(-1).tolist()
    decimals = ", ".join(f"{value!r}" for value in values)
    hexes = " ".join(value.hex() for value in values)
    if len(hexes) < 80:
        return Code(f'numbers("{hexes}"{shape or ", *()"})  # {decimals}')
    lines = textwrap.wrap(hexes, 100)
    inside = "\n".join(f'    "{line} "' for line in lines)
    return Code(f"numbers(\n{inside}{shape},\n)")
