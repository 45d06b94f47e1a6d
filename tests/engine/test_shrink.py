"""Shrinking reaches the minimum within its calls, and always the same minimum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from logitmus.core.problem import Problem
from logitmus.engine import shrink as shrinking
from logitmus.engine.shrink import size

Predicate = Callable[[Problem], bool]


def large(**more: object) -> Problem:
    """Much of everything."""
    rng = np.random.default_rng(7)
    fields = {
        "logits": (rng.normal(size=(9, 12)) * 30).astype(np.float32),
        "targets": rng.integers(0, 12, 9),
        "weight": rng.uniform(0.5, 2.0, 12).astype(np.float32),
        "ignore_index": -100,
        "label_smoothing": 0.1,
        "reduction": "mean",
        "cotangent": np.asarray(0.37, np.float32),
        "layout": "transposed",
    }
    return Problem(**{**fields, **more})  # type: ignore[arg-type]


def shrink(
    problem: Problem, row: int | None, fails: Callable[[list[Problem]], list[bool]], calls: int = 300
) -> Problem:
    """The smallest problem found on which `fails` is true."""

    async def answer(candidates: list[Problem]) -> list[bool]:
        return fails(candidates)

    with pytest.raises(StopIteration) as ended:  # nothing suspends the coroutine
        shrinking.shrink(problem, row, calls, answer).send(None)
    return ended.value.value.problem


def shrunk(problem: Problem, fails: Predicate, *, row: int | None = None, calls: int = 2000) -> Problem:
    assert fails(problem)
    found = shrink(problem, row, lambda several: [fails(candidate) for candidate in several], calls)
    assert fails(found)
    return found


def test_an_always_failing_problem_shrinks_to_a_single_zero() -> None:
    found = shrunk(large(), lambda _: True)
    assert found.logits.shape == (1, 1)
    assert size(found) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("fails", "minimum"),
    [
        (lambda p: p.rows >= 3, (3, 1, 0, 0)),
        (lambda p: p.classes >= 5, (1, 5, 0, 0)),
        (lambda p: p.weight is not None, (1, 1, 1)),
        (lambda p: p.label_smoothing > 0 and p.classes >= 2, (1, 2, 1, 0)),
        (lambda p: p.reduction == "mean", (1, 1, 1, 0)),
        (lambda p: p.layout == "transposed" and p.rows >= 2, (2, 1, 1, 0)),
        (lambda p: len(set(p.targets.tolist())) >= 2, (2, 2, 0)),
        (lambda p: bool((np.abs(p.logits) > 20).any()), (1, 2, 0)),  # its label may be another class
        (lambda p: bool((p.targets > 3).any()), (1, 5, 0)),
    ],
)
def test_it_reaches_the_minimum(fails: Predicate, minimum: tuple[int, ...]) -> None:
    assert size(shrunk(large(), fails))[: len(minimum)] == minimum


def test_the_row_concerned_is_kept() -> None:
    problem = large(reduction="none", cotangent=None)
    wanted = problem.logits[4].max()
    found = shrunk(problem, lambda p: bool((p.logits == wanted).any()), row=4, calls=40)
    assert found.rows == 1
    assert wanted in found.logits


def test_two_rows_that_need_each_other_are_both_kept() -> None:
    problem = large(reduction="none", cotangent=None)
    first, second = problem.logits[2].max(), problem.logits[7].max()
    found = shrunk(problem, lambda p: bool((p.logits == first).any() and (p.logits == second).any()), row=2)
    assert found.rows == 2


def test_numbers_become_short() -> None:
    found = shrunk(large(), lambda p: bool((p.logits > 40).any()))
    assert found.logits.size == 2
    assert len(str(float(found.logits.max()))) <= len("50.0")


def test_labels_keep_their_meaning_when_classes_go() -> None:
    problem = large(targets=np.array([3, 3, 3, 3, 12, 3, 3, 3, 3]))

    def beyond_by_none(p: Problem) -> bool:
        return p.classes > 0 and bool((p.targets == p.classes).any())

    found = shrunk(problem, beyond_by_none)
    assert (found.classes, found.rows) == (1, 1)
    assert found.targets.tolist() == [1]


def test_an_ignored_class_is_renamed_with_its_label() -> None:
    problem = large(targets=np.array([1, 5, 5, 2, 3, 5, 7, 8, 5]), ignore_index=5)
    found = shrunk(problem, lambda p: p.ignore_index is not None and bool((p.targets == p.ignore_index).any()))
    assert (found.rows, found.classes) == (1, 1)
    assert found.ignore_index == found.targets[0] == 0


@pytest.mark.parametrize("calls", [0, 1, 5, 24])
def test_it_is_bounded_in_calls(calls: int) -> None:
    tried: list[str] = []

    def fails(several: list[Problem]) -> list[bool]:
        tried.extend(candidate.id for candidate in several)
        return [candidate.rows >= 2 and candidate.classes >= 3 for candidate in several]

    shrink(large(), None, fails, calls)
    assert len(tried) <= calls
    assert len(set(tried)) == len(tried)


def test_within_few_calls_most_is_gone() -> None:
    """What the default run has for each group of findings."""
    problem = large(reduction="none", cotangent=None)
    wide = problem.but(logits=np.where(problem.logits > 60, np.float32(3e4), problem.logits))
    row = int(np.argwhere(wide.logits == 3e4)[0][0])
    found = shrunk(wide, lambda p: bool((p.logits >= 3e4).any()) and p.classes >= 2, row=row, calls=24)
    assert size(found)[:3] == (1, 2, 0)


def test_it_is_the_same_every_time() -> None:
    def fails(p: Problem) -> bool:
        return bool(np.abs(p.logits.astype(np.float64)).sum() > 50)

    assert shrunk(large(), fails, calls=60).id == shrunk(large(), fails, calls=60).id


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_every_dtype_and_probabilities(dtype: str) -> None:
    from logitmus.core.floats import float_array

    soft = float_array(np.random.default_rng(1).dirichlet(np.ones(6), 4), dtype)
    problem = Problem(logits=float_array(np.linspace(-9, 9, 24).reshape(4, 6), dtype), targets=soft)
    found = shrunk(problem, lambda p: bool((p.targets.astype(np.float64) > 0.2).any()) and p.classes > 1)
    assert size(found)[:3] == (1, 2, 0)
    assert found.dtype == dtype


@pytest.mark.filterwarnings("error")
def test_the_largest_numbers_are_made_simpler_without_a_warning() -> None:
    largest = np.array([[np.finfo(np.float64).max, 0.0]])
    problem = Problem(logits=largest, targets=np.array([0]))
    assert np.isfinite(
        shrink(problem, 0, lambda several: [bool((candidate.logits > 1e300).any()) for candidate in several]).logits
    ).all()
