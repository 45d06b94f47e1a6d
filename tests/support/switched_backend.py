"""Backends with switches, for real workers: correct without them, and with them as their names say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from mini_backend import loss

from logitmus.core.backend import Backend, Function, Inputs, Outputs, Switch
from logitmus.core.convention import Convention
from logitmus.core.subject import Offer, Precision

SET: set[str] = set()  # the switches that are set in this process


def evaluate(_function: Function, _mode: str, _device: str, inputs: Inputs) -> Outputs:
    logits = inputs.logits.astype(np.float64)
    dtype = inputs.logits.dtype
    outside = (inputs.targets < 0) | (inputs.targets >= logits.shape[-1])
    if outside.any() and "lenient" not in SET:
        raise ValueError("a label is no class")
    value, gradient = loss(logits, np.where(outside, 0, inputs.targets))
    if "faulty" in SET:
        value = value * 1.01
    if {"wide", "wide-undeclared", "wide-and-faulty"} & SET:
        dtype = np.dtype(np.float64)
    if "wide-and-faulty" in SET:
        value = value * 1.01
    if "raises" in SET:
        raise RuntimeError("there is no such implementation")
    upstream = np.ones(value.shape) if inputs.cotangent is None else inputs.cotangent.astype(np.float64)
    gradient = gradient * upstream[..., None]
    result = value.astype(dtype)
    if "last-bit" in SET:
        result = np.nextafter(result, dtype.type(9))
    return Outputs(loss=result, grad_logits=gradient.astype(inputs.logits.dtype))


def wrong_by_itself(*call: object) -> Outputs:
    """Wrong with and without its switch."""
    found = evaluate(*call)  # type: ignore[arg-type]
    return replace(found, loss=found.loss * np.float32(1.01))


@contextmanager
def switched(name: str) -> Iterator[None]:
    SET.add(name)
    try:
        yield
    finally:
        SET.discard(name)


_WIDE = Switch(precision={"float32": Precision("float64", "float32", "float32")})
_SWITCHES = {
    "harmless": Switch(),
    "last-bit": Switch(),
    "faulty": Switch(),
    "raises": Switch(),
    "lenient": Switch(),
    "wide": _WIDE,
    "wide-undeclared": Switch(),
    "wide-and-faulty": _WIDE,
}
OFFER = Offer(targets="labels", dtypes=("float32",), single_row=False, spatial=False, gradients=frozenset({"logits"}))
FUNCTION = Function(
    name="loss", call=loss, offer=OFFER, convention=Convention(infinite_logits="nan"), switches=_SWITCHES
)
BACKEND = Backend(
    name="switched", distributions=("numpy",), functions=(FUNCTION,), evaluate=evaluate, switched=switched
)
WRONG = replace(BACKEND, evaluate=wrong_by_itself)
BY_START = replace(BACKEND, switched=None, start=SET.add)
