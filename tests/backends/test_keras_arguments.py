"""Keras' losses on other frameworks, with a class axis, with a dtype of their own and behind a softmax."""

from __future__ import annotations

import numpy as np
import pytest

from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.observation import Answered
from logitmus.core.problem import Problem
from logitmus.execution import registry
from logitmus.execution.pool import Pool
from logitmus.execution.session import Observed

pytestmark = pytest.mark.frameworks

AXIS_1 = "tensorflow:keras.losses.CategoricalCrossentropy-axis_1@cpu"
DTYPE = "tensorflow:keras.losses.SparseCategoricalCrossentropy-dtype@cpu"
SOFTMAX = "tensorflow:keras.losses.SparseCategoricalCrossentropy-nn.softmax+graph@cpu"


def test_the_arguments_reach_the_loss() -> None:
    logits = np.arange(24, dtype=np.float32).reshape(2, 3, 4) ** 1.5 % 5
    targets = np.broadcast_to(np.array([0.5, 0.25, 0.25, 0], np.float32), logits.shape)
    spatial = Problem(logits=logits, targets=targets)
    narrow = Problem(logits=np.array([[0, 0, 0, 1]], FLOAT_DTYPES["bfloat16"]), targets=np.array([3]))
    confident = Problem(logits=np.array([[100, 0, 0]], np.float32), targets=np.array([1]))
    with Pool([registry.parse("tensorflow")]) as pool:
        asked = [(spatial, AXIS_1), (narrow, DTYPE), (confident, SOFTMAX)]
        found = [event.observation for event in pool.ask(asked) if isinstance(event, Observed)]
    outcomes = {result.subject: result.outcome for result in found}
    axis_1, own_dtype, softmax = (outcomes[subject] for _, subject in asked)

    assert isinstance(axis_1, Answered)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(axis_1.loss, -(targets * log_p).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(axis_1.grad_logits, np.exp(log_p) - targets, atol=1e-6)

    assert isinstance(own_dtype, Answered)
    assert own_dtype.loss.dtype == FLOAT_DTYPES["bfloat16"]
    assert abs(float(own_dtype.loss[0]) - 0.743668) < 2**-7

    assert isinstance(softmax, Answered)
    assert softmax.loss.tolist() == [100]
    assert softmax.grad_logits is not None
    assert softmax.grad_logits.tolist() == [[1, -1, 0]]


@pytest.mark.parametrize("host", ["torch", "jax"])
def test_keras_runs_on_the_framework_of_the_backend(host: str) -> None:
    """By hand: log(3 + e) - 1 for label 3, log(3 + e) for label 0, and the gradient softmax - onehot."""
    logits = np.array([[0, 0, 0, 1]] * 2, np.float32)
    labels = Problem(logits=logits, targets=np.array([3, 0]), ignore_index=0, reduction="mean")
    soft = Problem(logits=logits, targets=np.eye(4, dtype=np.float32)[[3, 0]], reduction="sum")
    asked = [
        (labels, f"{host}:keras.losses.SparseCategoricalCrossentropy-on_{host}@cpu"),
        (soft, f"{host}:keras.losses.CategoricalCrossentropy-on_{host}@cpu"),
    ]
    with Pool([registry.parse(host)]) as pool:
        found = [event.observation for event in pool.ask(asked) if isinstance(event, Observed)]
    outcomes = {result.subject: result.outcome for result in found}
    kept, total = (outcomes[subject] for _, subject in asked)
    p = np.exp([0, 0, 0, 1]) / (3 + np.e)
    assert isinstance(kept, Answered)
    assert isinstance(total, Answered)
    np.testing.assert_allclose(kept.loss, -np.log(p[3]), rtol=1e-6)
    np.testing.assert_allclose(kept.grad_logits, [p - np.eye(4)[3], np.zeros(4)], atol=1e-6)
    np.testing.assert_allclose(total.loss, -np.log(p[3]) - np.log(p[0]), rtol=1e-6)
    np.testing.assert_allclose(total.grad_logits, p - np.eye(4)[[3, 0]], atol=1e-6)
    np.testing.assert_allclose(total.grad_targets, [-np.log(p)] * 2, atol=1e-6)
