"""A model as text, for the subject that it describes: a run's file holds it, and is judged again by it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from logitmus.core.errors import LogitmusError
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.oracle.arithmetic import EXACT
from logitmus.oracle.model import REDUCTIONS, UNUSUAL, FunctionModel
from logitmus.oracle.parameter import ENTROPY, LAWS, MACHINE_NUMBERS, Parameter
from logitmus.oracle.row_model import INPUTS, LABELS, MECHANISMS, OUTERS, PENALTIES, SIGMOID_TERMS, TERMS
from logitmus.oracle.sentence import SOFT_TARGETS


class ModelRecordError(LogitmusError, ValueError):
    """A text that is no model; the message says what is wrong with it."""


def to_text(model: FunctionModel) -> str:
    """The model as JSON; long doubles as decimal texts that give back every bit."""
    return msgspec.json.encode(model, enc_hook=_plain).decode()


@lru_cache(maxsize=8)
def from_text(text: str) -> FunctionModel:
    """The model that `to_text` was given.

    Raises:
        ModelRecordError: for a text that is no model, or a part that no model has.
    """
    try:
        model = msgspec.json.decode(text, type=FunctionModel, dec_hook=_number)
    except msgspec.DecodeError as error:  # a ValidationError, too
        raise ModelRecordError(f"the model of a function does not decode ({error})") from error
    for name, value, allowed in _vocabulary(model):
        if value not in allowed:
            raise ModelRecordError(f"the model of a function has {name}={value!r}, which no model has")
    missing = set(INPUTS[model.row.inputs] + PENALTIES[model.row.penalty]) - set(model.row.theta)
    if missing:
        raise ModelRecordError(f"the model of a function lacks the parameter {min(missing)}")
    return model


def _plain(value: Any) -> Any:
    if isinstance(value, EXACT):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no part of a model")


def _number(kind: type[Any], text: Any) -> Any:
    return kind(text)  # msgspec reports a ValueError as a ValidationError


def _vocabulary(model: FunctionModel) -> Iterator[tuple[str, str, Collection[str]]]:
    """Each name in the model, its part, and the names that this part can have."""
    row, batch, own = model.row, model.batch, model.precisions
    yield "label", row.label, LABELS
    yield "inputs", row.inputs, INPUTS
    yield "penalty", row.penalty, PENALTIES
    yield "outer", row.outer, OUTERS
    yield "reduction", batch.reduction, ("", *REDUCTIONS)
    yield "soft_targets", model.soft_targets, SOFT_TARGETS
    parts: tuple[tuple[str, Collection[str], Collection[str]], ...] = (
        ("theta", row.theta, INPUTS.get(row.inputs, ()) + PENALTIES.get(row.penalty, ())),
        ("terms", row.terms, (*TERMS, *SIGMOID_TERMS)),
        ("unusual", batch.unusual.values(), UNUSUAL),
        ("mechanisms", model.mechanisms, MECHANISMS),
        ("precisions", (own.logits, own.inputs, own.arithmetic, own.stored, own.result), FLOAT_DTYPES),
    )
    for name, values, allowed in parts:
        for value in values:
            yield name, value, allowed
    numbers: list[Parameter | None] = [row.factor, row.smoothing, batch.divisor_plus]
    for parameter in (*numbers, *row.theta.values(), *row.terms.values(), *row.class_factors.values()):
        if parameter is not None:
            yield "law", parameter.law, (*LAWS, ENTROPY)
            yield "machine", parameter.machine, ("", *MACHINE_NUMBERS)
