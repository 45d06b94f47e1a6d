"""A small, right implementation for real workers: float64 inside, rounded once."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np

from logitmus.core.backend import Backend, Function, Inputs, Outputs
from logitmus.core.convention import Convention
from logitmus.core.subject import Offer


def loss(logits, targets):
    shifted = logits.astype(np.float64) - logits.astype(np.float64).max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    hot = np.arange(logits.shape[-1]) == targets[..., None]
    value = np.log(total[..., 0]) - shifted[hot].reshape(targets.shape)
    return value, exponentials / total - hot


def evaluate(_function: Function, _mode: str, _device: str, inputs: Inputs) -> Outputs:
    value, gradient = loss(inputs.logits, inputs.targets)
    upstream = np.ones(value.shape) if inputs.cotangent is None else inputs.cotangent.astype(np.float64)
    dtype = inputs.logits.dtype
    return Outputs(loss=value.astype(dtype), grad_logits=(gradient * upstream[..., None]).astype(dtype))


def evaluate_slowly(*call) -> Outputs:
    """Leaves a test the time to interrupt or kill a run."""
    time.sleep(0.006)
    return evaluate(*call)


def evaluate_by_chance(*call) -> Outputs:
    """Every third result is two ulps larger."""
    outputs = evaluate(*call)
    return replace(outputs, loss=outputs.loss * np.float32(1 + 2.0**-22 * (next(_CALLS) % 3 == 0)))


def evaluate_wrongly(*call) -> Outputs:
    """Losses that are a hundredth too large."""
    outputs = evaluate(*call)
    return replace(outputs, loss=outputs.loss * np.float32(1.01))


def absent(_variant: str) -> None:
    raise ImportError("no module named mini")


_CALLS = itertools.count()
OFFER = Offer(targets="labels", dtypes=("float32",), single_row=False, spatial=False, gradients=frozenset({"logits"}))
FUNCTION = Function(name="cross_entropy", call=loss, offer=OFFER, convention=Convention())
BACKEND = Backend(name="mini", distributions=("numpy",), functions=(FUNCTION,), evaluate=evaluate)
ABSENT = Backend(name="absent", distributions=("none",), functions=(FUNCTION,), evaluate=evaluate, start=absent)
FLAKY = Backend(name="mini", distributions=("numpy",), functions=(FUNCTION,), evaluate=evaluate_by_chance)
WRONG = Backend(name="mini", distributions=("numpy",), functions=(FUNCTION,), evaluate=evaluate_wrongly)
SLOW = Backend(name="mini", distributions=("numpy",), functions=(FUNCTION,), evaluate=evaluate_slowly)
