"""Catalogue of causes: a row for each name of a `Cause`, with its words, its severity and its precedence.

As Wycheproof explains every flag of its test vectors beside the vectors, so that no reader has to know them by heart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from logitmus.core.causes import Cause
from logitmus.core.computed_logits import COMPUTED, PRODUCT, SCALED
from logitmus.core.convention import FIELDS, PORTABLE
from logitmus.core.finding import PARTS, Severity, part_name

_ACCURACY: Final = "docs/accuracy.md"
_CONVENTIONS: Final = "docs/conventions.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What is known about a cause.

    Attributes:
        summary: the cause in words; "{}" stands for its detail.
        details: the words for each detail; for others the detail itself, with spaces for underscores. None: the detail
            is a name of the user's program or of the operating system, and stands as it is.
        impact: why it matters, in a sentence; "" where the summary says it.
        impacts: the impact of some details, in place of that.
        severity: of a finding with this cause, unless the judge has reason for another.
        yields_to: causes (in their text form) that take precedence where they are found more often: what this cause
            allows for is a wider budget, inside which any small fault lies.
        mechanism: the emulated computation (`logitmus.judging.mechanisms`) that always has this cause.
        links: where it is documented.
    """

    summary: str
    details: Mapping[str, str] | None = field(default_factory=dict)
    impact: str = ""
    impacts: Mapping[str, str] = field(default_factory=dict)
    severity: Severity = Severity.BUG
    yields_to: tuple[str, ...] = ()
    mechanism: str = ""
    links: tuple[str, ...] = ()


