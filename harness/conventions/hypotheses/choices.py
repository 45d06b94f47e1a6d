"""The choices of `Convention` as changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from logitmus.conventions.hypotheses.change import Change
from logitmus.core.convention import FIELDS, PORTABLE, Occasion, ShownBy
from logitmus.core.problem import Problem
from logitmus.core.subject import outside_domain

# Fields that no single printed number can show: they need a gradient, an array, 64-bit bits, or only name a default.
_HIDDEN: Final = frozenset(
    name
    for name, field in FIELDS.items()
    if field.shown_by is not ShownBy.VALUE or field.about <= {Occasion.NO_REDUCTION, Occasion.FLOAT64}
)
_CONVENTION_WORDS: Final[Mapping[tuple[str, str], tuple[str, str, int]]] = {
    **{
        ("probability_clip", eps): (
            f"probabilities were clipped to [{eps}, 1 - {eps}] before the logarithm",
            "log_softmax of the logits, not log of clipped probabilities",
            3,
        )
        for eps in FIELDS["probability_clip"].values
        if eps != "none"
    },
    ("inputs", "probabilities"): (
        "the inputs were probabilities (loss = -log x_t)",
        "pass log-probabilities or logits: cross_entropy(p.log(), target)",
        0,
    ),
    ("inputs", "log_probabilities"): (
        "the inputs were taken as log-probabilities (loss = -x_t, as nll_loss does)",
        "nll_loss(logits.log_softmax(-1), target)",
        1,
    ),
    ("log_base", "2"): ("the logarithm was to base 2 (bits)", "loss / math.log(2)", 1),
    ("log_base", "10"): ("the logarithm was to base 10", "loss / math.log(10)", 3),
    ("mean_denominator", "rows"): (
        "the mean divided by the number of all rows, ignored ones and weights not taken into account",
        "loss.sum() / len(target)",
        0,
    ),
    ("mean_denominator", "kept"): (
        "the mean divided by the number of kept rows, not by the sum of their weights",
        "loss.sum() / (target != ignore_index).sum()",
        0,
    ),
    ("mean_denominator", "elements"): (
        "the mean divided by the number of all logits (rows times classes)",
        "loss.sum() / logits.numel()",
        1,
    ),
    ("ignore_default", "-100"): ("the label -100 was ignored", "ignore_index=-100", 2),
    ("ignore_default", "-1"): ("the label -1 was ignored", "ignore_index=-1", 2),
    ("ignored_row", "nan_leaks"): (
        "the ignored row's own NaN leaked into the result (0 x NaN)",
        "torch.where(keep, loss, 0.0), not loss * keep",
        2,
    ),
    ("all_ignored_mean", "zero"): ("a mean over no rows was 0", "loss.sum() / keep.sum().clamp(min=1)", 2),
    ("empty_batch_mean", "zero"): ("the mean of an empty batch was 0", "loss.sum() / max(len(target), 1)", 2),
    ("smoothing", "others"): (
        "label smoothing gave epsilon to the other classes only (1 - eps at the target, eps/(K-1) elsewhere)",
        "eps = label_smoothing * K / (K - 1)",
        1,
    ),
    ("smoothing", "dropped"): ("label smoothing was ignored", "pass label_smoothing=0, or smooth the targets", 0),
    ("smoothing_weights", "target"): (
        "all terms of the smoothed loss carried the weight of the target class",
        "weight[target] * smoothed_loss",
        2,
    ),
    ("zero_times_infinity", "nan"): (
        "a target of 0 met a log-probability of -inf (0 x inf gives NaN)",
        "torch.where(q > 0, q * logp, 0.0)",
        2,
    ),
    ("infinite_logits", "nan"): ("a logit of +inf gave inf - inf, which is NaN", "clamp the logits", 2),
    ("infinite_logits", "nan_where_met"): (
        "a logit of +inf at the label gave inf - inf, which is NaN",
        "clamp the logits",
        3,
    ),
    ("overflowing_shift", "infinite"): ("the difference of two logits overflowed", "use a wider dtype", 3),
    ("overflowing_shift", "infinite_float32"): (
        "the difference of two logits overflowed in float32",
        "use float64",
        3,
    ),
    ("wide_labels", "narrowed"): ("the labels were cut to 32 bits", "keep the labels below 2**31", 5),
}


_OUTSIDE: Final = 2  # ranks lost where the inputs are outside what the reading takes them for


def convention_changes(problem: Problem) -> Iterator[Change]:
    """Yield every value of every field that a single number can show, as a change."""
    for name, defined in FIELDS.items():
        if name in _HIDDEN:
            continue
        for value, words in defined.values.items():
            if value != getattr(PORTABLE, name):
                clause, mend, rank = _CONVENTION_WORDS.get(
                    (name, value), (f"{defined.decides}: {words}", "", 4 if name.startswith("label") else 5)
                )
                unlikely = name == "inputs" and outside_domain(value, problem) is not None
                yield Change(name, value, "convention", clause, mend, rank + _OUTSIDE * unlikely)
