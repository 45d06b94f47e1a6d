"""The numbers of a model: a value, how it depends on the number of classes or on the dtype, and how it is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from logitmus.core.floats import format_of
from logitmus.oracle.arithmetic import EXACT, Number


def _remainder(multiple: int) -> Callable[[int], Number]:
    return lambda K: EXACT(-K % multiple)


LAWS: Final[Mapping[str, Callable[[int], Number]]] = MappingProxyType(
    {
        "": lambda K: EXACT(1),
        "1/K": lambda K: 1 / EXACT(K),
        "K": EXACT,
        "1/(K-1)": lambda K: 1 / EXACT(K - 1),
        "K-1": lambda K: EXACT(K - 1),
        "K/(K-1)": lambda K: EXACT(K) / (K - 1),
        "log K": lambda K: np.log(EXACT(K)),
        "1/log K": lambda K: 1 / np.log(EXACT(K)),
        "sqrt K": lambda K: np.sqrt(EXACT(K)),
        "1/sqrt K": lambda K: 1 / np.sqrt(EXACT(K)),
        **{f"-K mod {multiple}": _remainder(multiple) for multiple in (4, 8, 16, 32, 64, 128)},
    }
)
"""How a parameter depends on the number of classes."""
MACHINE_NUMBERS: Final[Mapping[str, Callable[[str], float]]] = MappingProxyType(
    {"eps": lambda dtype: 2 * format_of(dtype).u, "tiny": lambda dtype: format_of(dtype).smallest_normal}
)
"""Numbers that follow the dtype of the logits, as `finfo` names them."""
ENTROPY: Final = "entropy of the smoothed target"  # the law of the constant term of a KL divergence


@dataclass(frozen=True)
class Parameter:
    """A number of a model.

    Attributes:
        value: exact, as a long double. law: of `LAWS` (or `ENTROPY`): what it is multiplied by.
        text: the number as it is printed. simple: whether a person would write this number; else it is "about".
        machine: of `MACHINE_NUMBERS`, where it has this value in every dtype; `value` is that for the model's logits.
    """

    value: np.longdouble
    law: str = ""
    text: str = ""
    simple: bool = True
    machine: str = ""

    def at(self, classes: int) -> Number:
        """The number for so many classes."""
        return EXACT(self.value) * LAWS[self.law](classes)


ONE: Final = Parameter(EXACT(1), text="1")