# A call mode (`problem.MANNERS`), as in "... when ..."
_CALL_MODES: Final = {
    "again": "the same call is repeated",
    "after_others": "other calls come in between",
    "backward_twice": "its gradient is computed a second time",
    "forward_mode": "it is differentiated in forward mode",
    "second_order": "its gradient is differentiated",
    SCALED: "its logits are scaled in the function that is compiled with it",
    PRODUCT: "its logits are a matrix product in the function that is compiled with it",
}
_CALL_MODE_IMPACTS: Final = {
    "forward_mode": (
        "Jacobian-vector products and Hessians are wrong, while training, which uses reverse mode, is right"
    ),
    **dict.fromkeys(COMPUTED, "tests that pass logits as arguments pass, and a compiled model fails"),
}
_DEPENDENCES: Final = {
    "other_rows": "the other rows of the batch",
    "memory_layout": "the memory layout of its inputs",
    "earlier_calls": "earlier calls",
    "chance": "chance: the same call gives different results",
    "manner": "the way it is called: a single plain call is right",
    "reduction": "the reduction: without one the result is right",
    "weight": "class weights: without them the result is right",
    "ignore_index": "ignore_index: without it the result is right",
    "label_smoothing": "label smoothing: without it the result is right",
    "cotangent": "the upstream gradient: for a gradient of ones the result is right",
}
_GRADIENTS: Final = {
    "upstream_ignored": "the upstream gradient is ignored, as if it were 1",
    "upstream_first": "only the first element of the upstream gradient is used, for every row",
    "upstream_mean": "the mean of the upstream gradient replaces each row's own element",
    "upstream_sum": "the sum of the upstream gradient replaces each row's own element",
    "zero": "no gradient flows: it is 0 everywhere",
    "negated": "it has the wrong sign",
    "not_divided": "it is not divided by the divisor of the mean",
    "divided_twice": "it is divided twice by the divisor of the mean",
    "divided": "it is divided by the number of rows, though the reduction is no mean",
    "divided_by_classes": "it is divided by the number of classes",
    "weights_ignored": "it ignores the class weights",
    "ignored_rows_kept": "ignored rows get a gradient, as if they were not ignored",
    "target_not_subtracted": "it is softmax(x) alone: the target is not subtracted",
    "softmax_missing": "it is the target term alone: softmax(x) is missing, as if the logsumexp were a constant",
}
_SECOND_DERIVATIVES: Final = {
    "not_finite": "it is NaN or infinite",
    "zero": "it is 0, as if the gradient were a constant",
    "wrong_sign": "it is 0 or has the wrong sign where it is large",
}
_MECHANISMS: Final = {
    "no_max_shift": "exponentials without subtracting the maximum",
    "log_of_softmax": "the logarithm of a rounded softmax",
    "logsumexp_formed_and_then_subtracted": "logsumexp(x) - x_t",
    "probabilities_clipped_to_1e-7": "probabilities clipped to 1e-7",
    "probabilities_clipped_to_1e-8": "probabilities clipped to 1e-8",
    "probabilities_clipped_to_1e-12": "probabilities clipped to 1e-12",
}
# Why a choice of the convention matters, by field; for whichever cause names the field.
_FIELD_IMPACTS: Final = {
    "mean_denominator": "the effective learning rate differs by the ratio of the two counts",
    "inputs": "logits passed to it give a number that looks like a loss and is not one",
    "ignore_default": "a label of that value is ignored though nothing requested it",
    "ignore_with_probabilities": "rows that are meant as padding are trained on",
    "ignored_row": "padding that holds NaN or infinities poisons the batch",
    "zero_times_infinity": "masking classes with -inf turns the loss into NaN",
    "infinite_logits": "one overflowed logit costs the whole batch, even where the limit is known",
    "overflowing_shift": "finite logits with a finite loss give NaN: large masks such as -3e38 trigger this",
    "label_out_of_range": "a wrong label goes unnoticed",
    "label_negative": "a wrong or padding label goes unnoticed",
    "soft_target_gradient": "for targets that do not sum to 1 the update is not the derivative of the loss",
    "wide_inputs": "float64 inputs lose 29 bits",
    "all_ignored_mean": "a batch without a single kept label gives NaN in one framework and 0 in another",
    "empty_batch_mean": "an empty batch gives NaN in one framework and 0 in another",
    "probability_clip": "all confident wrong answers have the same loss",
}
# The fields whose impact is that of any choice but the portable one.
_HARMS: Final = frozenset(
    {
        "inputs",
        "ignore_default",
        "ignore_with_probabilities",
        "ignored_row",
        "zero_times_infinity",
        "infinite_logits",
        "overflowing_shift",
        "label_out_of_range",
        "label_negative",
        "soft_target_gradient",
        "wide_inputs",
        "probability_clip",
    }
)
_PARAMETERS: Final = {
    "label_smoothing": "label smoothing, {}",
    "temperature": "temperature, {}: the logits are divided by it",
    "z_loss": "z-loss, {} times the squared logsumexp",
    "factor": "factor, {}: the loss is multiplied by it",
    "clip": "clip of the probabilities, {}",
}
_PARAMETER_IMPACTS: Final = {
    "label_smoothing": "no loss reaches 0, and losses with and without smoothing cannot be compared",
    "temperature": "losses and gradients are those of other logits",
    "z_loss": "a number added to all logits changes the loss",
    "factor": "the effective learning rate is multiplied by it",
    "clip": "all confident wrong answers have the same loss",
}
_WRONG_GRADIENT: Final = "training minimises something other than the loss that is logged"

