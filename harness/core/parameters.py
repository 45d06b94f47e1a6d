"""Parameters: the numbers that a function applies without being given them, such as a label smoothing of its own.

With z = x / temperature, the loss of a row is

    factor * (cross-entropy of z with label_smoothing + z_loss * logsumexp(z)^2)

Light (no numpy): the worker imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final

from logitmus.core.errors import Exit, LogitmusError


class ParameterError(LogitmusError, ValueError):
    """A number that a parameter cannot have; the message names the parameter, the number and what is allowed."""

    exit_code = Exit.INTERNAL_ERROR


@dataclass(frozen=True)
class _Range:
    """Which numbers a parameter can have.

    Attributes:
        words: "above 0". holds: whether a number is one of them.
        inputs: the value of the convention field `inputs` that it needs; "": any.
    """

    words: str
    holds: Callable[[float], bool]
    inputs: str = ""


PARAMETERS: Final[Mapping[str, _Range]] = MappingProxyType(
    {
        "label_smoothing": _Range("between 0 and 1", lambda value: 0 <= value <= 1),
        "temperature": _Range("above 0", lambda value: 0 < value < float("inf"), "logits"),
        "z_loss": _Range("at least 0", lambda value: 0 <= value < float("inf"), "logits"),
        "factor": _Range("any but 0", lambda value: value != 0 and abs(value) < float("inf")),
        "clip": _Range("between 0 and 0.5", lambda value: 0 <= value < 0.5, "probabilities"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The parameters of a function; by default none does anything.

    Attributes:
        label_smoothing: epsilon where the problem gives none; spread as the field `smoothing` says.
        temperature: what the logits are divided by. z_loss: the coefficient of the squared logsumexp.
        factor: what the loss is multiplied by.
        clip: probabilities are clipped to [clip, 1 - clip]; 0: as the field `probability_clip` says.

    Raises:
        ParameterError: for a number outside the range of the parameter.
    """

    label_smoothing: float = 0.0
    temperature: float = 1.0
    z_loss: float = 0.0
    factor: float = 1.0
    clip: float = 0.0

    def __post_init__(self) -> None:
        for name, allowed in PARAMETERS.items():
            value = getattr(self, name)
            if not allowed.holds(value):
                raise ParameterError(f"{name}={value:g}: use a number {allowed.words}")

    @property
    def chosen(self) -> dict[str, float]:
        """The parameters that do something."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    @property
    def only_targets(self) -> bool:
        """Whether the loss is a cross-entropy of the logits as they are: at most the targets are smoothed."""
        return self.chosen.keys() <= {"label_smoothing", "clip"}


NO_PARAMETERS: Final = Parameters()
