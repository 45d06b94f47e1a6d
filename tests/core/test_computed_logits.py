"""What computed logits are computed from, to the bit."""

import numpy as np
import pytest

from logitmus.cases.suite import suite
from logitmus.core.computed_logits import COMPUTED, PRODUCT, SCALED, operands, scaled

ROWS = np.array([[0.5, -3e9, 7e29, 1.0, 0.0], [3.0, 0.1, -0.7, 1e-3, 2.0]], np.float32)


def test_scaled_logits_are_the_rounded_products_of_their_operands() -> None:
    logits = scaled(ROWS)
    source, factor = operands(logits, SCALED)
    assert (source.dtype, factor.dtype, logits.dtype) == (np.float32,) * 3
    assert ((source * factor) == logits).all()
    assert not np.array_equal(np.float64(source) * np.float64(factor), np.float64(logits))  # some product is rounded


def test_a_number_is_refused_if_and_only_if_it_is_no_product() -> None:
    every = np.arange(0x3C00, 0x7800, dtype=np.uint16).view(np.float16)  # from 1 to 32,752
    products = set(scaled(every / 8).tolist()) | set(scaled(every).tolist())
    for number in every[::97]:
        found = operands(np.array([[number]]), SCALED)
        assert (found is not None) == (float(number) in products)
    assert not set(every.tolist()) <= products


@pytest.mark.parametrize("manner", COMPUTED)
def test_infinite_logits_have_no_operands(manner: str) -> None:
    assert operands(np.array([[np.inf, 0.0]], np.float32), manner) is None


def test_a_product_with_the_permutation_is_the_logits() -> None:
    source, permutation = operands(ROWS, PRODUCT)
    assert not np.array_equal(source, ROWS)
    assert np.array_equal(source @ permutation, ROWS)


def test_every_problem_of_the_family_can_be_computed() -> None:
    problems = list(suite(families=["computed-logits"]))
    assert {problem.manner for problem in problems} == set(COMPUTED)
    assert all(operands(problem.logits, problem.manner) is not None for problem in problems)
