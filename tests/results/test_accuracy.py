"""Errors while one property of a problem varies, and the worst case of each function: against values computed here."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mpmath
import numpy as np
import pytest
from implementations import RIGHT, WRONG
from stored_run import stored

from logitmus.cases.suite import suite
from logitmus.core.finding import Grade, Judgement, Verdict
from logitmus.core.floats import Array
from logitmus.core.problem import Problem
from logitmus.reports.html.accuracy_section import plot_data
from logitmus.results.accuracy import Curve, curves, worked_example, worst_cases
from logitmus.results.distribution import LARGEST, SMALLEST, Distribution, exponent

FAMILIES = ("confident-rows", "big-gap", "common-offset", "ordinary", "row-counts")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Curve]]:
    problems = [
        problem
        for problem in suite("default", dtypes=["float32"])
        if problem.family in FAMILIES and problem.target_kind == "labels" and problem.reduction == "none"
    ]
    functions = {
        "shifted": RIGHT["shifted"],
        "twin": RIGHT["shifted"],
        "separate": WRONG["separate_logsumexp"],
        "log_of_softmax": WRONG["log_of_softmax"],
    }
    with stored(tmp_path_factory.mktemp("run"), functions, problems) as store:
        yield curves(store)


def of(found: list[Curve], sweep: str, name: str) -> Curve:
    (curve,) = [c for c in found if c.sweep == sweep and c.part == "loss" and any(f":{name}@" in s for s in c.subjects)]
    return curve


def test_a_logsumexp_that_is_formed_first_exceeds_its_budget_as_the_offset_grows(found: list[Curve]) -> None:
    wrong, right = of(found, "offset", "separate"), of(found, "offset", "shifted")
    assert [point.x for point in wrong.points] == sorted({point.x for point in wrong.points})
    shares = {point.x: point.share for point in wrong.points}
    assert shares[1000.0] < shares[1e6]
    assert shares[1e6] > 100
    assert max(point.share for point in right.points) < 1


def test_absorption_is_seen_in_ulps_and_is_inside_the_budget(found: list[Curve]) -> None:
    at = {point.x: point for point in of(found, "lead", "shifted").points}
    assert at[0.5].ulps < 8
    assert at[20.0].ulps > 1e6  # a loss of 2e-9 that is 0
    assert at[20.0].share < 1


def test_a_wrong_infinity_is_marked_and_has_no_error(found: list[Curve]) -> None:
    at = {point.x: point for point in of(found, "deficit", "log_of_softmax").points}
    assert at[20.0].finite
    beyond = [point for x, point in at.items() if x > 105]
    assert beyond
    assert not any(point.finite for point in beyond)
    assert all(math.isfinite(point.ulps) for point in beyond)
    assert all(point.finite for point in of(found, "deficit", "shifted").points)


def test_functions_with_equal_errors_share_a_curve(found: list[Curve]) -> None:
    assert of(found, "offset", "twin").subjects == ("fake:shifted@cpu", "fake:twin@cpu")


def test_an_error_is_the_distance_from_the_exact_value_in_ulps(tmp_path: Path) -> None:
    """For one row: against mpmath, and against the spacing of float32 that struct sees."""
    problem = Problem(
        logits=np.array([[1.5, 0.0, -2.0]], np.float32), targets=np.array([0]), family="confident-rows", idea="a row"
    )
    with mpmath.workdps(40):
        exact = mpmath.log1p(mpmath.exp(-1.5) + mpmath.exp(-3.5))
    wrong = np.float32(float(exact)) + np.float32(5 * 2.0**-26)  # spacing of float32 in [1/8, 1/4) is 2^-26

    def function(x: Array, labels: Array) -> tuple[Array, Array]:
        return np.array([wrong], np.float32), RIGHT["in_float64"](x, labels)[1]

    with stored(tmp_path, {"f": function}, [problem]) as store:
        (curve,) = [curve for curve in curves(store) if curve.part == "loss"]
        (case,) = worst_cases(store, {"fake:f@cpu": problem.id})
    (point,) = curve.points
    assert (curve.sweep, point.x, point.problem) == ("lead", 1.5, problem.id)
    assert point.ulps == pytest.approx(float(abs(exact - float(wrong)) / mpmath.mpf(2) ** -26), rel=1e-9)
    assert case.bits == "0x" + struct.pack(">f", float(wrong)).hex()
    assert (case.part, case.row, case.ulps, case.share) == ("loss", 0, point.ulps, point.share)
    assert float.fromhex(case.exact) == float(exact)


def test_the_worst_case_is_an_element_of_the_part_that_uses_most_of_its_budget(tmp_path: Path) -> None:
    problem = Problem(
        logits=np.zeros((2, 3), np.float32), targets=np.array([0, 1]), family="ordinary", idea="equal logits"
    )

    def function(x: Array, labels: Array) -> tuple[Array, Array]:
        loss, gradient = RIGHT["in_float64"](x, labels)
        gradient[1, 2] += np.float32(0.25)
        return loss, gradient

    with stored(tmp_path, {"f": function, "g": function}, [problem]) as store:
        worst = {f"fake:{name}@cpu": problem.id for name in "fg"}
        (case,) = worst_cases(store, worst)
    assert case.subjects == ("fake:f@cpu", "fake:g@cpu")
    assert (case.part, case.row, case.index) == ("grad_logits", 1, 2)
    assert case.share > 1000


def test_the_example_can_be_checked_by_hand() -> None:
    example = worked_example()
    with mpmath.workdps(30):
        exact = mpmath.log(3 + mpmath.e) - 1
    low, high = map(float, example.exact.strip("[]").split(","))
    assert low < exact < high
    assert example.ulp == 2.0**-24
    assert example.ulps == pytest.approx(float(abs(np.float32(example.result) - exact)) * 2**24, rel=1e-6)
    assert example.share == pytest.approx(example.ulps * example.ulp / example.budget)


def test_the_formula_on_the_page_gives_the_budget_of_the_example() -> None:
    """templates/trust.html states it for a row with a label; the numbers are those of [0, 0, 0, 1] with target 3."""
    u = v = w = 2.0**-24
    total = 1 + 3 * math.exp(-1)
    L, D, S, d_t = math.log(total), 3 * math.exp(-1) / total, 3, 0.0
    loss = L
    budget = v * (3 * D + S + 12 + 8 * L) + w * (D + 2 + L) + (v + w) * (d_t + 4 * loss) + u * loss
    assert worked_example().budget == pytest.approx(budget * (1 + 2.0**-10), rel=1e-9)
    assert (round(D, 4), round(L, 4)) == (0.5246, 0.7437)


@pytest.mark.parametrize(
    ("error", "expected"),
    [(0.0, SMALLEST), (2.0**SMALLEST, SMALLEST), (0.5, -1), (0.51, 0), (1.0, 0), (1.01, 1), (2.0**40, LARGEST)],
)
def test_an_interval_holds_its_upper_end(error: float, expected: int) -> None:
    assert exponent(error) == expected
    assert exponent(math.inf) == LARGEST


def test_calls_are_counted_by_subject_and_dtype() -> None:
    made = Judgement(
        subject="torch:f+compile@cuda", problem="p", family="ties", dtype="float16", verdict=Verdict.PASS, grade=Grade.A
    )
    distribution = Distribution()
    distribution.add(replace(made, ulps=0.5, share=0.1))
    distribution.add(replace(made, ulps=3.0, share=2.0))
    distribution.add(replace(made, grade=None))  # nothing was judged
    distribution.add(replace(made, verdict=Verdict.COARSE))
    distribution.add(replace(made, subject="torch:g@cuda", ulps=0.5))
    only = distribution.of({"torch:f+compile@cuda"})
    assert only.ulps == {("torch:f+compile@cuda", "float16"): {-1: 1, 2: 1}}
    assert only.share == {("torch:f+compile@cuda", "float16"): {-3: 1, 1: 1}}
    rows = plot_data([], distribution)["distribution"]["ulps"]
    assert rows == [["torch", "cuda", "float16", -1, 2], ["torch", "cuda", "float16", 2, 1]]


def test_a_run_without_such_families_has_no_curve(tmp_path: Path) -> None:
    problem = Problem(logits=np.zeros((1, 2), np.float32), targets=np.array([0]), family="ties", idea="two")
    with stored(tmp_path, {"f": RIGHT["shifted"]}, [problem]) as store:
        assert curves(store) == []
        assert worst_cases(store, {}) == []
