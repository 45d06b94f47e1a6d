"""Words for causes, conventions and numbers, the same wherever a finding is shown."""

from __future__ import annotations

from typing import Final

import numpy as np

from logitmus.convention import FIELDS, Convention
from logitmus.problem import FLOAT_DTYPES

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
    "negative_zero": "an exact zero comes back as -0.0",
    "timeout": "did not come back",
    "out_of_memory": "took more memory than allowed",
    "garbled": "answered something that is not an answer",
    "no_gradient": "offers no gradient",
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
        case "accepted":
            name, _, value = tail.partition("=")
            did = f": {FIELDS[name].values[value]}" if value else ""
            return f"accepts an invalid question without a word{did}"
        case "effective_precision":
            return f"effective precision in half precision: {tail.replace(',', ', ').replace('=', ' in ')}"
        case "raised":
            return f"raises {tail} on a valid question"
        case "crashed":
            return f"the process died ({tail})"
        case "depends_on":
            return f"depends on {dependence(tail)}"
        case "wrote_into":
            return f"writes into its input {tail}"
        case "shape":
            return f"the {part_name(tail)} has another shape or dtype than it should"
        case "dtype":
            name, _, value = tail.partition("=")
            return f"the {part_name(name)} comes back as {value}"
        case "mechanism":
            return f"result has the exact bits of: {tail.replace('_', ' ')}"
    return _CAUSES.get(head, head.replace("_", " "))


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
