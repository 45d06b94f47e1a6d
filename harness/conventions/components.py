"""The parts in which a model differs from plain cross-entropy, and how many results each explains.

A part explains a result *alone* if plain cross-entropy with that part predicts it and plain cross-entropy does not;
*together* if the model predicts it and the model without the part does not. A part that explains nothing together would
not be necessary, and the model would not have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from logitmus.conventions.gradient_rule import OTHER
from logitmus.conventions.row_fit import Rows, shares
from logitmus.judging.coherence import Coherence
from logitmus.oracle import sentence
from logitmus.oracle.model import REDUCTIONS, BatchLaw, FunctionModel
from logitmus.oracle.parameter import ONE
from logitmus.oracle.row_model import INPUTS, PENALTIES, PLAIN, RowModel
from logitmus.oracle.sentence import DIVERGENCE, STANDARD_WEIGHTS, UNUSED_WEIGHTS


@dataclass(frozen=True)
class Component:
    """A part of a model.

    Attributes:
        id: "part=choice" in the vocabulary of the model: "inputs=softmax", "term=lse2", "reduction=mean". It never
            changes, and no words for readers depend on it.
        name: of the part: "label smoothing", "temperature". value: "0.1"; "" where there is no number.
        alone, together: how many results it explains without the other parts, and with them; None: not counted.
    """

    id: str
    name: str
    value: str = ""
    alone: int | None = None
    together: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


_FATES = {"left_out": "left out", "zero": "0, and counted", "nan": "NaN"}
_INPUTS = {
    "scale": "scaled logits",
    "cap": "soft cap of the logits",
    "scale_cap": "scaled and soft-capped logits",
    "zeros": "further logits of 0",
    "margin": "margin",
    "scale_margin": "scale and margin",
    "clamp": "clamped logits",
    "softmax": "softmax applied twice",
    "scale_softmax": "softmax applied twice, scaled logits",
    "without_last": "last class left out of the sum",
    "first": "first classes alone in the sum",
    "largest": "largest logits alone in the sum",
    "whole_blocks": "last block left out of the sum",
    "not_rescaled": "sum not rescaled with the running maximum",
    "rescaled_wrongly": "sum rescaled by the inverse factor",
    "log_probabilities": "inputs are log-probabilities",
    "probabilities": "inputs are probabilities",
    "probabilities_scaled": "inputs are probabilities, divided by their sum",
    "sigmoid": "sigmoid for each class (binary cross-entropy)",
    "scale_sigmoid": "sigmoid for each class, scaled logits",
}
_PENALTIES = {
    "log_plus": "log(p + e)",
    "clip": "probabilities clipped",
    "floor": "probabilities raised to a floor",
    "clip_scaled": "probabilities clipped and divided by their sum",
    "focal": "focal weight (gamma)",
    "focal_log_plus": "focal weight (gamma) of log(p + e)",
    "focal_clip": "focal weight (gamma), probabilities clipped",
    "generalized": "generalized cross-entropy (q)",
}
_TERMS = {
    "lse2": "z-loss (squared logsumexp)",
    "lse": "logsumexp added",
    "entropy": "entropy of the probabilities added",
    "one_minus_p": "1 - p of the label's class",
    "brier": "Brier score",
    "one": "constant added",
    "others": "terms of the other classes",
    "x_t": "label's logit",
    "x_mean": "mean logit",
    "target": "-log p of the label's class",
    "mean": "mean of -log p over the classes",
}


def components(
    model: FunctionModel, plain: Sequence[Rows], mechanism: Coherence | None = None
) -> tuple[Component, ...]:
    """The parts of a model, with counts on the plain rows, and on the hard ones for a mechanism."""
    level = model.precisions.level(separate=True)

    def within(row: RowModel) -> list[Any]:
        return [shares(row, rows, level) <= 1 for rows in plain]

    whole, bare = within(model.row), within(PLAIN)
    out = []
    for part, name, value, alone, without in _parts(model.row):
        by_itself = _gained(within(alone), bare) if alone is not None else None
        out.append(Component(part, name, value, by_itself, _gained(whole, within(without))))
    precisions = model.precisions
    if precisions.inputs != precisions.logits:
        out.append(Component(f"rounded_inputs={precisions.inputs}", "inputs rounded", precisions.inputs))
    elif precisions.arithmetic != precisions.logits:
        out.append(Component(f"arithmetic={precisions.arithmetic}", "arithmetic", precisions.arithmetic))
    for name in model.mechanisms:
        count = int(mechanism.explained.sum()) if mechanism is not None else None
        out.append(Component(f"mechanism={name}", f"mechanism: {name}", "", count, count))
    if model.gradient:
        kind = "unknown" if model.gradient == OTHER else "other"
        out.append(Component(f"gradient={kind}", "gradient", model.gradient))
    if model.soft_targets == DIVERGENCE:
        out.append(Component("term=target_entropy", "entropy of the targets subtracted"))
    return (*out, *_of_batches(model.batch))


def _of_batches(batch: BatchLaw) -> Iterator[Component]:
    """What is made of several rows."""
    if batch.reduction not in ("", "none"):
        yield Component(f"reduction={batch.reduction}", "reduction", REDUCTIONS[batch.reduction][1])
    if batch.divisor_plus is not None:
        value = sentence.number(batch.divisor_plus)
        yield Component(f"divisor_plus={value}", "added to the divisor of the mean", value)
    if batch.elements:
        yield Component("divisor=elements", "divisor of a mean", "the number of rows times the number of classes")
    if batch.shifted:
        yield Component("labels=next_row", "labels shifted by a row")
    for label, fate in batch.unusual.items():
        if fate in _FATES:
            yield Component(f"label_{label}={fate}", f"label {label}", _FATES[fate])
    if batch.weights not in ("", STANDARD_WEIGHTS):
        kind = "unused" if batch.weights == UNUSED_WEIGHTS else "other"
        yield Component(f"weights={kind}", "class weights", batch.weights)


def _gained(more: list[Any], less: list[Any]) -> int:
    return sum(int((a & ~b).sum()) for a, b in zip(more, less, strict=True))


def _parts(row: RowModel) -> Iterator[tuple[str, str, str, RowModel | None, RowModel]]:
    """Id, name, value, plain with the part alone (None: it does not stand alone), and the model without it."""
    if row.label != "t":
        yield f"label={row.label}", f"label {row.label}", "", replace(PLAIN, label=row.label), replace(row, label="t")
    own = {name: row.theta[name] for name in INPUTS[row.inputs]}
    if row.inputs != "x":
        rest = {name: p for name, p in row.theta.items() if name not in own}
        value = ", ".join(f"{name} = {sentence.number(p)}" for name, p in own.items())
        alone = replace(PLAIN, inputs=row.inputs, theta=own)
        kept = {name: p for name, p in row.terms.items() if name not in ("others", "x_t", "x_mean")}
        without = replace(row, inputs="x", theta=rest, terms=kept, core=row.core or not kept)
        yield f"inputs={row.inputs}", _INPUTS[row.inputs], value, alone, without
    if row.penalty != "log":
        of_penalty = {name: row.theta[name] for name in PENALTIES[row.penalty]}
        value = ", ".join(f"{name} = {sentence.number(p)}" for name, p in of_penalty.items())
        alone = replace(PLAIN, penalty=row.penalty, theta=of_penalty)
        without = replace(row, penalty="log", theta=own)
        yield f"penalty={row.penalty}", _PENALTIES[row.penalty], value, alone, without
    if row.smoothing is not None:
        of_others = row.smoothing.law == "K/(K-1)"
        name = f"label smoothing{', over the other classes' if of_others else ''}"
        part = f"smoothing={'others' if of_others else 'uniform'}"
        value = sentence.number(row.smoothing)
        yield part, name, value, replace(PLAIN, smoothing=row.smoothing), replace(row, smoothing=None)
    if row.core and (row.factor.value != 1 or row.factor.law):
        value = sentence.number(row.factor)
        yield f"factor={value}", "factor", value, replace(PLAIN, factor=row.factor), replace(row, factor=ONE)
    for label, factor in row.class_factors.items():
        others = {other: p for other, p in row.class_factors.items() if other != label}
        value, without = sentence.number(factor), replace(row, class_factors=others)
        alone = replace(PLAIN, class_factors={label: factor})
        yield f"class_{label}_factor={value}", f"factor of class {label}", value, alone, without
    for name, parameter in row.terms.items():
        rest = {other: p for other, p in row.terms.items() if other != name}
        value = sentence.number(parameter) if not parameter.law.startswith("entropy") else "minus the target's entropy"
        itself: RowModel | None = None
        if not row.core:
            itself = replace(row, terms={name: parameter}, smoothing=None)
        elif row.inputs not in ("sigmoid", "scale_sigmoid") and not parameter.law.startswith("entropy"):
            itself = replace(PLAIN, terms={name: parameter})
        yield f"term={name}", _TERMS[name], value, itself, replace(row, terms=rest, core=row.core or not rest)
    if row.outer:
        outer = "exponential of the loss (perplexity)" if row.outer == "exp" else "square of the loss"
        yield f"outer={row.outer}", outer, "", replace(PLAIN, outer=row.outer), replace(row, outer="")
