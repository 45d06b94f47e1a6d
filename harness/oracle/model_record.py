"""A model as text, for the subject that it describes: a run's file holds it, and is judged again by it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from logitmus.core.errors import LogitmusError
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import REDUCTIONS, UNUSUAL, BatchLaw, FunctionModel, Precisions
from logitmus.oracle.row_model import (
    ENTROPY,
    INPUTS,
    LABELS,
    LAWS,
    MECHANISMS,
    OUTERS,
    PENALTIES,
    SIGMOID_TERMS,
    TERMS,
    Parameter,
    RowModel,
)
from logitmus.oracle.sentence import SOFT_TARGETS


class ModelRecordError(LogitmusError, ValueError):
    """A text that is no model; the message says what is wrong with it."""


class _Number(msgspec.Struct, forbid_unknown_fields=True):
    """A `Parameter`; the value in decimal, which a long double needs."""

    value: str
    law: str
    text: str
    simple: bool


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """What a prediction needs of a `FunctionModel`."""

    label: str
    inputs: str
    penalty: str
    theta: dict[str, _Number]
    factor: _Number
    smoothing: _Number | None
    core: bool
    terms: dict[str, _Number]
    inside: bool
    outer: str
    class_factors: dict[int, _Number]
    precisions: tuple[str, str, str, str, str]
    reduction: str
    shifted: bool
    unusual: dict[int, str]
    divisor_plus: _Number | None
    weights: str
    soft_targets: str
    mechanisms: tuple[str, ...]
    gradient: str


def to_text(model: FunctionModel) -> str:
    """The model as JSON: what it predicts of losses and gradients, without its limits."""
    row, batch, own = model.row, model.batch, model.precisions
    record = _Record(
        label=row.label,
        inputs=row.inputs,
        penalty=row.penalty,
        theta=_numbers(row.theta),
        factor=_number(row.factor),
        smoothing=None if row.smoothing is None else _number(row.smoothing),
        core=row.core,
        terms=_numbers(row.terms),
        inside=row.inside,
        outer=row.outer,
        class_factors={label: _number(parameter) for label, parameter in row.class_factors.items()},
        precisions=(own.logits, own.inputs, own.arithmetic, own.stored, own.result),
        reduction=batch.reduction,
        shifted=batch.shifted,
        unusual=dict(batch.unusual),
        divisor_plus=None if batch.divisor_plus is None else _number(batch.divisor_plus),
        weights=batch.weights,
        soft_targets=model.soft_targets,
        mechanisms=model.mechanisms,
        gradient=model.gradient,
    )
    return msgspec.json.encode(record).decode()


@lru_cache(maxsize=8)
def from_text(text: str) -> FunctionModel:
    """The model that `to_text` was given.

    Raises:
        ModelRecordError: for a text that is no model, or a part that no model has.
    """
    try:
        record = msgspec.json.decode(text, type=_Record)
    except msgspec.DecodeError as error:
        raise ModelRecordError(f"the model of a function does not decode ({error})") from error
    for name, allowed in _VOCABULARY.items():
        _check(name, getattr(record, name), allowed)
    for key in record.terms:
        _check("terms", key, (*TERMS, *SIGMOID_TERMS))
    for key in record.theta:
        _check("theta", key, INPUTS[record.inputs] + PENALTIES[record.penalty])
    for dtype in record.precisions:
        _check("precisions", dtype, FLOAT_DTYPES)
    for fate in record.unusual.values():
        _check("unusual", fate, UNUSUAL)
    for mechanism in record.mechanisms:
        _check("mechanisms", mechanism, MECHANISMS)
    row = RowModel(
        label=record.label,
        inputs=record.inputs,
        penalty=record.penalty,
        theta=_parameters(record.theta),
        factor=_parameter(record.factor),
        smoothing=None if record.smoothing is None else _parameter(record.smoothing),
        core=record.core,
        terms=_parameters(record.terms),
        inside=record.inside,
        outer=record.outer,
        class_factors={label: _parameter(number) for label, number in record.class_factors.items()},
    )
    batch = BatchLaw(
        record.reduction,
        record.shifted,
        unusual=record.unusual,
        divisor_plus=None if record.divisor_plus is None else _parameter(record.divisor_plus),
        weights=record.weights,
    )
    return FunctionModel(
        row=row,
        precisions=Precisions(*record.precisions),
        batch=batch,
        mechanisms=record.mechanisms,
        gradient=record.gradient,
        soft_targets=record.soft_targets,
    )


_VOCABULARY: Final = {
    "label": LABELS,
    "inputs": INPUTS,
    "penalty": PENALTIES,
    "outer": OUTERS,
    "reduction": ("", *REDUCTIONS),
    "soft_targets": SOFT_TARGETS,
}


def _check(name: str, value: str, allowed: object) -> None:
    if value not in allowed:  # type: ignore[operator]
        raise ModelRecordError(f"the model of a function has {name}={value!r}, which no model has")


def _number(parameter: Parameter) -> _Number:
    return _Number(str(EXACT(parameter.value)), parameter.law, parameter.text, parameter.simple)


def _numbers(parameters: Mapping[str, Parameter]) -> dict[str, _Number]:
    return {name: _number(parameter) for name, parameter in parameters.items()}


def _parameter(number: _Number) -> Parameter:
    _check("law", number.law, (*LAWS, ENTROPY))
    try:
        value = EXACT(number.value)
    except ValueError as error:
        raise ModelRecordError(f"the model of a function has the number {number.value!r}") from error
    return Parameter(value, number.law, number.text, number.simple)


def _parameters(numbers: Mapping[str, _Number]) -> dict[str, Parameter]:
    return {name: _parameter(number) for name, number in numbers.items()}
