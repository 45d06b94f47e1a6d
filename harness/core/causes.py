"""Words for causes, conventions and numbers, the same wherever a finding is shown."""

from __future__ import annotations

from typing import Final

import numpy as np

from logitmus.core.convention import FIELDS, Convention
from logitmus.core.floats import FLOAT_DTYPES

_CAUSES: Final = {
    "invented": "answers a number where the exact answer does not exist (NaN in, or no limit)",
    "lost": "NaN where the exact answer is a number",
    "spurious_overflow": "infinite where the exact answer is well inside the dtype",
    "missed_infinity": "finite where the exact answer is infinite",
    "wrong_infinity": "infinite with the wrong sign",
    "saturated": "the largest finite value where the exact answer is beyond the dtype",
    "spurious_underflow": "0 where the exact answer is well above the smallest number",
    "weak_sum": "its sum over classes errs like a sequential one (within the any-order budget B, beyond B+)",
    "separate_logsumexp": "the logsumexp is formed and then subtracted: a common offset eats the digits (grade C)",
    "unexplained": "outside every budget, and no convention or mechanism that is known here explains it",
    "unexplained_within_b": "beyond the budget of a well-made sum (B+), inside that of any order (B), and no emulated "
    "order of summation reproduces it",
    "unexplained_within_c": "beyond the budgets of a shifted softmax (B+, B), inside that of a logsumexp formed and "
    "then subtracted (C), but no emulation of that reproduces it",
    "negative_zero": "an exact zero comes back as -0.0",
    "timeout": "did not come back",
    "out_of_memory": "took more memory than allowed",
    "garbled": "answered something that is not an answer",
    "no_gradient": "offers no gradient",
    "second_derivative:not_finite": "the gradient is right, its own derivative is not: it is NaN or infinite",
    "second_derivative:zero": "the gradient is right, its own derivative is not: it is 0, as that of a constant",
    "second_derivative:wrong_sign": "the gradient is right, its own derivative is not: it is 0 or has the wrong sign "
    "where it is large",
}
# Causes that name something: {} is its name.
_ABOUT: Final = {
    "raised": "raises {} on a valid question",
    "crashed": "the process died ({})",
    "wrote_into": "writes into its input {}",
}
# How a question is asked beside the plain call (`problem.MANNERS`): "... when ..."
_MANNERS: Final = {
    "again": "the very same is asked again",
    "after_others": "other questions come between",
    "backward_twice": "its gradient is taken a second time",
    "forward_mode": "it is differentiated forward",
    "second_order": "its gradient is differentiated",
}
# What an answer may hang on, where without it the answer is right.
_DEPENDENCES: Final = {
    "other_rows": "the other rows of the batch",
    "memory_layout": "how its inputs lie in memory",
    "earlier_calls": "the calls before it",
    "chance": "chance: the same call gives now this answer, now that",
    "manner": "being called more than once, or differentiated otherwise",
    "reduction": "the reduction: without one it is right",
    "weight": "class weights: without them it is right",
    "ignore_index": "ignore_index: without it it is right",
    "label_smoothing": "label smoothing: without it it is right",
    "cotangent": "the upstream gradient: for one of ones it is right",
}
# What a gradient is right for, beside a loss that is right.
_GRADIENTS: Final = {
    "upstream_ignored": "the upstream gradient is ignored: it is right for one of ones",
    "upstream_first": "only the first element of the upstream gradient is used, for every row",
    "upstream_mean": "the mean of the upstream gradient takes the place of each row's own element",
    "upstream_sum": "the sum of the upstream gradient takes the place of each row's own element",
    "zero": "no gradient flows: it is 0 everywhere",
    "negated": "it has the wrong sign: it is that of the loss times -1",
    "not_divided": "it lacks the mean's divisor: it is that of the sum",
    "divided_twice": "it is divided twice by what the mean divides by",
    "divided": "it is divided by the number of rows, though no mean was asked for",
    "divided_by_classes": "it is divided by the number of classes",
    "weights_ignored": "it lacks the class weights",
    "ignored_rows_kept": "ignored rows get one, as if they were not ignored",
    "target_not_subtracted": "it is the softmax alone: the target is not subtracted from it",
    "softmax_missing": "it is the target alone: no softmax is added to it, as if the logsumexp were a constant",
}


def dependence(name: str) -> str:
    """What an answer depends on, in words."""
    return _DEPENDENCES.get(name, name.replace("_", " "))


def summary(cause: str) -> str:
    """The cause in words, the same for every finding of one cause."""
    head, _, tail = cause.partition(":")
    match head:
        case "convention":
            name, _, value = tail.partition("=")
            return f"{FIELDS[name].decides}: {FIELDS[name].values[value]}"
        case "gradient" | "gradient_of":
            return f"the loss is right, its gradient is not: {gradient(cause)}"
        case "accepted":
            name, _, value = tail.partition("=")
            did = f": {FIELDS[name].values[value]}" if value else ""
            return f"accepts an invalid question without a word{did}"
        case "effective_precision":
            return f"effective precision in half precision: {tail.replace(',', ', ').replace('=', ' in ')}"
        case "changes":
            return f"answers otherwise when {_MANNERS[tail]}"
        case "raises":
            return f"answers, and raises when {_MANNERS[tail]}"
        case "depends_on":
            return f"depends on {dependence(tail)}"
        case "shape":
            return f"the {part_name(tail)} has another shape or dtype than it should"
        case "dtype":
            name, _, value = tail.partition("=")
            return f"the {part_name(name)} comes back as {value}"
        case "mechanism":
            return f"result has the exact bits of: {tail.replace('_', ' ')}"
    if head in _ABOUT:
        return _ABOUT[head].format(tail)
    return _CAUSES.get(cause) or _CAUSES.get(head, head.replace("_", " "))


def gradient(cause: str) -> str:
    """What a gradient is right for, of a cause "gradient:..." or "gradient_of:field=value"."""
    head, _, tail = cause.partition(":")
    if head == "gradient":
        return _GRADIENTS.get(tail, tail.replace("_", " "))
    name, _, value = tail.partition("=")
    return f"it is that of another formula ({FIELDS[name].decides}: {FIELDS[name].values[value]})"


def part_name(part: str) -> str:
    return {"loss": "loss", "grad_logits": "gradient by logits", "grad_targets": "gradient by targets"}.get(part, part)


def chosen(convention: Convention, name: str) -> str:
    """What a convention chooses for a field, in words."""
    value = getattr(convention, name)
    return f"{name} = {value} ({FIELDS[name].values[value]})"


def number(value: float, dtype: str) -> str:
    """A result with the fewest digits that name it in its dtype."""
    if not np.isfinite(value):
        return repr(float(value))
    typed = np.float64(value).astype(FLOAT_DTYPES[dtype])
    return str(typed) if dtype != "float64" else repr(float(value))
