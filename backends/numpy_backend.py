"""The textbook formula in NumPy: the simplest possible backend, and the pattern for a new one."""

from __future__ import annotations

import numpy as np

from logitmus.backend import ALL_LAYOUTS, Backend, Function, Inputs, Offer, Outputs, same_precision
from logitmus.convention import Convention
from logitmus.problem import Array

_DOCS = {"": "https://numpy.org/doc/stable/reference/routines.math.html"}


def _softmax(x: Array) -> tuple[Array, Array]:
    """The log-probabilities and the probabilities, in the dtype of x."""
    d = x - x.max(axis=-1, keepdims=True)
    e = np.exp(d)
    total = e.sum(axis=-1, keepdims=True)
    return d - np.log(total), e / total


def _labels(inputs: Inputs) -> Outputs:
    log_p, p = _softmax(inputs.logits)
    at = inputs.targets[..., None].astype(np.int64)
    if at.size and (at.min() < 0 or at.max() >= log_p.shape[-1]):
        raise IndexError(f"label outside [0, {log_p.shape[-1]})")
    q = np.zeros_like(p)
    np.put_along_axis(q, at, 1, axis=-1)
    return Outputs(loss=-np.take_along_axis(log_p, at, -1)[..., 0], grad_logits=_pulled_back(p - q, inputs))


def _probabilities(inputs: Inputs) -> Outputs:
    log_p, p = _softmax(inputs.logits)
    q = inputs.targets
    return Outputs(
        loss=-(q * log_p).sum(axis=-1),
        grad_logits=_pulled_back(q.sum(axis=-1, keepdims=True) * p - q, inputs),
        grad_targets=_pulled_back(-log_p, inputs),
    )


def _pulled_back(gradient: Array, inputs: Inputs) -> Array:
    return gradient if inputs.cotangent is None else gradient * inputs.cotangent[..., None]


def _evaluate(function: Function, mode: str, device: str, inputs: Inputs) -> Outputs:
    del mode, device
    outputs = function.call(inputs)
    assert isinstance(outputs, Outputs)  # noqa: S101
    return outputs


BACKEND = Backend(
    name="numpy",
    distributions=("numpy",),
    evaluate=_evaluate,
    functions=(
        Function(
            name="textbook",
            call=_labels,
            offer=Offer(targets="labels", layouts=ALL_LAYOUTS, gradients=frozenset({"logits"})),
            convention=Convention(infinite_logits="nan"),
            precision=same_precision(half_storage="result", half_arithmetic="result"),
            docs=_DOCS,
        ),
        Function(
            name="textbook.probabilities",
            call=_probabilities,
            offer=Offer(targets="probabilities", layouts=ALL_LAYOUTS),
            convention=Convention(infinite_logits="nan", zero_times_infinity="nan"),
            precision=same_precision(half_storage="result", half_arithmetic="result"),
            docs=_DOCS,
        ),
    ),
)
