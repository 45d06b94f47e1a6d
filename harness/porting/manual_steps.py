"""What to do by hand where no argument makes one function do as another: in words, by what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LABELS: Final = {
    "error": "check the labels before the call: it does not refuse them",
    "nan": "put NaN in the rows of such labels afterwards",
    "clamp": "clip the labels to 0 ... K - 1 before the call",
    "wrap": "take labels from the other end yourself: t + K for t < 0, t - K for t >= K",
    "zero": "put 0 in the rows of such labels afterwards",
    "garbage": "nothing to do: no code should rely on memory outside the row",
}
_NOTHING: Final = {
    "nan": "raise no alarm on NaN there any more: test W == 0 yourself",
    "zero": "take 0 yourself where no row is left",
    "error": "raise yourself where no row is left",
}
BETTER: Final = "nothing to do, unless code relies on what came there before"
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "targets": {"probabilities": "it takes labels: soft targets need another function"},
    "label_smoothing": {
        "offered": "it has no argument for this: smooth one-hot targets, and give them to a function that takes "
        "probabilities",
    },
    "label_out_of_range": _LABELS,
    "label_negative": _LABELS,
    "ignore_default": {"none": "name an ignored label that never occurs, so that this one does not vanish in silence"},
    "all_ignored_mean": _NOTHING,
    "empty_batch_mean": _NOTHING,
    "log_base": dict.fromkeys(("e", "2", "10"), "multiply the loss by the ratio of the logarithms of the two bases"),
    "ignored_row": {"zero": "keep NaN and infinities out of ignored rows: replace their logits by 0 before the call"},
    "ignore_with_probabilities": {"error": "refuse an ignored class yourself"},
    "zero_times_infinity": {
        "zero": "it has no argument for this: mask classes with a large finite number in place of -inf, or write "
        "-sum(where(q == 0, 0, q * log_p))",
    },
    "infinite_logits": dict.fromkeys(
        ("limit", "nan_where_met"), "it has no argument for this: keep +inf out of the logits"
    ),
    "overflowing_shift": {
        "exact": "it has no argument for this: keep the logits within half of the dtype's range",
        "infinite_float32": "cast narrower logits to float32 before the call",
    },
    "soft_target_gradient": {
        "scaled": "it has no argument for this: divide the targets by their sum, and multiply the loss by it",
        "plain": "it has no argument for this: it gives the derivative of its loss, which this was not",
    },
    "target_gradient": {
        "yes": "it has no gradient by its targets",
        "none": "stop the gradient at the targets yourself",
    },
    "probability_clip": {"none": "it has no argument for this: give it logits, or write -log p"},
    "probability_scale": {
        "none": "it has no argument for this: give it logits, or write -log p",
        "before_clip": "divide the probabilities by their sum before the call",
        "after_clip": "clip the probabilities, and divide them by the sum of the clipped, before the call",
    },
    "result_dtype": {
        "as_input": "cast the result; digits that it dropped do not come back",
        "float32": "cast the logits, or the result, to float32",
        "at_most_float32": "cast the logits to float32 before the call",
        "always_float32": "cast the logits, or the result, to float32",
    },
    "wide_inputs": {
        "kept": "it has no argument for this: it computes in 32 bits",
        "narrowed": "cast the logits, targets and weights to float32 before the call",
    },
    "wide_labels": {
        "kept": "check that labels fit 32 bits before the call",
        "narrowed": "cast the labels to int32 before the call",
    },
}


def by_hand(name: str, wanted: str) -> str:
    """How to have the choice `wanted` of a field where no argument makes it."""
    if name == "probability_clip" and wanted != "none":
        return f"clip the probabilities to [{wanted}, 1 - {wanted}] before the call"
    known = _WORDS.get(name)
    return "it has no argument for this: write it out" if known is None else known.get(wanted, BETTER)
