"""Whether rounding explains the difference of two losses: the bound holds, is not vacuous, and is worded honestly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from logitmus.cli import app
from logitmus.conventions.printed_numbers import ExplainError
from logitmus.conventions.rounding import Sizes, bound, explain_by_rounding
from logitmus.core.convention import Convention
from logitmus.core.finding import Grade
from logitmus.core.floats import FLOAT_DTYPES, neighbour
from logitmus.core.problem import Problem
from logitmus.core.subject import Precision
from logitmus.judging.bench import Bench
from logitmus.judging.budget import Budget, Roundoffs


def roundoffs(dtype: str) -> Roundoffs:
    return Roundoffs.of(Precision(dtype, dtype, dtype), flushes=False)


def budget_and_loss(logits: np.ndarray, labels: np.ndarray, dtype: str, reduction: str, grade: Grade):
    problem = Problem(logits=logits, targets=labels, reduction=reduction, family="tests", idea="any")
    bench = Bench(problem)
    answer = bench.answer(bench.question(Convention()))
    return Budget(answer, roundoffs(dtype), grade).loss, answer.loss.magnitude


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_the_bound_holds_for_the_budget_of_every_logits(dtype, reduction):
    rng = np.random.default_rng(7)
    for trial in range(150):
        classes, rows = int(rng.choice([1, 2, 3, 10, 200, 3000])), int(rng.choice([1, 2, 40]))
        spread = 10.0 ** rng.uniform(-3, 3)
        logits = rng.standard_t(2, (rows, classes)) * spread + rng.choice([0, 300.0])
        with np.errstate(over="ignore"):
            logits = np.clip(logits, -3e4, 3e4).astype(FLOAT_DTYPES[dtype])
        labels = rng.integers(0, classes, rows)
        if trial % 3 == 0:
            labels = np.asarray(logits, np.float64).argmax(axis=1)
        for grade, well in ((Grade.B_PLUS, True), (Grade.B, False)):
            budgets, losses = budget_and_loss(logits, labels, dtype, reduction, grade)
            for budget, loss in zip(np.atleast_1d(budgets), np.atleast_1d(losses), strict=True):
                size = {"classes": classes, "rows": rows, "reduction": reduction}
                assert budget <= bound(float(loss), roundoffs(dtype), **size, well=well), (size, grade)


def test_the_bound_is_reached_up_to_a_factor_by_equal_logits():
    budgets, losses = budget_and_loss(np.zeros((1, 1000), np.float32), np.array([3]), "float32", "none", Grade.B_PLUS)
    reached = bound(float(losses[0]), roundoffs("float32"), classes=1000, rows=1, reduction="none") / budgets[0]
    assert reached < 1.5


def test_float32_losses_in_any_order_are_within_the_bound_of_each_other():
    rng = np.random.default_rng(3)
    for classes, rows in ((2, 1), (50, 30), (3000, 7)):
        logits = (rng.normal(size=(rows, classes)) * 5).astype(np.float32)
        labels = rng.integers(0, classes, rows)
        losses = []
        for _ in range(6):
            order, of_rows = rng.permutation(classes), rng.permutation(rows)
            shifted = logits - logits.max(axis=1, keepdims=True)
            total = np.exp(shifted[:, order]).sum(axis=1, dtype=np.float32)
            mean = (np.log(total) - shifted[np.arange(rows), labels])[of_rows].mean(dtype=np.float32)
            losses.append(repr(float(mean)))
        sizes = Sizes(classes=classes, rows=rows, reduction="mean")
        assert explain_by_rounding(losses[:1] * 5, losses[1:], "float32", sizes).explains


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_two_values_that_rounding_separates_are_not_called_different_by_their_printed_digits(digits):
    """`round` and `%g` drop the last zeros, so that a printed number with few digits need not be exact."""
    rng = np.random.default_rng(5)
    for _ in range(300):
        boundary = np.float32(rng.integers(1, 90) / 10 + 0.5 * 10.0**-digits)
        values = [float(np.nextafter(boundary, np.float32(side))) for side in (-1, 100)]
        for observed, expected in (values, values[::-1]):
            printed = [[repr(round(value, digits))] for value in (observed, expected)]
            verdicts = explain_by_rounding(*printed, "float32").verdicts
            assert all(verdict.explains is not False for verdict in verdicts), (printed, values)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_what_an_unshifted_logsumexp_needs_is_no_more_than_it_had(reduction):
    rng = np.random.default_rng(3)
    refused = 0
    for rows, offset in ((1, 1e4), (10, 1e4), (100, 1e3), (100, 1e5), (1000, 1e4)):
        for _ in range(5):
            logits = (rng.normal(size=(rows, 2)) * 1e-3 + offset).astype(np.float32)
            top, picked = logits.max(axis=1), logits[np.arange(rows), rng.integers(0, 2, rows)]
            log_sum = np.log(np.exp(logits - top[:, None]).sum(axis=1))
            losses = [log_sum - (picked - top), (top + log_sum) - picked]
            observed, expected = ([repr(float(getattr(of, reduction)(dtype=np.float32)))] for of in losses)
            sizes = Sizes(classes=2, rows=rows, reduction=reduction)
            (verdict, *_) = explain_by_rounding(observed, expected, "float32", sizes).verdicts
            refused += verdict.explains is False
            assert verdict.offset <= np.max(np.abs(top) + np.abs(picked)), (rows, offset)
    assert refused


def test_the_public_case_of_seven_ulps_is_within_rounding():
    answer = explain_by_rounding(["7.751157283782959"], ["7.751153945922852"], "float32")
    assert answer.worst.steps == (7, 7)
    assert answer.explains
    assert not explain_by_rounding(["7.751157283782959"], ["7.751153945922852"], "float64").explains


def steps_that_are_explained(loss: float, dtype: str, sizes: Sizes) -> int:
    """The most ulps above a loss that rounding explains."""

    def explained(steps: int) -> bool:
        texts = [repr(neighbour(loss, dtype, 0))], [repr(neighbour(loss, dtype, steps))]
        return explain_by_rounding(*texts, dtype, sizes).explains

    most = 1
    while explained(most):
        most += 1
    return most - 1


def test_more_classes_and_rows_allow_more():
    few, classes, rows = (
        steps_that_are_explained(0.7, "float32", Sizes(classes=k, rows=n, reduction="mean"))
        for k, n in ((2, 1), (100, 1), (2, 100))
    )
    assert few < classes
    assert few < rows


@pytest.mark.parametrize("sizes", [Sizes(), Sizes(rows=1), Sizes(classes=2), Sizes(reduction="sum")])
def test_the_least_sizes_are_the_least(sizes):
    numbers = ["2.00006103515625"], ["2.0"]
    first = explain_by_rounding(*numbers, "float32", sizes).verdicts[0]
    assert first.explains is False
    assert (first.from_classes is None) == (sizes.classes is not None)
    assert (first.from_rows is None) == (sizes.rows is not None)
    for name, least in (("classes", first.from_classes), ("rows", first.from_rows)):
        if least is None:
            continue
        given = {"classes": sizes.classes or 2, "rows": sizes.rows or 1, "reduction": sizes.reduction}
        enough = explain_by_rounding(*numbers, "float32", Sizes(**{**given, name: least}))
        short = explain_by_rounding(*numbers, "float32", Sizes(**{**given, name: least - 1}))
        assert (enough.verdicts[0].explains, short.verdicts[0].explains) == (True, False)


def test_few_digits_leave_it_open():
    (verdict, *_) = explain_by_rounding(["0.743668"], ["0.743664"], "float32", Sizes(classes=4, rows=1)).verdicts
    assert verdict.explains is None
    exact = explain_by_rounding(["0.743668"], ["0.500000000"], "float32").worst
    assert exact.steps is not None
    assert 0 < exact.steps[1] - exact.steps[0] < 20  # only 0.5 is printed so, 0.743668 stands for some
    assert explain_by_rounding(["0.5000"], ["0.5"], "float32").worst.steps != (0, 0)


def test_a_number_of_another_dtype_is_named():
    (named,) = explain_by_rounding(["0.74366838062862"], ["0.75"], "float32").worst.no_values
    assert named == ("0.74366838062862", "0.7436684")


@pytest.mark.parametrize(
    ("observed", "expected", "dtype", "explains", "why_not"),
    [
        ("nan", "1", "float32", False, "NaN"),
        ("nan", "nan", "float32", True, ""),
        ("inf", "1", "float32", False, "infinite"),
        ("inf", "1", "float64", False, "infinite"),
        ("-inf", "1", "float32", False, "infinite"),
        ("inf", "inf", "float32", True, ""),
        ("inf", "65504", "float16", True, ""),  # the largest number: one more ulp is infinite
        ("-0.00000001", "0.0", "float32", True, ""),
        ("-0.1", "-0.2", "float32", False, ""),
        ("-0.1", "-0.1", "float32", True, ""),
    ],
)
def test_special_values(observed, expected, dtype, explains, why_not):
    answer = explain_by_rounding([observed], [expected], dtype)
    assert answer.explains is explains
    assert why_not in answer.worst.why_not
    assert bool(why_not) == bool(answer.worst.why_not)


def test_one_class_has_no_rounding():
    answer = explain_by_rounding(["0.5"], ["0.5000001"], "float32", Sizes(classes=1))
    assert not answer.explains
    assert "with one class" in answer.worst.why_not


def test_a_half_precision_answer_depends_on_what_is_rounded():
    narrow, wide = explain_by_rounding(["1.5"], ["1.5234375"], "bfloat16", Sizes(classes=10, rows=1)).verdicts
    assert (narrow.explains, wide.explains) == (False, True)
    assert "float32" in narrow.condition


def test_where_the_analysis_says_nothing_no_bound_is_invented():
    sizes = Sizes(classes=1 << 40, rows=1)
    assert np.isinf(bound(1.0, roundoffs("bfloat16"), classes=1 << 40, rows=1, reduction="none"))
    assert explain_by_rounding(["1.5"], ["3.0"], "bfloat16", sizes).verdicts[-1].bound == np.inf


def shown(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["explain", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--expected", "1,2"], "observed has 1 numbers and expected has 2"),
        (["--expected", "x"], "'x' is not a number"),
        (["--expected", "1", "--dtype", "int8"], "unknown dtype 'int8'; use float64"),
        (["--expected", "1", "--classes", "0"], "--classes 0: give a whole number of at least 1"),
        (["--expected", "1", "--rows", "-3"], "--rows -3: give a whole number"),
        (["--expected", "1", "--reduction", "avg"], "unknown reduction 'avg'; use none, mean, sum"),
        (["--expected", "1", "--reduction", "none", "--rows", "4"], "--rows 4 does not matter"),
    ],
)
def test_numbers_and_sizes_that_cannot_be_meant(arguments, message):
    with pytest.raises(ExplainError, match=message):
        shown("--observed", "1", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--observed", "1"], "give --logits and --target, or both --observed and --expected"),
        (["--observed", "1", "--expected", "2", "--target", "3"], "--target: needs both --logits and --target"),
        (["--logits", "0,1"], "--logits: needs both"),
        (["--logits", "0,1", "--target", "1", "--classes", "2"], "remove --classes and --rows"),
    ],
)
def test_incomplete_questions_are_usage_errors(arguments, message):
    code, output = shown(*arguments)
    assert code == 2
    assert message in output


def test_the_exit_code_and_json():
    assert shown("--observed", "7.751157283782959", "--expected", "7.751153945922852")[0] == 0
    code, output = shown("--observed", "1.5,inf", "--expected", "1.5,2", "--json")
    assert code == 1
    read = json.loads(output)
    assert (read["explains"], len(read["pairs"])) == (False, 2)
    assert read["worst"]["observed"] == "inf"


@pytest.mark.parametrize(("observed", "negative"), [("-1", True), ("-1e-9", False), ("1", False)])
def test_no_logits_are_blamed_for_a_negative_loss(observed, negative):
    _, output = shown("--observed", observed, "--expected", "2" if observed != "-1e-9" else "0")
    assert ("no cross-entropy of labels is negative" in output) is negative
    assert ("the logits differ" in output) is (observed == "1")