CAUSES: Final[Mapping[str, Row]] = MappingProxyType(
    {
        "convention": Row(summary="{}", severity=Severity.DIFFERENCE, impacts=_FIELD_IMPACTS, links=(_CONVENTIONS,)),
        "accepted": Row(
            summary="silently accepts invalid input{}",
            details={"invalid": ""},
            impact="an invalid batch goes unnoticed",
            impacts=_FIELD_IMPACTS,
            severity=Severity.HAZARD,
            links=(_CONVENTIONS,),
        ),
        "parameter": Row(
            summary="applies its own {}",
            details=_PARAMETERS,
            impacts=_PARAMETER_IMPACTS,
            severity=Severity.DIFFERENCE,
            links=(_CONVENTIONS,),
        ),
        "other_formula": Row(
            summary="computes another formula",
            impact="its losses cannot be compared with those of its reference",
            severity=Severity.DIFFERENCE,
        ),
        "raised": Row(summary="raises {} on valid input", details=None, impact="a valid batch stops the program"),
        "crashed": Row(summary="the process died ({})", details=None),
        "timeout": Row(summary="no result within the time limit", impact="the program waits for ever"),
        "out_of_memory": Row(summary="exceeds the memory limit"),
        "garbled": Row(summary="returns something that is not a result"),
        "wrote_into": Row(
            summary="writes into its input {}",
            details=None,
            impact="whatever reads the input afterwards reads other numbers",
        ),
        "shape": Row(summary="wrong shape or dtype of the {}", details=PARTS),
        "dtype": Row(summary="wrong dtype: the {}", severity=Severity.DIFFERENCE),
        "no_gradient": Row(summary="returns no gradient"),
        "invented": Row(
            summary="returns a number where NaN is the right result (NaN in, no limit, or by its convention)",
            impact="invalid input goes unnoticed",
            severity=Severity.HAZARD,
        ),
        "lost": Row(
            summary="unexpected NaN: the exact result is a number",
            impact="one such row turns the mean, and with it every weight of the model, into NaN",
        ),
        "spurious_overflow": Row(
            summary="unexpected infinity: the exact result is well inside the range of the dtype",
            impact="an infinite loss where training could continue",
        ),
        "missed_infinity": Row(summary="finite, where the exact result is infinite"),
        "wrong_infinity": Row(summary="infinity of the wrong sign"),
        "saturated": Row(
            summary="the largest finite number, where the exact result is outside the range of the dtype",
            impact="a number that looks real hides that the loss overflowed",
        ),
        "spurious_underflow": Row(summary="0, where the exact result is well above the smallest number of the dtype"),
        "negative_zero": Row(
            summary="an exact zero is returned as -0.0",
            impact="matters only to code that looks at the sign of a zero loss",
            severity=Severity.NOTE,
        ),
        "weak_sum": Row(
            summary="the sum over classes has the error of a sequential sum (within budget B, outside B+)",
            impact="harmless for few classes; grows with the vocabulary",
            severity=Severity.NOTE,
            links=(f"{_ACCURACY}#4-between-b-b-and-c",),
        ),
        "separate_logsumexp": Row(
            summary="computes logsumexp(x) - x_t: cancellation under a common offset (grade C)",
            impact="if all logits drift together, which nothing prevents, the loss loses its digits one by one, until "
            "a difference of 1 becomes 0",
            mechanism="logsumexp_formed_and_then_subtracted",
            links=(f"{_ACCURACY}#4-between-b-b-and-c",),
        ),
        "mechanism": Row(
            summary="bitwise equal to a known inaccurate computation: {}",
            details=_MECHANISMS,
            links=(f"{_ACCURACY}#4-between-b-b-and-c",),
        ),
        "unexplained": Row(
            summary="outside every error budget; no known convention or mechanism explains it",
            impact="do not compare its losses with those of other functions",
            links=(f"{_ACCURACY}#2-budgets",),
        ),
        "unexplained_within_b": Row(
            summary="outside the budget of an accurate sum (B+), inside that of a sum in any order (B); no emulated "
            "order of summation reproduces it",
            severity=Severity.DIFFERENCE,
            yields_to=("unexplained",),
            links=(f"{_ACCURACY}#4-between-b-b-and-c",),
        ),
        "unexplained_within_c": Row(
            summary="outside the budgets of a shifted softmax (B+, B), inside that of logsumexp(x) - x_t (C); no "
            "emulation reproduces it",
            impact="the larger the logits, the fewer digits are right",
            yields_to=("separate_logsumexp", "unexplained"),
            links=(f"{_ACCURACY}#4-between-b-b-and-c",),
        ),
        "float32_arithmetic": Row(
            summary="float64 logits are used as they are, and the arithmetic, or a part of it, is in float32",
            impact="float64 was requested, and the results have 7 digits",
            severity=Severity.DIFFERENCE,
            links=(f"{_ACCURACY}#4-between-b-b-and-c",),
        ),
        "effective_precision": Row(
            summary="half precision is effectively {}",
            impact="half-precision losses have two or three digits, and those of confident rows become 0",
            severity=Severity.DIFFERENCE,
        ),
        "gradient": Row(
            summary="the loss is right, its gradient is wrong: {}",
            details=_GRADIENTS,
            impact=_WRONG_GRADIENT,
            links=(f"{_ACCURACY}#5-gradient-faults",),
        ),
        "gradient_of": Row(
            summary="the loss is right, its gradient is wrong: {}",
            impact=_WRONG_GRADIENT,
            impacts=_FIELD_IMPACTS,
            links=(f"{_ACCURACY}#5-gradient-faults",),
        ),
        "second_derivative": Row(
            summary="the gradient is right, its derivative is wrong: {}",
            details=_SECOND_DERIVATIVES,
            impact="gradient penalties, influence functions and second-order optimisers silently use wrong numbers",
        ),
        "changes": Row(
            summary="the result changes when {}",
            details=_CALL_MODES,
            impact="the same batch gives different numbers: results are not reproducible",
            impacts=_CALL_MODE_IMPACTS,
        ),
        "raises": Row(
            summary="returns a result, but raises when {}",
            details=_CALL_MODES,
            impact="training works until it does not",
            impacts=_CALL_MODE_IMPACTS,
        ),
        "switch": Row(
            summary="the result changes with the switch {}",
            details=None,
            impact="a setting made elsewhere in the program, or by another machine, changes the numbers",
        ),
        "depends_on": Row(
            summary="depends on {}",
            details=_DEPENDENCES,
            impact="the same row gives another number elsewhere, though unit tests may all pass",
        ),
    }
)
# Single causes that yield to others, as a row does.
_YIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"convention:wide_inputs=narrowed": ("unexplained",)})


