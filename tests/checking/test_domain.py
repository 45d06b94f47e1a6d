"""A function that takes probabilities, or their logarithms, is found to, and is asked of nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from test_intended_parameters import SETTINGS

from logitmus.cases.metamorphic import FAMILY as RELATIONS
from logitmus.cases.suite import suite
from logitmus.checking.check import check
from logitmus.checking.domain import for_inputs
from logitmus.core.finding import Severity
from logitmus.core.problem import Problem
from logitmus.core.subject import outside_domain

LABELS = [p for p in suite("quick", seed=0) if p.target_kind == "labels"]


@pytest.mark.parametrize("inputs", ["probabilities", "log_probabilities"])
def test_logits_become_what_the_function_takes(inputs: str) -> None:
    changed = 0
    for problem in LABELS:
        given = for_inputs(problem, inputs)
        if given is problem:
            assert (
                outside_domain(inputs, problem) is None
                or not np.isfinite(problem.logits).all()
                or (problem.family == RELATIONS or not problem.classes)
            )
            continue
        changed += 1
        assert outside_domain(inputs, given) is None
        assert (given.dtype, given.logits.shape, given.targets is problem.targets) == (
            problem.dtype,
            problem.logits.shape,
            True,
        )
        x = problem.logits.astype(np.float64)
        shares = np.exp(x - x.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        seen = given.logits.astype(np.float64)
        seen = np.exp(seen) if inputs == "log_probabilities" else seen
        coarse = {"float16": 1e-2, "bfloat16": 5e-2}.get(problem.dtype, 1e-5)
        assert np.allclose(seen, shares, atol=coarse)
        assert not (given.logits.astype(np.float32) != given.logits).any()  # 24 bits: the same on every machine
    assert changed > 100


@pytest.mark.filterwarnings("error")
def test_the_largest_numbers_of_a_dtype_raise_no_warning() -> None:
    problem = Problem(logits=np.array([[1.7e308, -1.7e308, 0.0]]), targets=np.array([0]))
    assert for_inputs(problem, "log_probabilities").logits.tolist()[0][:2] == [0.0, -np.inf]
    assert for_inputs(problem, "probabilities").logits.tolist() == [[1.0, 0.0, 0.0]]


def test_logits_stay_as_they_are_for_a_function_of_logits() -> None:
    assert all(for_inputs(problem, "logits") is problem for problem in LABELS)


def test_rows_without_a_softmax_stay_as_they_are() -> None:
    for row in ([np.nan, 0], [np.inf, 0], [-np.inf, -np.inf]):
        problem = Problem(logits=np.array([row], np.float32), targets=np.array([0]))
        assert for_inputs(problem, "probabilities") is problem


def of_probabilities(logits, labels):
    rows = -np.log(logits[np.arange(len(labels)), labels])
    gradient = np.zeros_like(logits)
    gradient[np.arange(len(labels)), labels] = -1 / logits[np.arange(len(labels)), labels]
    return rows, gradient


def focal_of_probabilities(logits, labels):
    rows, _ = of_probabilities(logits, labels)
    return (1 - np.exp(-rows)) ** 2 * rows


def clipped_at_epsilon(logits, labels):
    epsilon = np.finfo(logits.dtype).eps
    return -np.log(np.clip(logits[np.arange(len(labels)), labels], epsilon, 1 - epsilon))


@pytest.mark.parametrize(
    ("function", "cause", "words"),
    [
        (of_probabilities, "convention:inputs=probabilities", "of probabilities given as they are"),
        (focal_of_probabilities, "other_formula", "focal cross-entropy with gamma = 2 of probabilities"),
        (clipped_at_epsilon, "other_formula", "clipped to [eps, 1 - eps]; eps is the machine epsilon of the dtype"),
    ],
)
def test_that_it_takes_probabilities_is_one_difference(function, cause: str, words: str) -> None:
    """In float16, too, where eps is another number; as a bug only what is one for probabilities counts."""
    result = check(function, dtypes=["float64", "float32", "float16"], **SETTINGS)
    (explained,) = result.explanations.values()
    assert words in explained.phrase
    assert not explained.qualifier
    named = {str(group.finding.cause): group.finding.severity for group in result.groups}
    assert named[cause] is Severity.DIFFERENCE
    unexplained = {name for name in named if name.startswith(("unexplained", "mechanism", "separate", "convention"))}
    assert unexplained <= {cause}, str(result)
    assert result.problems > 60
    assert any("it was given the probabilities that the logits of the suite stand for" in r for r in result.remarks)
    if cause == "other_formula":
        assert not result.grades  # of a formula that it does not compute


def test_a_function_of_probabilities_conforms_where_that_is_intended() -> None:
    result = check(of_probabilities, but={"inputs": "probabilities"}, dtypes=["float32"], **SETTINGS)
    assert not [g for g in result.groups if g.finding.cause.is_convention], str(result)
