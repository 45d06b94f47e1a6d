"""The exact answer with parameters (temperature, z-loss, factor, ...), against mpmath and its numerical derivative."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.parameters import ParameterError, Parameters
from logitmus.core.problem import Problem
from logitmus.oracle.answer import reference
from logitmus.oracle.resolve import resolve

X = np.array([[0.5, -1.25, 3.0], [2.0, 2.0, -0.75]])
LABELS = np.array([2, 1])
ALL = Parameters(label_smoothing=0.1, temperature=0.7, z_loss=0.01, factor=-2.5)
CHOICES = [
    Parameters(label_smoothing=0.1),
    Parameters(temperature=0.7),
    Parameters(z_loss=1e-4),
    Parameters(factor=0.3),
    ALL,
]


def convention(parameters: Parameters, **fields: str) -> Convention:
    return Convention(parameters=parameters, **fields)  # type: ignore[arg-type]


def loss(x: list[Any], label: int, own: Parameters) -> Any:
    """The definition, at 60 digits."""
    z = [value / mpmath.mpf(own.temperature) for value in x]
    lse = mpmath.log(sum(mpmath.exp(value) for value in z))
    eps = mpmath.mpf(own.label_smoothing)
    rows = (1 - eps) * (lse - z[label]) + eps * (lse - sum(z) / len(z))
    return mpmath.mpf(own.factor) * (rows + mpmath.mpf(own.z_loss) * lse**2)


@pytest.mark.parametrize("own", CHOICES)
@pytest.mark.parametrize("bits", [53, 128])
def test_loss_and_gradient_are_those_of_the_definition(own: Parameters, bits: int) -> None:
    answer = reference(Problem(logits=X, targets=LABELS, reduction="mean"), convention(own), bits=bits)
    with mpmath.workdps(60):
        rows = [[mpmath.mpf(v) for v in row] for row in X]
        total = sum(loss(row, int(t), own) for row, t in zip(rows, LABELS, strict=True)) / 2
        assert abs(total - mpmath.mpf(float(answer.loss.mid))) < 1e-14
        for n, k in np.ndindex(X.shape):
            slope = mpmath.diff(lambda v, n=n, k=k: loss([*rows[n][:k], v, *rows[n][k + 1 :]], LABELS[n], own), X[n, k])
            assert abs(slope / 2 - mpmath.mpf(float(answer.grad_logits.mid[n, k]))) < 1e-14


def test_the_gradient_by_targets_is_not_divided_by_the_temperature() -> None:
    targets = np.array([[0.5, 0.25, 0.25]])
    answer = reference(Problem(logits=X[:1], targets=targets), convention(Parameters(temperature=2, factor=3)))
    plain = reference(Problem(logits=X[:1] / 2, targets=targets))
    np.testing.assert_allclose(answer.grad_targets.mid, 3 * plain.grad_targets.mid, rtol=1e-15)
    np.testing.assert_allclose(answer.grad_logits.mid, 3 / 2 * plain.grad_logits.mid, rtol=1e-15)


def test_a_given_smoothing_replaces_the_default() -> None:
    own = convention(Parameters(label_smoothing=0.1))
    assert resolve(Problem(logits=X, targets=LABELS), own).eps == 0.1
    assert resolve(Problem(logits=X, targets=LABELS, label_smoothing=0.3), own).eps == 0.3


def test_a_clip_of_any_size() -> None:
    own = convention(Parameters(clip=1e-3), inputs="probabilities")
    answer = reference(Problem(logits=np.array([[0.0, 1.0]]), targets=np.array([0])), own)
    assert float(answer.loss.mid[0]) == pytest.approx(-np.log(1e-3), rel=1e-15)


def test_rows_that_overflow_under_parameters_are_not_judged() -> None:
    x = np.array([[3e38, 0.0], [1e20, 0.0], [1.0, 0.0]], np.float32)
    problem = Problem(logits=x, targets=np.array([0, 0, 0]))
    assert resolve(problem, PORTABLE).unjudged.tolist() == [False, False, False]
    assert resolve(problem, convention(Parameters(temperature=0.5))).unjudged.tolist() == [True, False, False]
    assert resolve(problem, convention(Parameters(z_loss=1.0))).unjudged.tolist() == [True, True, False]


@pytest.mark.parametrize(
    "wrong", [{"label_smoothing": 1.5}, {"temperature": 0.0}, {"z_loss": -1.0}, {"factor": 0.0}, {"clip": float("nan")}]
)
def test_a_number_that_a_parameter_cannot_have(wrong: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match="use a number"):
        Parameters(**wrong)
