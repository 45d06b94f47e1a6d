"""Arithmetic: the dtype of the computation and of its result, and how the softmax is formed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from logitmus.conventions.hypotheses.change import Change


@dataclass(frozen=True)
class Arithmetic:
    """How numbers are computed: the dtype, how the softmax is formed ("": as it should be), the dtype of the result."""

    dtype: Any = np.float64
    mechanism: str = ""
    stored: str | None = None


ARITHMETIC: Final[Mapping[str, Arithmetic]] = {
    "float32": Arithmetic(np.float32),
    **{
        f"{mechanism} in {dtype.__name__}": Arithmetic(dtype, mechanism)
        for dtype in (np.float32, np.float64)
        for mechanism in ("no_shift", "separate_logsumexp", "log_of_softmax")
    },
    **{f"{dtype} result": Arithmetic(np.float64, "", dtype) for dtype in ("float16", "bfloat16")},
}
_MECHANISM_WORDS: Final = {
    "no_shift": (
        "the exponentials were formed without subtracting the largest logit first",
        "log_softmax, which subtracts the maximum",
    ),
    "separate_logsumexp": (
        "the logsumexp was rounded before the target's logit was subtracted (an offset costs digits)",
        "subtract logits.max() first, then form the logsumexp",
    ),
    "log_of_softmax": ("the logarithm was taken of a rounded softmax", "log_softmax, not log(softmax)"),
}
FLOAT32: Final = Change("arithmetic", "float32", "arithmetic", "the arithmetic was float32", "", 0)


def arithmetic_changes() -> Iterator[Change]:
    yield FLOAT32
    for value, how in ARITHMETIC.items():
        if how.stored is not None:
            words = f"the loss was computed or stored in {how.stored}"
            yield Change("arithmetic", value, "arithmetic", words, "compute in float32: logits.float()", 4)
        elif how.mechanism:
            words, mend = _MECHANISM_WORDS[how.mechanism]
            dtype = how.dtype.__name__
            yield Change(
                "arithmetic", value, "arithmetic", f"{words}, in {dtype}", mend, 3 if dtype == "float32" else 4
            )
