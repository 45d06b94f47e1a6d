"""What a miniature of the corpus computes, written by hand beside it, in a fixed vocabulary.

`corpus.formula` predicts a miniature from its truth alone; `test_truths` holds every miniature to that prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PARAMETERS: Final[Mapping[str, str]] = {
    # What is done to the labels
    "label": "the class that is used for label t: 't', 't - 1' or 't + 1'",
    "position": "'next row': row n is scored against the label of row n + 1, and the last row is left out",
    "ignored_label": "a label that is left out when none is named, beside those of `ignore_default`",
    # What is done to the logits, in this order
    "margin": "subtracted from the logit of the target",
    "temperature": "the logits are divided by it",
    "scale": "the logits are multiplied by it",
    "soft_cap": "c tanh(x / c)",
    "clamp": "the logits are kept within [-c, c]",
    "softmax": "'twice': softmax(x) is taken for logits",
    "extra_zero_logits": "further logits of 0 in the sum: a number, or '-K mod M' (padded to a multiple)",
    "probability": "'sigmoid': p_k = sigmoid(x_k), each class on its own",
    # From probabilities to the loss of one class, in this order
    "clip": "p is kept within [e, 1 - e]",
    "floor": "p is kept at or above e",
    "log_plus": "-log(p + e)",
    "focal_gamma": "times (1 - p)^g",
    "generalized_q": "(1 - p^q) / q takes the place of -log p",
    # What is summed over the classes
    "label_smoothing": "smoothing that is on by default; its form is the convention's",
    "others_factor": "the factor of the terms of the other classes, where that of the target is target_factor",
    "target_factor": "see others_factor",
    "first_class_factor": "the factor of all terms of class 0, where that of the other classes is other_classes_factor",
    "other_classes_factor": "see first_class_factor",
    "poly": "times 1 - p_t, added",
    "z_loss": "times the square of the logsumexp, added",
    "entropy": "times the entropy of the softmax, added",
    "added": "a constant that is added, or 'minus the entropy of the target' (smoothed, where it is)",
    # One loss from the sum, and a batch from losses
    "factor": "a constant factor of the loss",
    "factor_in_classes": "a factor that depends on K: '1/K' or '1/log K'",
    "weights": "'inside': the penalty is applied to the weighted -log p; 'not on the smoothed term': that term has "
    "none, and is divided by the number of rows",
    "ignored": "'the target's term only': an ignored row keeps its smoothed term, and is counted by the mean of that",
    "divisor": "what the mean divides by, where it is a constant",
    "divisor_plus": "added to what the mean divides by",
    "divisor_plus_per_row": "added to what the mean divides by, times the number of rows",
    "micro_batch": "the mean is that of the means over so many rows each",
    "outer": "'exp': of what is returned",
}
"""Every parameter that a truth may name, with its meaning, in the order in which they apply."""

LIMITS: Final[Mapping[str, str]] = {
    "one row without a batch axis": "logits of shape (K,) raise",
    "spatial axes": "logits with more axes than (N, K) raise",
    "no rows": "an empty batch raises",
    "label_smoothing = 1": "raises",
    "labels only": "probabilities as targets raise",
}
"""What a miniature may refuse. It raises in each of these that its truth names.

The dtypes of labels are not among them: which PyTorch's own functions take depends on its version.
"""

ARITHMETIC: Final[Mapping[str, str]] = {
    "inputs": "the dtype to which the logits are rounded first",
    "computed": "the dtype of the arithmetic, where it is not that of the logits",
    "smoothed_term": "the dtype of the sum over the classes of the smoothed term alone",
    "gradient": "the dtype to which the gradient is rounded",
    "returned": "the dtype of the result, where it is not that of the logits",
}

MECHANISMS: Final[Mapping[str, str]] = {
    "no_max_shift": "exp(x) without subtracting the largest logit: infinite or NaN beyond the exponent's range",
    "separate_logsumexp": "the logsumexp is formed and then subtracted: a common offset eats the digits",
    "log_of_softmax": "the logarithm of a stored softmax: infinite where p underflows",
    "gradient_of_another_rule": "the gradient is not that of the loss that is returned",
}


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a function computes.

    Attributes:
        sentence: in plain English.
        convention: the fields of `logitmus.core.convention` that differ from the portable convention, as far as the
            function can be seen to choose: without weights it has no choice of `smoothing_weights`. What it does with
            a logit of +inf, invalid labels and an overflowing shift is its framework's, and not written down.
        parameters: of `PARAMETERS`.
        arithmetic: of `ARITHMETIC`, for logits in float64.
        mechanisms: of `MECHANISMS`.
        limits: of `LIMITS`.
        explainable: False where the vocabulary has no words for it; then `corpus.formula.OUTSIDE` has a formula.
        source: package, version and function that the miniature re-creates, and where that is to be read.
    """

    sentence: str
    source: str
    convention: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)
    arithmetic: Mapping[str, str] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    explainable: bool = True

    def __post_init__(self) -> None:
        for given, known in (
            (self.parameters, PARAMETERS),
            (self.arithmetic, ARITHMETIC),
            (self.mechanisms, MECHANISMS),
            (self.limits, LIMITS),
        ):
            unknown = set(given) - set(known)
            if unknown:
                raise ValueError(f"{min(unknown)!r}; choose from {', '.join(known)}")


@dataclass(frozen=True)
class Miniature:
    """One function of the corpus.

    Attributes:
        name: of the function, unique in the corpus.
        function: `f(logits, target, ...)`, with those of weight, ignore_index, label_smoothing and reduction that its
            original has. A function of NumPy returns (loss, gradient of the sum of the loss by the logits).
        framework: "torch" or "numpy".
        targets: "labels" or "probabilities", what it takes.
        truth: what it computes.
    """

    name: str
    function: Callable[..., Any]
    framework: str
    targets: str
    truth: Truth

    @property
    def target(self) -> str:
        """As `logitmus check` takes it, with tests/ on the path: package.module:NAME."""
        return f"{self.function.__module__}:{self.name}"


def miniature(
    truth: Truth, *, framework: str = "torch", targets: str = "labels"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Write the truth of a function above it; `collect` finds it there."""

    def attach(function: Callable[..., Any]) -> Callable[..., Any]:
        function.miniature = Miniature(function.__name__, function, framework, targets, truth)  # type: ignore[attr-defined]
        return function

    return attach


def collect(*modules: Any) -> tuple[Miniature, ...]:
    """The miniatures of some modules, in the order of the text."""
    return tuple(
        value.miniature
        for module in modules
        for value in vars(module).values()
        if hasattr(value, "miniature") and value.__module__ == module.__name__
    )
