"""The strategies: everything they draw can be asked, the adversarial is met, and shrinking reaches the smallest."""

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings

from logitmus.cases.generation.strategies import labels, logits, probability_targets, problems, weights
from logitmus.core.floats import FLOAT_DTYPES
from logitmus.core.problem import LAYOUTS, Problem

QUIET = settings(
    max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
THOROUGH = settings(QUIET, max_examples=1500)


@QUIET
@given(problems(layouts=tuple(LAYOUTS), spatial=True, bad_labels=True))
def test_every_problem_is_valid(problem: Problem) -> None:
    assert problem.family == "hypothesis"
    assert problem.rows >= 1
    assert len(problem.id) == 20


@QUIET
@given(problems(dtypes=("bfloat16",), targets=("probabilities",), options=(), reductions=("none",), finite=True))
def test_arguments_narrow_the_drawn_problems(problem: Problem) -> None:
    assert problem.dtype == "bfloat16"
    assert problem.target_kind == "probabilities"
    assert not problem.options
    assert problem.reduction == "none"
    assert np.isfinite(problem.logits.astype(np.float64)).all()


@QUIET
@given(problems(targets=("labels",), options=("weight",)))
def test_labels_are_valid_unless_asked_for(problem: Problem) -> None:
    assert ((problem.targets >= 0) & (problem.targets < problem.classes)).all()


@QUIET
@given(probability_targets((3, 4), normalised=True))
def test_normalised_targets_sum_to_one(targets: np.ndarray) -> None:
    assert (targets.sum(axis=1) == 1).all()


def test_anything_shrinks_to_the_plainest_problem() -> None:
    smallest = find(problems(layouts=tuple(LAYOUTS), spatial=True), lambda _: True, settings=QUIET)
    assert smallest.dtype == "float32"
    assert smallest.logits.tolist() == [[0.0, 0.0]]
    assert smallest.targets.tolist() == [0]
    assert not smallest.options
    assert (smallest.reduction, smallest.layout, smallest.cotangent) == ("none", "contiguous", None)


def test_a_wrong_row_shrinks_to_itself() -> None:
    def overflows(problem: Problem) -> bool:
        return bool((problem.logits.astype(np.float64) > 88.5).any())

    smallest = find(problems(), overflows, settings=THOROUGH)
    assert smallest.rows == 1
    assert smallest.classes <= 2
    assert smallest.dtype == "float32"
    assert not smallest.options
    assert np.count_nonzero(smallest.logits) == 1


def test_a_wrong_option_shrinks_to_that_option() -> None:
    smallest = find(problems(), lambda problem: problem.label_smoothing > 0, settings=THOROUGH)
    assert smallest.options == {"label_smoothing"}
    assert smallest.label_smoothing == 0.1
    assert smallest.logits.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("special", ["-inf", "nan", "inf"])
def test_special_values_are_met(dtype: str, special: str) -> None:
    def met(x: np.ndarray) -> bool:
        wide = x.astype(np.float64)
        return bool((np.isnan(wide) if special == "nan" else wide == float(special)).any())

    find(logits((2, 3), dtype), met, settings=THOROUGH)


def test_pieces_stand_alone() -> None:
    assert find(labels((2,), 5, also=(-100,)), lambda t: -100 in t, settings=QUIET).tolist() == [0, -100]
    assert find(weights(3), lambda _: True, settings=QUIET).tolist() == [1.0, 1.0, 1.0]
    assert find(probability_targets((1, 3)), lambda _: True, settings=QUIET).tolist() == [[1.0, 0.0, 0.0]]


def test_an_unknown_name_is_an_error_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="dtypes: 'float8' is unknown; use of float64"):
        find(problems(dtypes=("float8",)), lambda _: True, settings=QUIET)
