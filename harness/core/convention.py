"""Conventions: the named choices on which correct cross-entropies legitimately differ.

`FIELDS` defines every field and every value in a line, with a formula where possible; `Convention` is a frozen
value that holds a choice per field. The defaults are the portable convention: what a reader of the definition
expects and most frameworks do.
Docs: docs/conventions.md. Light (no numpy): the worker imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Final

from logitmus.core.errors import Exit, LogitmusError
from logitmus.core.parameters import NO_PARAMETERS, Parameters
from logitmus.core.problem import TargetKind


class ConventionError(LogitmusError, ValueError):
    """An unknown field, or an invalid value of a field; the message lists the valid names."""

    exit_code = Exit.INTERNAL_ERROR


class Occasion(StrEnum):
    """A property of a problem that makes it depend on a field; `core.relevance` finds those of a problem."""

    ALWAYS = "every problem"
    FLOAT64 = "64-bit logits"
    NO_REDUCTION = "no reduction requested"
    MEAN = "a mean of at least one row"
    EMPTY_MEAN = "a mean of no rows"
    MEAN_OF_NOTHING = "a mean that may have no terms: all rows ignored, or their weights 0"
    SMOOTHING = "label smoothing"
    WEIGHTED_SMOOTHING = "label smoothing and class weights"
    LABEL_MAY_BE_IGNORED = "a negative label and no ignored label given"
    NEGATIVE_LABEL = "a negative label that is not ignored"
    LARGE_LABEL = "a label >= K that is not ignored"
    WIDE_LABEL = "a label beyond 32 bits"
    PROBABILITY_TARGETS = "probability targets"
    IGNORED_BESIDE_PROBABILITIES = "an ignored label and probability targets"
    IGNORED_NON_FINITE = "non-finite logits, and rows that may be ignored"
    POSITIVE_INFINITY = "a logit of +inf"
    NON_FINITE = "a non-finite logit"
    OVERFLOWING = "finite logits whose difference may overflow"
    PROBABILITY_INPUTS = "probabilities as inputs"
    ZERO_PROBABILITY = "a probability of 0 as an input"


class ShownBy(StrEnum):
    """Which property of a result depends on a field."""

    VALUE = "the numbers"
    GRADIENT = "the numbers of the gradient by the logits"
    FORM = "the shape, the dtype, or whether there is a gradient"


@dataclass(frozen=True)
class Applies:
    """What a function must take for a field to matter to it; an empty attribute demands nothing.

    Attributes:
        inputs: a value of the field `inputs`. targets: the kind of targets. options: options that it offers.
        mean: it can take a mean. ignores_by_default: a label is ignored without an option.
    """

    inputs: str = ""
    targets: str = ""
    options: frozenset[str] = frozenset()
    mean: bool = False
    ignores_by_default: bool = False


@dataclass(frozen=True)
class Field:
    """One field of `Convention`, its values with their definitions, and when it matters.

    In a formula t is the label, q the target, p the probabilities, l = -log p, w the weights, K the classes.

    Attributes:
        decides: what the field decides. values: their definitions in words. formulas: of the values that have formulas.
        about: a problem depends on the field only if it has any of these occasions.
        applies: the field matters only to a function that meets any of these; empty: to every function.
        shown_by: which property of a result depends on it.
        defined: the portable value follows from the definition of the loss; any other value is a deviation from it.
    """

    name: str
    decides: str
    values: Mapping[str, str]
    formulas: Mapping[str, str]
    about: frozenset[Occasion]
    applies: tuple[Applies, ...] = ()
    shown_by: ShownBy = ShownBy.VALUE
    defined: bool = False

    @property
    def changes_every_number(self) -> bool:
        """Whether other values change the result of every problem (that has such inputs)."""
        return not self.about.isdisjoint((Occasion.ALWAYS, Occasion.PROBABILITY_INPUTS))

    @property
    def rare(self) -> bool:
        """Whether only extreme logits, other dtypes or the form of the result show it."""
        return self.about <= _RARE


_RARE: Final = frozenset(
    {
        Occasion.FLOAT64,
        Occasion.POSITIVE_INFINITY,
        Occasion.NON_FINITE,
        Occasion.OVERFLOWING,
        Occasion.ZERO_PROBABILITY,
    }
)
_Definition = str | tuple[str, str]  # in words; in words and as a formula


@dataclass(frozen=True)
class _Matters:
    """When a field matters: the last four attributes of `Field`."""

    about: tuple[Occasion, ...] = ()
    applies: tuple[Applies, ...] = ()
    shown_by: ShownBy = ShownBy.VALUE
    defined: bool = False


def _fields(*rows: tuple[str, str, Mapping[str, _Definition], _Matters]) -> Mapping[str, Field]:
    return MappingProxyType({row[0]: _field(*row) for row in rows})


def _field(name: str, decides: str, values: Mapping[str, _Definition], matters: _Matters) -> Field:
    words = {value: text if isinstance(text, str) else text[0] for value, text in values.items()}
    formulas = {value: text[1] for value, text in values.items() if not isinstance(text, str)}
    return Field(
        name,
        decides,
        MappingProxyType(words),
        MappingProxyType(formulas),
        frozenset(matters.about),
        matters.applies,
        matters.shown_by,
        matters.defined,
    )


_OF_MEANS: Final = (Applies(mean=True),)
_OF_LABELS: Final = (Applies(targets=TargetKind.LABELS),)
_OF_EXTREMES: Final = (Applies(inputs="logits"),)
_OF_PROBABILITIES: Final = (Applies(inputs="probabilities"),)
_LABEL_VALUES: Final[Mapping[str, _Definition]] = {
    "error": "refuses: an exception",
    "nan": ("NaN for that row", "row = NaN"),
    "clamp": ("the nearest valid label", "t -> min(max(t, 0), K - 1)"),
    "wrap": ("counted from the other end, as in Python", "t -> t + K for t < 0, t - K for t >= K"),
    "zero": ("0 for that row", "row = 0"),
    "garbage": "no rule that can be stated (memory outside the row)",
}

FIELDS: Final = _fields(
    (
        "inputs",
        "what the numbers passed as logits are taken for",
        {
            "logits": ("unnormalised: loss = log(sum_k e^x_k) - x_t", "l_k = log(sum_j e^x_j) - x_k"),
            "log_probabilities": ("already log p: loss = -x_t", "l_k = -x_k"),
            "probabilities": ("p itself: loss = -log x_t", "l_k = -log x_k"),
        },
        _Matters((Occasion.ALWAYS,)),
    ),
    (
        "log_base",
        "the base of the logarithm",
        {"e": ("nats", "-ln p"), "2": ("bits", "-ln p / ln 2"), "10": ("decimal digits", "-ln p / ln 10")},
        _Matters((Occasion.ALWAYS,)),
    ),
    (
        "class_axis",
        "where the classes lie",
        {"last": ("the last axis", "(*batch, K)"), "1": ("axis 1 (axis 0 for a single row)", "(N, K, *spatial)")},
        _Matters(shown_by=ShownBy.FORM),
    ),
    (
        "default_reduction",
        "the reduction when none is given",
        {
            "none": ("one loss per row", "row_n"),
            "sum": ("their sum", "sum_n row_n"),
            "mean": ("their mean", "sum_n row_n / W"),
        },
        _Matters((Occasion.NO_REDUCTION,)),
    ),
    (
        "mean_denominator",
        "what a mean divides by",
        {
            "rows": ("the number of all rows", "W = N"),
            "kept": ("the number of rows that are not ignored", "W = #{n kept}"),
            "weights": (
                "the sum of the class weights at the labels of the kept rows (the kept rows, without weights)",
                "W = sum of w_t over the kept n",
            ),
            "elements": ("the number of all logits: a mean over the classes, too", "W = N K"),
        },
        _Matters((Occasion.MEAN,), _OF_MEANS),
    ),
    (
        "ignore_default",
        "the label that is ignored when none is named",
        {"none": "no label", "-100": ("-100", "t = -100"), "-1": ("-1", "t = -1")},
        _Matters((Occasion.LABEL_MAY_BE_IGNORED,), _OF_LABELS),
    ),
    (
        "ignore_with_probabilities",
        "what naming an ignored label does beside target probabilities",
        {
            "unused": "nothing: all rows are kept",
            "error": "refuses an ignored label that is a class: an exception",
            "one_hot": ("leaves out the rows that are one-hot at it", "q = onehot(ignored)"),
        },
        _Matters(
            (Occasion.IGNORED_BESIDE_PROBABILITIES,),
            (Applies(targets=TargetKind.PROBABILITIES, options=frozenset({"ignore_index"})),),
        ),
    ),
    (
        "ignored_row",
        "what an ignored row yields",
        {
            "zero": ("loss and gradient 0, whatever its logits", "row = 0"),
            "nan_leaks": ("NaN where its own loss would be NaN", "row = 0 * its own loss"),
        },
        _Matters(
            (Occasion.IGNORED_NON_FINITE,),
            (Applies(options=frozenset({"ignore_index"})), Applies(ignores_by_default=True)),
            defined=True,
        ),
    ),
    (
        "all_ignored_mean",
        "the mean when no row is kept (or their weights sum to 0)",
        {"nan": ("NaN (0/0)", "0 / 0"), "zero": ("0", "0 / max(W, 1)"), "error": "an exception"},
        _Matters((Occasion.MEAN_OF_NOTHING,), _OF_MEANS),
    ),
    (
        "empty_batch_mean",
        "the mean of no rows",
        {"nan": ("NaN (0/0)", "0 / 0"), "zero": ("0", "0 / max(W, 1)"), "error": "an exception"},
        _Matters((Occasion.EMPTY_MEAN,), _OF_MEANS),
    ),
    (
        "smoothing",
        "where label smoothing puts epsilon",
        {
            "uniform": ("(1-eps) q_k + eps/K over all K classes", "(1 - eps) q_k + eps / K"),
            "others": (
                "1-eps at the target and eps/(K-1) at each other class",
                "1 - eps at k = t, else eps / (K - 1)",
            ),
            "dropped": ("epsilon is ignored", "q_k"),
        },
        _Matters((Occasion.SMOOTHING,), (Applies(options=frozenset({"label_smoothing"})),)),
    ),
    (
        "smoothing_weights",
        "which weight the smoothed terms carry",
        {
            "per_class": ("each term its own class weight: w_k eps/K", "sum_k w_k q'_k l_k"),
            "target": ("all terms the weight of the target", "w_t sum_k q'_k l_k"),
        },
        _Matters((Occasion.WEIGHTED_SMOOTHING,), (Applies(options=frozenset({"label_smoothing", "weight"})),)),
    ),
    (
        "label_out_of_range",
        "a label >= K",
        _LABEL_VALUES,
        _Matters((Occasion.LARGE_LABEL, Occasion.WIDE_LABEL), _OF_LABELS),
    ),
    (
        "label_negative",
        "a negative label other than the ignored label",
        _LABEL_VALUES,
        _Matters((Occasion.NEGATIVE_LABEL, Occasion.WIDE_LABEL), _OF_LABELS),
    ),
    (
        "zero_times_infinity",
        "a factor of 0 (target probability, class weight) beside a log-probability of -inf",
        {
            "zero": ("contributes 0, the limit of 0 log 0", "0 * inf = 0"),
            "nan": ("0 * inf: NaN", "0 * inf = NaN"),
        },
        _Matters(
            (Occasion.NON_FINITE, Occasion.OVERFLOWING, Occasion.ZERO_PROBABILITY),
            (
                Applies(targets=TargetKind.PROBABILITIES),
                Applies(options=frozenset({"weight"})),
                Applies(options=frozenset({"label_smoothing"})),
            ),
            defined=True,
        ),
    ),
    (
        "infinite_logits",
        "a single +inf among the logits",
        {
            "limit": ("the limit: probability 1 there", "p = onehot(argmax x)"),
            "nan": ("inf - inf: NaN", "x - max x = NaN"),
            "nan_where_met": "NaN only where inf - inf is formed: at that label, in the gradient at that class",
        },
        _Matters((Occasion.POSITIVE_INFINITY,), _OF_EXTREMES, defined=True),
    ),
    (
        "overflowing_shift",
        "finite logits whose difference is beyond the dtype of the arithmetic (float32 or float64)",
        {
            "exact": ("the exact value, rounded", "round(l_k)"),
            "infinite": ("infinite, as if that class were masked with -inf", "round(x_k - max x) = -inf"),
            "infinite_float32": "the same, but only beyond float32 for narrower logits too",
        },
        _Matters((Occasion.OVERFLOWING,), _OF_EXTREMES, defined=True),
    ),
    (
        "soft_target_gradient",
        "the gradient by logits for targets that sum to s",
        {
            "scaled": ("s softmax - q, the derivative", "(sum_k q_k) p - q"),
            "plain": ("softmax - q, right only where s = 1", "p - q"),
        },
        _Matters(
            (Occasion.PROBABILITY_TARGETS,),
            (Applies(inputs="logits", targets=TargetKind.PROBABILITIES),),
            ShownBy.GRADIENT,
            defined=True,
        ),
    ),
    (
        "target_gradient",
        "whether probability targets get a gradient",
        {"yes": ("they do", "dloss/dq_k = l_k"), "none": "they do not"},
        _Matters(applies=(Applies(targets=TargetKind.PROBABILITIES),), shown_by=ShownBy.FORM, defined=True),
    ),
    (
        "probability_clip",
        "what probabilities are clipped to before the logarithm",
        {
            "none": "not clipped",
            **{
                epsilon: (f"to [{epsilon}, 1 - {epsilon}]", f"p -> min(max(p, {epsilon}), 1 - {epsilon})")
                for epsilon in ("1e-7", "1e-8", "1e-12", "1e-15")
            },
        },
        _Matters((Occasion.PROBABILITY_INPUTS,), _OF_PROBABILITIES),
    ),
    (
        "probability_scale",
        "whether probabilities are divided by their sum",
        {
            "none": ("taken as they are", "p"),
            "before_clip": ("divided by their sum, then clipped", "clip(p / sum p)"),
            "after_clip": ("clipped, then divided by the sum of the clipped", "clip(p) / sum clip(p)"),
        },
        _Matters((Occasion.PROBABILITY_INPUTS,), _OF_PROBABILITIES),
    ),
    (
        "result_dtype",
        "the dtype of the result",
        {
            "as_input": "that of the logits",
            "float32": "float32 for narrower logits",
            "at_most_float32": "64-bit to 32; gradients too",
            "always_float32": "float32, whatever the logits; gradients as the logits",
        },
        _Matters(shown_by=ShownBy.FORM),
    ),
    (
        "wide_inputs",
        "64-bit logits, targets and weights",
        {"kept": ("used as they are", "x"), "narrowed": ("rounded to 32 bits first", "float32(x)")},
        _Matters((Occasion.FLOAT64,), defined=True),
    ),
    (
        "wide_labels",
        "64-bit labels",
        {
            "kept": ("used as they are", "t"),
            "narrowed": ("their lower 32 bits: 2^32 + 3 is taken for 3", "t mod 2^32, signed"),
        },
        _Matters((Occasion.WIDE_LABEL,), _OF_LABELS, defined=True),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Convention:
    """One choice per field; the defaults are the portable convention.

    Attributes:
        parameters: numbers that the function applies by itself; none, unless a check states them (`--but`).

    Raises:
        ConventionError: for a value that `FIELDS` does not define.
    """

    inputs: str = "logits"
    log_base: str = "e"
    class_axis: str = "last"
    default_reduction: str = "none"
    mean_denominator: str = "weights"
    ignore_default: str = "none"
    ignore_with_probabilities: str = "unused"
    ignored_row: str = "zero"
    all_ignored_mean: str = "nan"
    empty_batch_mean: str = "nan"
    smoothing: str = "uniform"
    smoothing_weights: str = "per_class"
    label_out_of_range: str = "error"
    label_negative: str = "error"
    zero_times_infinity: str = "zero"
    infinite_logits: str = "limit"
    overflowing_shift: str = "exact"
    soft_target_gradient: str = "scaled"
    target_gradient: str = "yes"
    probability_clip: str = "none"
    probability_scale: str = "none"
    result_dtype: str = "as_input"
    wide_inputs: str = "kept"
    wide_labels: str = "kept"
    parameters: Parameters = NO_PARAMETERS

    def __post_init__(self) -> None:
        for name, defined in FIELDS.items():
            value = getattr(self, name)
            if value not in defined.values:
                raise ConventionError(f"{name}: {value!r}; choose from {', '.join(defined.values)}")

    def describe(self, name: str) -> str:
        """The choice in a field, with its words."""
        value = getattr(self, name)
        return f"{name} = {value} ({FIELDS[name].values[value]})"

    def but(self, **changes: str) -> Convention:
        """A copy with some fields changed."""
        return _changed(self, tuple(changes.items()))

    def differences(self, other: Convention) -> dict[str, tuple[str, str]]:
        """The fields on which the two differ: name -> (mine, the other's)."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in FIELDS}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def as_dict(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def from_dict(cls, values: Mapping[str, str]) -> Convention:
        """The convention with these choices; fields left out are portable.

        Raises:
            ConventionError: for an unknown field or value.
        """
        unknown = set(values) - set(FIELDS)
        if unknown:
            raise ConventionError(f"unknown field {min(unknown)!r}; choose from {', '.join(FIELDS)}")
        return cls(**dict(values))  # type: ignore[arg-type]  # fields alone, so no parameters


@cache
def _changed(convention: Convention, changes: tuple[tuple[str, str], ...]) -> Convention:
    return replace(convention, **dict(changes))  # type: ignore[arg-type]  # fields alone, so no parameters


PORTABLE: Final = Convention()

if {f.name for f in fields(Convention)} != {*FIELDS, "parameters"}:  # a definition for every field, and the reverse
    raise ImportError("Convention and FIELDS name different fields")
