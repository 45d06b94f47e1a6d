"""torch.compile as a mode: one compilation serves all shapes, and without a C++ compiler it is not run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from logitmus.core.computed_logits import SCALED, scaled
from logitmus.core.observation import Answered, NotRun, Outcome
from logitmus.core.problem import Problem
from logitmus.execution import registry
from logitmus.execution.limits import Limits
from logitmus.execution.pool import Pool
from logitmus.execution.session import Observed

pytestmark = pytest.mark.frameworks

SUBJECT = "torch:cross_entropy+compile@cpu"
COMPILERS = ("g++", "clang++", "c++")
LIMITS = Limits(compile_seconds=500.0)


@pytest.fixture
def compiler() -> None:
    """A C++ compiler; in CI, where there always is one, a missing compiler is a failure."""
    if not any(map(shutil.which, COMPILERS)):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs a C++ compiler: apt-get install g++")


def ask(*problems: Problem, subject: str = SUBJECT) -> list[Outcome]:
    with Pool([registry.parse("torch")], LIMITS) as pool:
        found = [
            event.observation
            for event in pool.ask([(problem, subject) for problem in problems])
            if isinstance(event, Observed)
        ]
    outcomes = {result.problem: result.outcome for result in found}
    return [outcomes[problem.id] for problem in problems]


def problem(rows: int, classes: int) -> Problem:
    logits = np.linspace(-3, 3, rows * classes, dtype=np.float32).reshape(rows, classes)
    return Problem(logits=logits, targets=np.arange(rows) % classes, cotangent=np.full(rows, -2, np.float32))


@pytest.mark.usefixtures("compiler")
def test_two_shapes_are_compiled_once_and_answered_rightly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    small, large = problem(3, 4), problem(5, 7)
    outcomes = ask(small, large)
    for asked, outcome in zip((small, large), outcomes, strict=True):
        assert isinstance(outcome, Answered)
        assert outcome.grad_logits is not None
        exponentials = np.exp(asked.logits.astype(np.float64))
        p = exponentials / exponentials.sum(1, keepdims=True)
        rows = np.arange(asked.rows)
        np.testing.assert_allclose(outcome.loss, -np.log(p[rows, asked.targets]), rtol=1e-6)
        p[rows, asked.targets] -= 1
        np.testing.assert_allclose(outcome.grad_logits, -2 * p, atol=1e-6)
    assert 0 < len(list(tmp_path.rglob("*.main.so"))) <= 3, "forward and backward, whatever the shape"


@pytest.mark.usefixtures("compiler")
def test_logits_may_be_computed_in_the_compiled_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    logits = scaled(np.array([[3e9, 3e9, 0, -3e9]], np.float32))
    (outcome,) = ask(Problem(logits=logits, targets=np.array([0]), manner=SCALED))
    assert isinstance(outcome, Answered)
    np.testing.assert_allclose(outcome.loss, [np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(outcome.grad_logits, [[-0.5, 0.5, 0, 0]], atol=1e-6)


@pytest.mark.usefixtures("compiler")
def test_probabilities_have_both_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    uniform = np.full((2, 4), 0.25, np.float32)
    asked = Problem(logits=np.array([[0, 0, 0, 1]] * 2, np.float32), targets=uniform, reduction="mean")
    (outcome,) = ask(asked, subject="torch:cross_entropy.probabilities+compile@cpu")
    assert isinstance(outcome, Answered)
    assert outcome.grad_logits is not None
    total = 3 + np.e
    log_p = np.array([0, 0, 0, 1]) - np.log(total)
    np.testing.assert_allclose(outcome.loss, -log_p.mean(), rtol=1e-6)
    np.testing.assert_allclose(outcome.grad_logits, [(np.exp(log_p) - 0.25) / 2] * 2, atol=1e-6)
    np.testing.assert_allclose(outcome.grad_targets, [-log_p / 2] * 2, atol=1e-6)


def test_without_a_compiler_it_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    (outcome,) = ask(problem(3, 4))
    assert isinstance(outcome, NotRun)
    assert outcome.reason == "torch.compile needs a C++ compiler, and finds none"
