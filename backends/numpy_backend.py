"""The textbook formula in NumPy, the pattern for a new backend; and Keras' losses on NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from logitmus.backends import keras_losses
from logitmus.core.backend import ALL_LAYOUTS, REPEATED, Backend, Call, Function, Inputs, Outputs
from logitmus.core.convention import Convention
from logitmus.core.floats import Array
from logitmus.core.problem import TargetKind
from logitmus.core.subject import Offer, same_precision


def _softmax(x: Array) -> tuple[Array, Array]:
    """log p and p, in the dtype of x."""
    d = x - x.max(axis=-1, keepdims=True)
    e = np.exp(d)
    total = e.sum(axis=-1, keepdims=True)
    return d - np.log(total), e / total


def _labels(inputs: Inputs) -> Outputs:
    log_p, p = _softmax(inputs.logits)
    classes = p.shape[-1]
    at = inputs.targets[..., None].astype(np.int64)
    if at.size and not 0 <= at.min() <= at.max() < classes:
        raise IndexError(f"labels from {at.min()} to {at.max()}; there are classes in [0, {classes})")
    one_hot = np.zeros_like(p)
    np.put_along_axis(one_hot, at, 1, axis=-1)
    loss = -np.take_along_axis(log_p, at, axis=-1)[..., 0]
    return Outputs(loss=loss, grad_logits=_pulled_back(p - one_hot, inputs))


def _probabilities(inputs: Inputs) -> Outputs:
    log_p, p = _softmax(inputs.logits)
    q = inputs.targets
    return Outputs(
        loss=-(q * log_p).sum(axis=-1),
        grad_logits=_pulled_back(q.sum(axis=-1, keepdims=True) * p - q, inputs),
        grad_targets=_pulled_back(-log_p, inputs),
    )


def _pulled_back(gradient: Array, inputs: Inputs) -> Array:
    if inputs.cotangent is None:
        return gradient
    upstream = inputs.cotangent
    return gradient * (np.expand_dims(upstream, inputs.class_axis) if upstream.ndim else upstream)


def _adopt(call: Call) -> Callable[[Inputs], Outputs]:
    """A user's function returns the loss, or it with its gradients: by the logits, and by probability targets."""

    def adopted(inputs: Inputs) -> Outputs:
        result = call(inputs.logits, inputs.targets, inputs.given)
        parts: tuple[Any, ...] = result if isinstance(result, tuple) and 1 <= len(result) <= 3 else (result,)
        loss, by_logits, by_targets = (*parts, None, None)[:3]
        loss = np.asarray(loss) if isinstance(loss, float | np.generic) else loss
        gradients = [None if g is None else np.asarray(g) for g in (by_logits, by_targets)]
        if all(g is None or g.shape == inputs.logits.shape for g in gradients):  # otherwise it is reported unchanged
            gradients = [None if g is None else _pulled_back(g, inputs) for g in gradients]
        return Outputs(loss=loss, grad_logits=gradients[0], grad_targets=gradients[1])

    return adopted


def _evaluate(function: Function, mode: str, device: str, inputs: Inputs) -> Outputs:
    del mode, device  # there is only a single mode and device
    return cast(Outputs, function.call(inputs))


# inf - inf and 0 * inf are NaN, and a difference beyond the dtype is infinite, as IEEE 754 has it.
_IEEE = Convention(infinite_logits="nan", overflowing_shift="infinite")
_PAGE = "https://numpy.org/doc/stable/user/misc.html"
_DOCS = dict.fromkeys(("", "infinite_logits", "overflowing_shift", "zero_times_infinity"), _PAGE)
_KERAS = "https://github.com/keras-team/keras/blob/master/keras/src/backend/numpy/nn.py"
_SHIFTED_IN_FLOAT32 = {"overflowing_shift": "infinite_float32"}
_HELPERS = {
    "one_hot": "np.eye(K)[{targets}]",
    "normalize": "({logits} / {logits}.sum(axis=-1, keepdims=True))",
    "clip": "{logits}.clip({low}, 1 - {low})",
    "log": "np.log({logits})",
    "exp": "np.exp({logits})",
    "classes_last": "np.moveaxis({logits}, 1, -1)",
    "classes_1": "np.moveaxis({logits}, -1, 1)",
}
_PRECISION = same_precision(half_storage="result", half_arithmetic="result")

BACKEND = Backend(
    name="numpy",
    distributions=("numpy",),
    evaluate=_evaluate,
    adopt=_adopt,
    autodiff=False,
    functions=(
        Function(
            name="textbook",
            call=_labels,
            offer=Offer(
                targets=TargetKind.LABELS, layouts=ALL_LAYOUTS, manners=REPEATED, gradients=frozenset({"logits"})
            ),
            convention=_IEEE,
            precision=_PRECISION,
            docs=_DOCS,
        ),
        Function(
            name="textbook.probabilities",
            call=_probabilities,
            offer=Offer(targets=TargetKind.PROBABILITIES, layouts=ALL_LAYOUTS, manners=REPEATED),
            convention=_IEEE.but(zero_times_infinity="nan"),
            precision=_PRECISION,
            docs=_DOCS,
        ),
        *(
            replace(function, call=_adopt(function.call))
            for function in keras_losses.functions(
                "numpy",
                _HELPERS,
                labels=_SHIFTED_IN_FLOAT32,
                probabilities={**_SHIFTED_IN_FLOAT32, "zero_times_infinity": "nan"},
                links={"zero_times_infinity": _KERAS},
                differentiable=False,
            )
        ),
    ),
)
