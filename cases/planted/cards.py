"""The right convention cards of planted functions: for every field, the values that are right.

Most planted functions do as PyTorch documents in everything but their fault, so a card is stated as a deviation: what
differs from the card of PyTorch's function with the same parameters, or from another `base`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from logitmus.core.convention import FIELDS

Values = Mapping[str, str | tuple[str, ...]]  # by field: the right value, or several that cannot be distinguished


@dataclass(frozen=True, kw_only=True)
class CardTruth:
    """What the convention card of a function must say.

    Attributes:
        values: by field, the right value or values. A field that is absent plays no part in the function: all values
            are equally right, and none may be measured.
        measured: the fields that must be measured; the others may stay undetermined.
        inconsistent: the fields on which the function does what no single value says (a label of -1 wraps and -100
            raises, say): it is right that they contradict themselves, and so is the value that `values` names.
        mechanisms: the causes that its mechanisms may have; the first must be named. Empty: no mechanism may be named.
        remark: a part of a remark that its card must have.
    """

    values: Values
    measured: tuple[str, ...] = ()
    inconsistent: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    remark: str = ""

    def right(self, name: str) -> frozenset[str]:
        """The right values of a field."""
        value = self.values.get(name, tuple(FIELDS[name].values))
        return frozenset({value} if isinstance(value, str) else value)


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """How a card differs from `base`, by default from PyTorch's; the other attributes as of `CardTruth`.

    Attributes:
        values: they replace those of the base, and must be measured where they are not inconsistent.
        without: fields that play no part, although the base has them.
    """

    base: Values | None = None
    values: Values = field(default_factory=dict)
    measured: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    inconsistent: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    remark: str = ""

    def of(self, function: Callable[..., Any], framework: str) -> CardTruth:
        """The card of this function."""
        base = _as_pytorch(function, framework) if self.base is None else self.base
        values = {name: value for name, value in {**base, **self.values}.items() if name not in self.without}
        inconsistent = self.inconsistent
        if self.base is None and framework == "torch" and "ignored_row" not in self.values:
            inconsistent += ("ignored_row",)
        return CardTruth(
            values=values,
            measured=tuple(dict.fromkeys((*self.measured, *(n for n in self.values if n not in inconsistent)))),
            inconsistent=inconsistent,
            mechanisms=self.mechanisms,
            remark=self.remark,
        )


def card(
    *measured: str,
    base: Values | None = None,
    without: tuple[str, ...] = (),
    inconsistent: tuple[str, ...] = (),
    mechanisms: tuple[str, ...] = (),
    remark: str = "",
    **values: str | tuple[str, ...],
) -> Deviation:
    """A deviation from `base`; `measured` names further fields that must be measured."""
    return Deviation(
        base=base,
        values=values,
        measured=measured,
        without=without,
        inconsistent=inconsistent,
        mechanisms=mechanisms,
        remark=remark,
    )


AS_PYTORCH: Final = card("inputs", "log_base", "default_reduction", "label_negative", "result_dtype")


def merged(*parts: Values, **more: str | tuple[str, ...]) -> Values:
    """All of these values; of a field that is there twice the later."""
    values: dict[str, str | tuple[str, ...]] = {}
    for part in (*parts, more):
        values.update(part)
    return MappingProxyType(values)


def without(values: Values, *names: str) -> Values:
    """These values without some fields."""
    return MappingProxyType({name: value for name, value in values.items() if name not in names})


def only(values: Values, *names: str) -> Values:
    """The values of these fields."""
    return MappingProxyType({name: values[name] for name in names})


# Functions that overflow in float32 inside, or when they round a row to half precision: the probes see the first.
EITHER_OVERFLOW: Final = ("infinite", "infinite_float32")
_ANY_COUNT: Final = ("rows", "kept", "weights")
_ARITHMETIC: Final = merged(
    inputs="logits",
    log_base="e",
    class_axis="last",
    default_reduction="none",
    infinite_logits="nan",
    overflowing_shift="infinite",
    result_dtype="as_input",
    wide_inputs="kept",
)
# Functions of labels alone, without options.
LABELS: Final = merged(
    _ARITHMETIC, ignore_default="none", label_out_of_range="error", label_negative="error", wide_labels="kept"
)
# Functions that have a reduction, and those that reduce to a mean by default.
REDUCES: Final = merged(mean_denominator=_ANY_COUNT, empty_batch_mean="nan")
MEAN: Final = merged(REDUCES, default_reduction="mean")
# Functions with an ignored label.
IGNORES: Final = merged(
    MEAN,
    mean_denominator=("kept", "weights"),
    ignore_default="-100",
    ignored_row="zero",
    all_ignored_mean="nan",
)
# Functions of target probabilities.
DENSE: Final = merged(_ARITHMETIC, zero_times_infinity="nan")
# Functions that take probabilities, or their logarithms, in place of logits.
PROBABILITIES: Final = without(
    merged(LABELS, inputs="probabilities", probability_clip="none", probability_scale="none"),
    "infinite_logits",
    "overflowing_shift",
)
LOG_PROBABILITIES: Final = without(merged(LABELS, inputs="log_probabilities"), "infinite_logits", "overflowing_shift")
# Functions that compute something else altogether: no value of these fields is right for their results.
STRANGE: Final = (
    *("inputs", "log_base", "probability_clip", "probability_scale"),
    *("infinite_logits", "overflowing_shift", "zero_times_infinity", "wide_inputs"),
)
UNKNOWN: Final = without(LABELS, *STRANGE)
NOTHING: Final[Values] = MappingProxyType({})

_PYTORCH: Final = merged(
    LABELS,
    IGNORES,
    mean_denominator="weights",
    smoothing="uniform",
    smoothing_weights="per_class",
    zero_times_infinity="nan",
)


def _as_pytorch(function: Callable[..., Any], framework: str) -> Values:
    """The card of a function that does everything as PyTorch documents, as far as its parameters show it."""
    parameters = inspect.signature(function).parameters
    every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    values = dict(_PYTORCH)
    # Of halves, PyTorch on the CPU computes the row in half precision; the planted functions in NumPy in float32.
    values["overflowing_shift"] = "infinite" if framework == "torch" else "infinite_float32"
    if "reduction" in parameters:
        values["default_reduction"] = str(parameters["reduction"].default)
    if not every and "weight" not in parameters:
        values["mean_denominator"] = ("kept", "weights")
        del values["smoothing_weights"], values["zero_times_infinity"]
    if not every and "label_smoothing" not in parameters:
        del values["smoothing"]
        values.pop("smoothing_weights", None)
    return MappingProxyType(values)
