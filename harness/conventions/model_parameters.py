"""The parameters of a model, where `core.parameters` can express all of its parts; and whether anything can."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from logitmus.cases.function_rows import UNUSUAL_LABELS
from logitmus.core.convention import FIELDS, Convention
from logitmus.core.parameters import PARAMETERS
from logitmus.oracle.model import BatchLaw, FunctionModel
from logitmus.oracle.parameter import Parameter
from logitmus.oracle.row_model import PLAIN, TAKES_PROBABILITIES, RowModel
from logitmus.oracle.sentence import DIVERGENCE, LINEAR

_INPUTS = {"log_probabilities": "log_probabilities", **dict.fromkeys(TAKES_PROBABILITIES, "probabilities")}
_EXPRESSIBLE = ("x", "scale", *_INPUTS)
_CLIPS = ("clip", "clip_scaled")
_CLIP_FIELDS = {"0" if value == "none" else value: value for value in FIELDS["probability_clip"].values}
_NO_CLASSES = frozenset(UNUSUAL_LABELS)  # other labels whose rows do not count are classes
_BASES = {"1/ln 2": "2", "1/ln 10": "10"}  # factors that the field `log_base` says
_OTHERS = "K/(K-1)"  # the law of a smoothing that is spread over the other classes


def parameters_of(model: FunctionModel, held_to: Convention) -> dict[str, str]:
    """The choices that make a function of this model conform to `held_to`, by name, as a person would write them.

    Parameters, and fields of the convention. Empty where the model has a part that neither expresses.
    """
    row, batch = model.row, model.batch
    of_batches = batch.divisor_plus is not None or batch.unexplained or not set(batch.unusual) <= _NO_CLASSES
    of_batches |= _none_is_per_class(batch)
    other = model.gradient or of_batches or _rounds_its_inputs(model) or model.soft_targets not in ("", LINEAR)
    if other or not _expressible(row):
        return {}
    fields, numbers = _fields_of(model), _numbers_of(row)
    if numbers["clip"] in _CLIP_FIELDS and fields["inputs"] == "probabilities":
        fields["probability_clip"] = _CLIP_FIELDS[numbers.pop("clip")]
    found = {name: value for name, value in fields.items() if value != getattr(held_to, name)}
    for name, text in numbers.items():
        if not PARAMETERS[name].holds(float(text)):
            return {}
        if float(text) != getattr(held_to.parameters, name):
            if PARAMETERS[name].inputs not in ("", fields["inputs"]):  # probabilities that a softmax of logits made
                return {}
            found[name] = text
    # Alone it is found result by result; beside parameters no result shows it alone.
    in_float32 = model.precisions.logits == "float64" and model.precisions.arithmetic == "float32"
    if found and in_float32 and held_to.wide_inputs == "kept":
        found["wide_inputs"] = "narrowed"
    return found


def _fields_of(model: FunctionModel) -> dict[str, str]:
    """The fields of a convention that the model decides."""
    row, fields = model.row, {"inputs": inputs_of(model), "log_base": _BASES.get(model.row.factor.text, "e")}
    if fields["inputs"] == "probabilities":
        scaled = "before_clip" if row.inputs == "probabilities_scaled" else "none"
        fields["probability_scale"] = "after_clip" if row.penalty == "clip_scaled" else scaled
    if row.smoothing is not None:
        fields["smoothing"] = "others" if row.smoothing.law == _OTHERS else "uniform"
    if model.batch.elements:
        fields["mean_denominator"] = "elements"
    return fields


def _numbers_of(row: RowModel) -> dict[str, str]:
    """Every parameter of `core.parameters`, as text."""
    return {
        "label_smoothing": "0" if row.smoothing is None else _text(row.smoothing),
        "temperature": _reciprocal(row.theta["s"].value) if "s" in row.theta else "1",
        "z_loss": _text(row.terms["lse2"]) if row.terms else "0",
        "factor": "1" if row.factor.text in _BASES else _text(row.factor),
        "clip": _text(row.theta["e"]) if row.penalty in _CLIPS else "0",
    }


def inputs_of(model: FunctionModel) -> str:
    """What the function takes, as a value of the field `inputs`."""
    return _INPUTS.get(model.row.inputs, "logits")


def is_another_formula(model: FunctionModel) -> bool:
    """Whether a model has a part that neither a field of the convention nor a mechanism can say.

    Fields say what is taken for the logits (probabilities, say, or those rounded to float32), and what becomes of the
    rows and of unusual labels.
    """
    row, batch = model.row, model.batch
    if row.inputs in _INPUTS and not any(p.machine for p in row.theta.values()):
        row = replace(row, inputs="x")
        row = replace(row, penalty="log", theta={}) if row.penalty in _CLIPS else row
    rows = batch.shifted or batch.divisor_plus is not None or batch.reduction == "sum_over_one_less"
    rows |= _none_is_per_class(batch)
    return row != PLAIN or rows or _rounds_its_inputs(model) or model.soft_targets == DIVERGENCE


def _none_is_per_class(batch: BatchLaw) -> bool:
    """Whether the losses of rows, which the model has as the mean has them, are larger by the number of classes."""
    return batch.elements and batch.reduction == "mean"


def _rounds_its_inputs(model: FunctionModel) -> bool:
    """Whether logits are rounded to a half; to float32, a field says it."""
    return model.precisions.inputs not in (model.precisions.logits, "float32")


def _expressible(row: RowModel) -> bool:
    """Whether a row model consists of parameters alone; numbers that depend on K are none."""
    numbers = [row.factor, *row.theta.values(), *row.terms.values()]
    fixed = all(p.simple and not p.law and not p.machine for p in numbers)
    smoothed = row.smoothing is None or (row.smoothing.simple and row.smoothing.law in ("", _OTHERS))
    plain = row.label == "t" and row.core and not row.outer
    # A parameter `factor` multiplies the z-loss, too.
    together = not row.terms or row.inside or row.factor.value == 1
    known = row.inputs in _EXPRESSIBLE and row.penalty in ("log", *_CLIPS) and set(row.terms) <= {"lse2"}
    return fixed and smoothed and plain and together and known


def _text(parameter: Parameter) -> str:
    """The number as it is printed, where that is a decimal number; it may be 1/ln 2."""
    try:
        float(parameter.text)
    except ValueError:
        return repr(float(parameter.value))
    return parameter.text


def _reciprocal(scale: Any) -> str:
    short = f"{float(1 / scale):.6g}"
    return short if 1 / float(short) == float(scale) else repr(float(1 / scale))
