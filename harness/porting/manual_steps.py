"""Manual steps for choices that no argument of the function makes, by field and wanted choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LABELS: Final = {
    "error": "check the labels before the call: the function does not refuse invalid ones",
    "nan": "set the rows of such labels to NaN after the call",
    "clamp": "clip the labels to 0 ... K - 1 before the call",
    "wrap": "wrap the labels before the call: t + K for t < 0, t - K for t >= K",
    "zero": "set the rows of such labels to 0 after the call",
    "garbage": "nothing to do: no code should depend on memory outside the row",
}
_NOTHING: Final = {
    "nan": "do not wait for NaN: test W == 0 instead",
    "zero": "use 0 if no row is left",
    "error": "raise an exception if no row is left",
}
BETTER: Final = "nothing to do, unless code depends on the previous results"
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "targets": {"probabilities": "the function takes labels: soft targets need another function"},
    "label_smoothing": {
        "offered": "no argument for this: smooth one-hot targets, and pass them to a function that takes probabilities",
    },
    "label_out_of_range": _LABELS,
    "label_negative": _LABELS,
    "ignore_default": {"none": "set ignore_index to a label that never occurs; else this label is silently ignored"},
    "all_ignored_mean": _NOTHING,
    "empty_batch_mean": _NOTHING,
    "log_base": dict.fromkeys(("e", "2", "10"), "multiply the loss by the ratio of the logarithms of the two bases"),
    "ignored_row": {"zero": "keep NaN and infinities out of ignored rows: replace their logits by 0 before the call"},
    "ignore_with_probabilities": {"error": "reject ignored classes before the call"},
    "zero_times_infinity": {
        "zero": "no argument for this: mask classes with a large finite number in place of -inf, or write "
        "-sum(where(q == 0, 0, q * log_p))",
    },
    "infinite_logits": dict.fromkeys(("limit", "nan_where_met"), "no argument for this: keep +inf out of the logits"),
    "overflowing_shift": {
        "exact": "no argument for this: keep the logits within half of the dtype's range",
        "infinite_float32": "cast narrower logits to float32 before the call",
    },
    "soft_target_gradient": {
        "scaled": "no argument for this: divide the targets by their sum, and multiply the loss by it",
        "plain": "no argument for this: the function returns the derivative of its loss, the other one does not",
    },
    "target_gradient": {
        "yes": "the function has no gradient by its targets",
        "none": "stop the gradient at the targets",
    },
    "probability_clip": {"none": "no argument for this: pass logits, or write -log p"},
    "probability_scale": {
        "none": "no argument for this: pass logits, or write -log p",
        "before_clip": "divide the probabilities by their sum before the call",
        "after_clip": "clip the probabilities, and divide them by the sum of the clipped, before the call",
    },
    "result_dtype": {
        "as_input": "cast the result; the dropped digits are lost",
        "float32": "cast the logits, or the result, to float32",
        "at_most_float32": "cast the logits to float32 before the call",
        "always_float32": "cast the logits, or the result, to float32",
    },
    "wide_inputs": {
        "kept": "no argument for this: the function computes in 32 bits",
        "narrowed": "cast the logits, targets and weights to float32 before the call",
    },
    "wide_labels": {
        "kept": "check that labels fit 32 bits before the call",
        "narrowed": "cast the labels to int32 before the call",
    },
}


def by_hand(name: str, wanted: str) -> str:
    """The manual step for the choice `wanted` of a field."""
    if name == "probability_clip" and wanted != "none":
        return f"clip the probabilities to [{wanted}, 1 - {wanted}] before the call"
    known = _WORDS.get(name)
    return "no argument for this: write it out" if known is None else known.get(wanted, BETTER)
