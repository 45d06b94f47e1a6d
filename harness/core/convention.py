"""Conventions: the named choices on which correct cross-entropies legitimately differ.

`FIELDS` defines every field and every value in one line, with a formula where there is one; `Convention` is a frozen
value that holds one choice per field. The defaults are the portable convention: what a reader of the definition
expects and most frameworks do.
Docs: docs/conventions.md. Light (no numpy): the worker imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from types import MappingProxyType
from typing import Final

from logitmus.core.errors import Exit, LogitmusError


class ConventionError(LogitmusError, ValueError):
    """An unknown field, or an invalid value of a field; the message lists the valid names."""

    exit_code = Exit.INTERNAL_ERROR


@dataclass(frozen=True)
class Field:
    """One field of `Convention`: what it decides, its values with their definitions, and the formulas of those that
    have one. In a formula t is the label, q the target, p the probabilities, l = -log p, w the weights, K the classes.
    """

    name: str
    decides: str
    values: Mapping[str, str]
    formulas: Mapping[str, str]


_Definition = str | tuple[str, str]  # in words; in words and as a formula


def _fields(*rows: tuple[str, str, Mapping[str, _Definition]]) -> Mapping[str, Field]:
    return MappingProxyType({name: _field(name, decides, values) for name, decides, values in rows})


def _field(name: str, decides: str, values: Mapping[str, _Definition]) -> Field:
    words = {value: said if isinstance(said, str) else said[0] for value, said in values.items()}
    formulas = {value: said[1] for value, said in values.items() if not isinstance(said, str)}
    return Field(name, decides, MappingProxyType(words), MappingProxyType(formulas))


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
    ),
    (
        "log_base",
        "the base of the logarithm",
        {"e": ("nats", "-ln p"), "2": ("bits", "-ln p / ln 2"), "10": ("decimal digits", "-ln p / ln 10")},
    ),
    (
        "class_axis",
        "where the classes lie",
        {"last": ("the last axis", "(*batch, K)"), "1": ("axis 1 (axis 0 for a single row)", "(N, K, *spatial)")},
    ),
    (
        "default_reduction",
        "the reduction when none is asked for",
        {
            "none": ("one loss per row", "row_n"),
            "sum": ("their sum", "sum_n row_n"),
            "mean": ("their mean", "sum_n row_n / W"),
        },
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
    ),
    (
        "ignore_default",
        "the label that is ignored when none is named",
        {"none": "no label", "-100": ("-100", "t = -100"), "-1": ("-1", "t = -1")},
    ),
    (
        "ignore_with_probabilities",
        "what naming an ignored label does beside target probabilities",
        {
            "unused": "nothing: all rows are kept",
            "error": "refuses one that is a class: an exception",
            "one_hot": ("leaves out the rows that are one-hot at it", "q = onehot(ignored)"),
        },
    ),
    (
        "ignored_row",
        "what an ignored row yields",
        {
            "zero": ("loss and gradient 0, whatever its logits", "row = 0"),
            "nan_leaks": ("NaN where its own loss would be NaN", "row = 0 * its own loss"),
        },
    ),
    (
        "all_ignored_mean",
        "the mean when no row is kept (or their weights sum to 0)",
        {"nan": ("NaN (0/0)", "0 / 0"), "zero": ("0", "0 / max(W, 1)"), "error": "an exception"},
    ),
    (
        "empty_batch_mean",
        "the mean of no rows",
        {"nan": ("NaN (0/0)", "0 / 0"), "zero": ("0", "0 / max(W, 1)"), "error": "an exception"},
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
    ),
    (
        "smoothing_weights",
        "which weight the smoothed terms carry",
        {
            "per_class": ("each term its own class weight: w_k eps/K", "sum_k w_k q'_k l_k"),
            "target": ("all terms the weight of the target", "w_t sum_k q'_k l_k"),
        },
    ),
    ("label_out_of_range", "a label >= K", _LABEL_VALUES),
    ("label_negative", "a negative label that is not the ignored one", _LABEL_VALUES),
    (
        "zero_times_infinity",
        "a factor of 0 (target probability, class weight) beside a log-probability of -inf",
        {
            "zero": ("contributes 0, the limit of 0 log 0", "0 * inf = 0"),
            "nan": ("0 * inf: NaN", "0 * inf = NaN"),
        },
    ),
    (
        "infinite_logits",
        "a single +inf among the logits",
        {
            "limit": ("the limit: probability 1 there", "p = onehot(argmax x)"),
            "nan": ("inf - inf: NaN", "x - max x = NaN"),
            "nan_where_met": "NaN only where inf - inf is formed: at that label, in the gradient at that class",
        },
    ),
    (
        "overflowing_shift",
        "finite logits whose difference is beyond the dtype of the arithmetic (float32 or float64)",
        {
            "exact": ("the exact value, rounded", "round(l_k)"),
            "infinite": ("infinite, as if that class were masked with -inf", "round(x_k - max x) = -inf"),
            "infinite_float32": "the same, but only beyond float32 for narrower logits too",
        },
    ),
    (
        "soft_target_gradient",
        "the gradient by logits for targets that sum to s",
        {
            "scaled": ("s softmax - q, the derivative", "(sum_k q_k) p - q"),
            "plain": ("softmax - q, right only where s = 1", "p - q"),
        },
    ),
    (
        "target_gradient",
        "whether probability targets get a gradient",
        {"yes": ("they do", "dloss/dq_k = l_k"), "none": "they do not"},
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
    ),
    (
        "probability_scale",
        "whether probabilities are divided by their sum",
        {
            "none": ("taken as they are", "p"),
            "before_clip": ("divided by their sum, then clipped", "clip(p / sum p)"),
            "after_clip": ("clipped, then divided by the sum of the clipped", "clip(p) / sum clip(p)"),
        },
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
    ),
    (
        "wide_inputs",
        "64-bit logits, targets and weights",
        {"kept": ("used as they are", "x"), "narrowed": ("rounded to 32 bits first", "float32(x)")},
    ),
    (
        "wide_labels",
        "64-bit labels",
        {
            "kept": ("used as they are", "t"),
            "narrowed": ("their lower 32 bits: 2^32 + 3 is taken for 3", "t mod 2^32, signed"),
        },
    ),
)


@dataclass(frozen=True, kw_only=True)
class Convention:
    """One choice per field; the defaults are the portable convention.

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

    def __post_init__(self) -> None:
        for name, defined in FIELDS.items():
            value = getattr(self, name)
            if value not in defined.values:
                raise ConventionError(f"{name}: {value!r}; use one of {', '.join(defined.values)}")

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
            raise ConventionError(f"unknown field {min(unknown)!r}; use one of {', '.join(FIELDS)}")
        return cls(**dict(values))


@cache
def _changed(convention: Convention, changes: tuple[tuple[str, str], ...]) -> Convention:
    return replace(convention, **dict(changes))


PORTABLE: Final = Convention()

if {f.name for f in fields(Convention)} != set(FIELDS):  # a definition for every field, and the reverse
    raise ImportError("Convention and FIELDS name different fields")
