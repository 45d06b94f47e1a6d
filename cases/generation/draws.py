"""Random numbers that are the same on every machine.

NumPy promises a stable stream for the raw 64-bit words of a bit generator (NEP 19), but not for the methods of
`numpy.random.Generator`; and exp, log or a normal distribution differ with the C library. So everything here is made
of raw words by integer arithmetic and exact scaling by powers of two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from logitmus.core.floats import Array

Shape = int | tuple[int, ...]


class Draws:
    """A stream of random numbers that is a function of `key` alone.

    Args:
        key: whatever names the stream, e.g. the seed, the family, the dtype and the shape.
    """

    __slots__ = ("_bits",)

    def __init__(self, *key: object) -> None:
        digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=16).digest()
        self._bits = np.random.Philox(key=int.from_bytes(digest, "little"))

    def _words(self, shape: Shape) -> Array:
        words: Array = self._bits.random_raw(int(np.prod(shape, dtype=np.int64)))
        return words.reshape(shape)

    def bytes(self, count: int) -> bytes:
        """So many bytes."""
        return self._words(-(-count // 8)).astype("<u8").tobytes()[:count]

    def index(self, length: int) -> int:
        """One of range(length)."""
        return int(self.integers(0, length, 1)[0])

    def integers(self, low: int, high: int, shape: Shape) -> Array:
        """int64 from `low` up to, but without, `high`."""
        return (self._words(shape) % np.uint64(high - low)).astype(np.int64) + low

    def dyadic(self, shape: Shape, *, limit: float = 4.0, bits: int = 6) -> Array:
        """Float64 multiples of limit * 2^-bits in [-limit, limit]; exact in every dtype for bits <= 7."""
        scale = 2**bits
        drawn: Array = self.integers(-scale, scale + 1, shape) * (limit / scale)
        return drawn

    def choice(self, values: Sequence[float], shape: Shape) -> Array:
        """An independent choice from `values` in each place."""
        return np.asarray(values)[self.integers(0, len(values), shape)]

    def permutations(self, rows: int, length: int) -> Array:
        """One permutation of range(length) per row, shape (rows, length)."""
        order: Array = np.argsort(self._words((rows, length)), axis=1, kind="stable")
        return order