def summary(cause: Cause) -> str:
    """The cause in words, the same for every finding with this cause."""
    row = CAUSES.get(cause.name)
    if row is None:
        return cause.replace("_", " ")
    return row.summary.format(_detail(cause, row))


def impact(cause: Cause) -> str:
    """Why the cause matters, in a sentence; "" where there is no more to say than the summary."""
    row = CAUSES.get(cause.name)
    if row is None:
        return ""
    if cause.field in _HARMS and cause.choice == (cause.field, PORTABLE.as_dict()[cause.field]):
        return ""  # the function makes the portable choice where another is promised
    return row.impacts.get(cause.field or cause.value or "", row.impact)


def severity(cause: Cause) -> Severity:
    """The severity of a finding with this cause, unless the judge has reason for another."""
    return CAUSES[cause.name].severity


def yields_to(cause: Cause) -> tuple[str, ...]:
    """The causes (text forms) that take precedence over this cause where they are found more often; see `Row`."""
    row = CAUSES.get(cause.name)
    return _YIELDS.get(cause, row.yields_to if row is not None else ())


def of_mechanism(name: str) -> Cause:
    """The cause of a result that an emulated mechanism reproduces."""
    own = next((cause for cause, row in CAUSES.items() if row.mechanism == name), None)
    return Cause.of("mechanism", name) if own is None else Cause(own)


def dependence(name: str) -> str:
    """What a result depends on, in words."""
    return _DEPENDENCES.get(name, name.replace("_", " "))


def gradient(cause: Cause) -> str:
    """What is wrong with a gradient, in words, for a cause named "gradient" or "gradient_of"."""
    return _detail(cause, CAUSES[cause.name])


def _detail(cause: Cause, row: Row) -> str:
    """The detail of a cause in words."""
    value = cause.value or ""
    if cause.name == "effective_precision":
        return ", ".join(f"{dtype} {use}" for use, dtype in cause.precision.items())
    if cause.is_choice:
        field, value = cause.choice
        if cause.name == "parameter" and row.details is not None:
            return row.details[field].format(value)
        return _choice(cause.name, field, value) if field in FIELDS else f"{part_name(field)} is {value}"
    if row.details is None:
        return value
    return row.details.get(value, value.replace("_", " "))


def _choice(name: str, field: str, value: str) -> str:
    """A choice of the convention, as the summary of the cause `name` takes it."""
    decides, does = FIELDS[field].decides, FIELDS[field].values[value]
    match name:
        case "accepted":
            return f": {does}"
        case "gradient_of":
            return f"it is the gradient of another formula ({decides}: {does})"
        case _:
            return f"{decides}: {does}"
