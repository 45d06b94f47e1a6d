"""torch.nn.functional.linear_cross_entropy: exact logits, and a reason for every problem that it cannot take."""

from __future__ import annotations

import numpy as np
import pytest

from logitmus.core.observation import Answered, NotRun, Outcome
from logitmus.core.problem import Problem
from logitmus.execution import registry
from logitmus.execution.pool import Pool
from logitmus.execution.session import Observed

pytestmark = pytest.mark.frameworks

LOGITS = np.array([[0.1, -2.5, 3.7, 1e-3], [1e4, 9999.9, -1e4, 0], [-0.7, 0.2, 0.3, 5]], np.float32)
LABELS = np.array([2, 1, 0])
UPSTREAM = np.array([0.5, -2, 3], np.float32)
FUNCTIONS = ("linear_cross_entropy", "linear_cross_entropy.chunked", "linear_cross_entropy.chunked.by_weight")


def ask(*asked: tuple[Problem, str]) -> list[Outcome]:
    with Pool([registry.parse("torch")]) as pool:
        requests = [(problem, f"torch:{function}@cpu") for problem, function in asked]
        found = [event.observation for event in pool.ask(requests) if isinstance(event, Observed)]
    outcomes = {(result.problem, result.subject): result.outcome for result in found}
    return [outcomes[problem.id, subject] for problem, subject in requests]


def test_both_paths_give_what_cross_entropy_gives_for_the_logits() -> None:
    """The product with a permutation is exact: the reference path has the bits of `cross_entropy`."""
    pytest.importorskip("torch", "2.13")
    problem = Problem(logits=LOGITS, targets=LABELS, cotangent=UPSTREAM)
    plain, reference, *chunked = ask(*((problem, function) for function in ("cross_entropy", *FUNCTIONS)))
    assert isinstance(plain, Answered)
    assert isinstance(reference, Answered)
    assert plain.grad_logits is not None
    np.testing.assert_array_equal(reference.loss, plain.loss)
    np.testing.assert_array_equal(reference.grad_logits, plain.grad_logits)
    for outcome in chunked:
        assert isinstance(outcome, Answered)
        np.testing.assert_allclose(outcome.loss, plain.loss, rtol=1e-6)
        np.testing.assert_allclose(outcome.grad_logits, plain.grad_logits, atol=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_other_logits_are_put_in_the_place_of_those_that_no_product_gives(function: str) -> None:
    infinite = Problem(logits=np.array([[0, np.inf], [0, 0]], np.float32), targets=np.array([0, 0]))
    shape = (5000, 1) if "by_weight" in function else (1, 5000)
    wide = Problem(logits=np.zeros(shape, np.float32), targets=np.zeros(shape[0], np.int64))
    outcomes = ask((infinite, function), (wide, function))
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, NotRun)]
    assert "infinities" in reasons[0]
    assert "of 1 to 4096 rows" in reasons[1]
