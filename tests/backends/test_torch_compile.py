"""torch.compile as a mode: one compilation serves all shapes, and without a C++ compiler it is not run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

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
OF_PROBABILITIES = "torch:cross_entropy.probabilities+compile@cpu"
COMPILERS = ("g++", "clang++", "c++")
LIMITS = Limits(compile_seconds=500.0)


SMALL, LARGE = (
    Problem(
        logits=np.linspace(-3, 3, rows * classes, dtype=np.float32).reshape(rows, classes),
        targets=np.arange(rows) % classes,
        cotangent=np.full(rows, -2, np.float32),
    )
    for rows, classes in ((3, 4), (5, 7))
)
IN_THE_FUNCTION = Problem(
    logits=scaled(np.array([[3e9, 3e9, 0, -3e9]], np.float32)), targets=np.array([0]), manner=SCALED
)
SOFT = Problem(
    logits=np.array([[0, 0, 0, 1]] * 2, np.float32), targets=np.full((2, 4), 0.25, np.float32), reduction="mean"
)


def ask(pool: Pool, *asked: tuple[Problem, str]) -> dict[str, Outcome]:
    found = [event.observation for event in pool.ask(list(asked)) if isinstance(event, Observed)]
    return {result.problem: result.outcome for result in found}


class Compiled(NamedTuple):
    """The outcomes by problem, and how many libraries were made for both shapes."""

    outcomes: dict[str, Outcome]
    libraries: int


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """All problems, answered by a single worker: it loads the compiler once.

    In CI, where there always is a C++ compiler, a missing one is a failure.
    """
    if not any(map(shutil.which, COMPILERS)):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs a C++ compiler: apt-get install g++")
    folder = tmp_path_factory.mktemp("inductor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
        with Pool([registry.parse("torch")], LIMITS) as pool:
            shapes = ask(pool, (SMALL, SUBJECT), (LARGE, SUBJECT))
            libraries = len(list(folder.rglob("*.main.so")))
            others = ask(pool, (IN_THE_FUNCTION, SUBJECT), (SOFT, OF_PROBABILITIES))
    return Compiled({**shapes, **others}, libraries)


def test_a_compilation_serves_all_shapes(compiled: Compiled) -> None:
    assert 0 < compiled.libraries <= 3, "forward and backward, whatever the shape"


@pytest.mark.parametrize("problem", [SMALL, LARGE], ids=["3x4", "5x7"])
def test_shapes_are_answered_rightly(problem: Problem, compiled: Compiled) -> None:
    outcome = compiled.outcomes[problem.id]
    assert isinstance(outcome, Answered)
    assert outcome.grad_logits is not None
    exponentials = np.exp(problem.logits.astype(np.float64))
    p = exponentials / exponentials.sum(1, keepdims=True)
    rows = np.arange(problem.rows)
    np.testing.assert_allclose(outcome.loss, -np.log(p[rows, problem.targets]), rtol=1e-6)
    p[rows, problem.targets] -= 1
    np.testing.assert_allclose(outcome.grad_logits, -2 * p, atol=1e-6)


def test_logits_may_be_computed_in_the_compiled_function(compiled: Compiled) -> None:
    outcome = compiled.outcomes[IN_THE_FUNCTION.id]
    assert isinstance(outcome, Answered)
    np.testing.assert_allclose(outcome.loss, [np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(outcome.grad_logits, [[-0.5, 0.5, 0, 0]], atol=1e-6)


def test_probabilities_have_both_gradients(compiled: Compiled) -> None:
    outcome = compiled.outcomes[SOFT.id]
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
    with Pool([registry.parse("torch")], LIMITS) as pool:
        outcome = ask(pool, (SMALL, SUBJECT))[SMALL.id]
    assert isinstance(outcome, NotRun)
    assert outcome.reason == "torch.compile needs a C++ compiler, and finds none"
