"""A model in words: what a function computes, in a phrase of plain English.

The parts are in the order in which a reader needs them: the reduction, the loss and what is done to the logits, the
further terms, the labels, the arithmetic, the mechanisms, the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.parameter import ENTROPY, ONE, Parameter
from logitmus.oracle.partial_sums import PARTIAL_SUMS
from logitmus.oracle.row_model import OF_SIGMOID, TAKES_PROBABILITIES, RowModel

if TYPE_CHECKING:
    from logitmus.oracle.model import BatchLaw, FunctionModel, Precisions

STANDARD_WEIGHTS: Final = "class weights as in a weighted mean"  # what PyTorch does with them needs no words
UNUSED_WEIGHTS: Final = "class weights are not used"
LINEAR: Final = "linear"
DIVERGENCE: Final = "divergence"
UNEXPLAINED_TARGETS: Final = "unexplained"
SOFT_TARGETS: Final = {
    "": "",  # not known, or only labels are taken
    LINEAR: "",  # as a cross-entropy must be
    DIVERGENCE: "the entropy of the targets is subtracted (Kullback-Leibler divergence)",
    UNEXPLAINED_TARGETS: "what it makes of targets that are not one-hot is not explained",
}
_REDUCED: Final = {
    "none": "for each row ",
    "": "",
    "sum": "the sum over the rows of ",
    "mean": "the mean over the rows of ",
    "sum_over_one_less": "the sum over the rows, divided by N - 1, of ",
}
_TERM_WORDS: Final = {
    "target": "-log p of the label's class",
    "mean": "the mean of -log p over the classes",
    "lse": "the logsumexp of the logits",
    "lse2": "the squared logsumexp of the logits (z-loss)",
    "entropy": "the entropy of the probabilities",
    "one_minus_p": "1 - p of the label's class",
    "brier": "the Brier score",
    "others": "the sum of -log(1 - p) over the other classes",
    "x_t": "the label's logit",
    "x_mean": "the mean of the logits",
}
_LABEL_WORDS: Final = {
    "t + 1": "the label is taken for the class after it",
    "t - 1": "the label is taken for the class before it",
    "K - 1 - t": "the classes are counted from the last",
}
_MECHANISM_WORDS: Final = {
    "no_max_shift": "the maximum is not subtracted before the exponential",
    "logsumexp_formed_and_then_subtracted": "the logsumexp is formed before the logit is subtracted",
    "log_of_softmax": "the logarithm is taken of the rounded softmax",
    "log_of_unshifted_softmax": "the softmax is formed without subtracting the maximum, and the logarithm is "
    "taken of the rounded result",
}
_TRUNCATED: Final = {"1/K": "divided by the number of classes K", "1/log K": "divided by log K"}


_MACHINE_WORDS: Final = {
    "eps": "the machine epsilon of the dtype",
    "tiny": "the smallest normal number of the dtype",
}


def number(parameter: Parameter) -> str:
    """The value with its law: 0.1, 2/K, 0.5 log K."""
    text, law = parameter.text or str(parameter.value), parameter.law
    if not law or law == "K/(K-1)":
        return text
    if law.startswith("1/"):
        return f"{text}/{law[2:]}"
    return law if text == "1" else f"{text} {law}"


def phrase(model: FunctionModel) -> str:
    """The whole model."""
    batch = model.batch
    reduced = _REDUCED[batch.reduction]
    if batch.shifted:
        reduced = reduced.replace("the rows", "the rows but the last")
    row = model.row
    if batch.divisor_plus is not None:  # the divisor of a single row is in its factor
        reduced = f"the sum over the rows, divided by their number plus {number(batch.divisor_plus)}, of "
        row = replace(row, factor=ONE)
    parts = [reduced + row_phrase(row)]
    parts += _labels(model.row, batch)
    if batch.elements:
        own = batch.reduction == "mean"
        parts += [
            "none and sum are not divided by the number of classes"
            if own
            else "a mean is divided by the number of classes, too"
        ]
    parts += filter(None, [SOFT_TARGETS[model.soft_targets]])
    parts += _precisions(model.precisions)
    parts += [f"{p.machine} is {_MACHINE_WORDS[p.machine]}" for p in model.row.theta.values() if p.machine]
    parts += [_MECHANISM_WORDS[name] for name in model.mechanisms]
    parts += [model.gradient] if model.gradient else []
    return "; ".join(parts)


def row_phrase(row: RowModel) -> str:
    """The loss of a row."""
    body = _loss(row)
    if row.outer == "exp":
        return f"e to the power of {body} (perplexity)"
    if row.outer == "square":
        return f"the square of {body}"
    return body


def _loss(row: RowModel) -> str:
    terms = dict(row.terms)
    constant = terms.pop("one", None)
    main = _core(row, terms) if row.core else ""
    if row.core and constant is not None and constant.law == ENTROPY:
        main = main.replace(
            "cross-entropy", "Kullback-Leibler divergence (cross-entropy minus the target's entropy)", 1
        )
        constant = None
    pieces = [main] if main else []
    for name, parameter in terms.items():
        pieces.append(_times(parameter, _TERM_WORDS[name], first=not pieces))
    if constant is not None:
        pieces.append(_constant(constant, first=not pieces))
    body = " ".join(pieces)
    if not row.core:
        body += _of_what(row)
    if row.core and row.inside and (row.terms) and row.factor.value != 1:
        return f"{_scaled_words(row.factor)} the whole of ({body})"
    return body


def _core(row: RowModel, terms: dict[str, Parameter]) -> str:
    name = "cross-entropy"
    details: list[str] = []
    if row.inputs in OF_SIGMOID:
        name = "binary cross-entropy"
        others = terms.get("others")
        if others is not None and others.value == row.factor.value and others.law == row.factor.law:
            terms.pop("others")
            details += _smoothed_targets(row, terms)
            over = "mean" if row.factor.law == "1/K" and row.factor.value == 1 else "sum"
            name = f"binary cross-entropy, the {over} over the classes,"
            if over == "mean":
                return _with_details(f"the {name}".rstrip(","), row, details)
        elif others is None:
            name = "binary cross-entropy of the label's class alone"
    if "g" in row.theta:
        name = f"focal {name} with gamma = {number(row.theta['g'])}"
    elif row.penalty == "generalized":
        name = f"generalized cross-entropy (1 - p^q)/q with q = {number(row.theta['q'])}"
    factor = "" if row.inside and row.terms else _factor(row.factor)
    return _with_details(f"{factor}the {name}", row, details)


def _smoothed_targets(row: RowModel, terms: dict[str, Parameter]) -> Iterator[str]:
    """The smoothing of the targets of a binary cross-entropy, sum_k log(1 + exp(x_k)) - q_k x_k, taken from its terms.

    With q = (1 - eps) e_t + eps / K it is eps times the label's logit more, and eps times the mean of the logits less.
    """
    of_label, of_mean, factor = terms.get("x_t"), terms.get("x_mean"), row.factor
    if of_label is None or of_mean is None or factor.value != 1 or of_label.value != -of_mean.value:
        return
    if of_label.law == of_mean.law == factor.law:
        del terms["x_t"], terms["x_mean"]
        yield f"with label smoothing {of_label.text} over all classes"


def _with_details(head: str, row: RowModel, details: list[str]) -> str:
    if row.smoothing is not None:
        over = "the other classes" if row.smoothing.law == "K/(K-1)" else "all classes"
        details.append(f"with label smoothing {number(row.smoothing)} over {over}")
    head = head.rstrip(",") + _of_what(row)
    return head + ("" if not details else ", " + ", ".join(details))


def _of_what(row: RowModel) -> str:
    """The inputs and the penalty."""
    theta = row.theta
    if row.inputs == "log_probabilities":
        of = " of log-probabilities given as they are (no softmax)"
    elif row.inputs in TAKES_PROBABILITIES:
        scaled = ", divided by their sum" if row.inputs == "probabilities_scaled" else ""
        of = f" of probabilities given as they are{scaled} (no softmax)"
    else:
        of = {
            "x": "",
            "sigmoid": "",
            "softmax": " of logits to which softmax is applied twice",
            "without_last": " whose normalising sum leaves out the last class",
        }.get(row.inputs, "")
    if row.inputs in PARTIAL_SUMS:
        of = f" whose normalising sum {PARTIAL_SUMS[row.inputs].format(k=number(theta['k']))}"
    if "s" in theta:
        of += f" of logits {_scaled(theta['s'])}"
        if row.inputs == "scale_softmax":
            of += ", to which softmax is applied twice"
    if "c" in theta:
        cap = number(theta["c"])
        of += f" of logits kept within [-{cap}, {cap}]" if row.inputs == "clamp" else ""
        of += f"{' of logits' if row.inputs == 'cap' else ''} soft-capped at {cap} (c tanh(x/c))" * (
            row.inputs != "clamp"
        )
    if "m" in theta:
        of += f"{',' if 's' in theta else ''} after {number(theta['m'])} is subtracted from the label's logit (margin)"
    if "n" in theta:
        of += f" with n = {number(theta['n'])} further logits of 0 in the sum"
    if "e" in theta:
        e = number(theta["e"])
        of += {
            "log_plus": f" as -log(p + {e})",
            "focal_log_plus": f" as -log(p + {e})",
            "clip": f" with p clipped to [{e}, 1 - {e}]",
            "focal_clip": f" with p clipped to [{e}, 1 - {e}]",
            "floor": f" with p raised to at least {e}",
            "clip_scaled": f" with p clipped to [{e}, 1 - {e}] and divided by its sum",
        }[row.penalty]
    return of


def _scaled(s: Parameter) -> str:
    """What multiplies the logits, as a temperature where that is the simpler number."""
    inverse = 1 / EXACT(s.value)
    rounded = f"{float(inverse):.6g}"
    if not s.law and s.simple and abs(EXACT(rounded) * s.value - 1) < 2.0**-60 and s.value < 1:
        return f"divided by {rounded} (temperature {rounded})"
    if not s.law and s.simple and s.text.startswith("100/"):
        temperature = f"{float(inverse):.6g}"
        return f"divided by {temperature} (temperature {temperature})"
    return f"times {number(s)}"


def _factor(factor: Parameter) -> str:
    return "" if factor.value == 1 and not factor.law else f"{_scaled_words(factor)} "


def _scaled_words(factor: Parameter) -> str:
    if factor.text == "-1" and not factor.law:
        return "minus"
    if factor.text == "1/ln 2" and not factor.law:
        return "(in bits) 1/ln 2 times"
    return f"{number(factor)} times"


def _times(parameter: Parameter, words: str, *, first: bool) -> str:
    text = number(parameter)
    minus = text.removeprefix("about ").startswith("-")
    magnitude = text.replace("-", "", 1) if minus else text
    amount = "" if magnitude == "1" else f"{magnitude} times "
    if first:
        return f"{'minus ' if minus else ''}{amount}{words}"
    return f"{'minus' if minus else 'plus'} {amount}{words}"


def _constant(parameter: Parameter, *, first: bool) -> str:
    text = number(parameter)
    minus = text.removeprefix("about ").startswith("-")
    magnitude = text.replace("-", "", 1) if minus else text
    if first:
        return f"{'-' if minus else ''}{magnitude}"
    return f"{'minus' if minus else 'plus'} {magnitude}"


def _labels(row: RowModel, batch: BatchLaw) -> Iterator[str]:
    if row.label != "t":
        yield _LABEL_WORDS[row.label]
    for label, factor in row.class_factors.items():
        yield f"a row labelled {label} counts {number(factor)} times"
    if batch.shifted:
        yield "each row is given the label of the next row"
    words = {
        "left_out": "is left out, of the divisor, too",
        "zero": "counts as a loss of 0",
        "nan": "is NaN",
    }
    for label, fate in batch.unusual.items():
        if fate in words and (label == -100 or label >= 0):
            yield f"a row labelled {label} {words[fate]}"
    if batch.weights and batch.weights != STANDARD_WEIGHTS:
        yield batch.weights
    if batch.unexplained:
        yield "what it makes of several rows is not explained"


def _precisions(precisions: Precisions) -> Iterator[str]:
    logits, inputs, arithmetic = precisions.logits, precisions.inputs, precisions.arithmetic
    if inputs != logits and arithmetic == inputs:
        yield f"inputs and arithmetic are {inputs}"
        return
    if inputs != logits:
        yield f"inputs are rounded to {inputs}"
    if logits == "float64" and arithmetic != logits:
        yield f"arithmetic is {arithmetic}"
    elif logits == "float64" and precisions.result != logits:
        yield f"the result is rounded to {precisions.result}"
