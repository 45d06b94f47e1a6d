"""The judge: right implementations pass in every dtype, wrong ones are found and named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from implementations import RIGHT, WRONG, observe, subject

from logitmus.core.convention import PORTABLE, Convention
from logitmus.core.finding import Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.floats import FLOAT_DTYPES, float_array, format_of
from logitmus.core.observation import Answered, Crashed, NotRun, Outcome, Raised, TimedOut
from logitmus.core.problem import Problem
from logitmus.judging.judge import Judge


def rows_of(idea: str, dtype: str) -> Problem:
    """Small problems, one adversarial idea each."""
    largest = format_of(dtype).largest
    logits = {
        "seed": [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]],
        "offset": [[1e4, 1e4, 1e4, 1e4 + 8], [2.0**12] * 4, [-3e4, -3e4, -3e4, -3e4]],
        "huge": [[largest, 0, 0, 0], [largest / 2, largest / 2, 0, 0], [-largest / 2, 0, 0, 1]],
        "gap": [[g, 0, 0, 0] for g in (5, 12, 20, 60, 90, 200)],
        "many": [[0] * 4096, [1, *[-2] * 4095], list(range(-40, 0)) * 102 + [0] * 16],
        "last live": [[*[-200] * 4094, 0, 0], [*[-200] * 4094, -3, 1], [0, *[-300] * 4094, -1]],
    }[idea]
    x = float_array(logits, dtype)
    return Problem(logits=x, targets=np.arange(len(logits)) % x.shape[1], family=idea)


IDEAS = ["seed", "offset", "huge", "gap", "many", "last live"]


def judged(problem: Problem, outcome: Outcome, convention: Convention = PORTABLE, **offer: object) -> Judgement:
    return Judge().judge(problem, subject(convention, **offer), outcome)


def causes(judgement: Judgement) -> set[str]:
    return {finding.cause for finding in judgement.findings}


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("idea", IDEAS)
@pytest.mark.parametrize("name", RIGHT)
def test_right_implementations_have_no_finding(name: str, idea: str, dtype: str) -> None:
    problem = rows_of(idea, dtype)
    judgement = judged(problem, observe(RIGHT[name], problem))
    serious = [f for f in judgement.findings if f.severity is not Severity.NOTE]
    assert not serious, serious
    assert judgement.undecided == 0
    assert judgement.grade in (Grade.A, Grade.B_PLUS, Grade.B, Grade.COARSE)


NAMED = {
    "log_of_softmax": "spurious_overflow",
    "unshifted": "spurious_overflow",
    "separate_logsumexp": "separate_logsumexp",
    "drops_the_last_class": "unexplained",
    "gradient_of_zeros": "gradient:zero",
    "gradient_without_target": "gradient:target_not_subtracted",
    "bits": "convention:log_base=2",
    "ten_bit_logits": "unexplained",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_implementations_are_found_and_named_in_float32(name: str) -> None:
    problems = [rows_of(idea, "float32") for idea in IDEAS]
    found = {
        str(finding.cause)
        for problem in problems
        for finding in judged(problem, observe(WRONG[name], problem)).findings
        if finding.severity is Severity.BUG or finding.kind is Kind.CONVENTION
    }
    assert NAMED[name] in found


def test_an_accurate_implementation_has_grade_a_on_confident_rows_and_an_ordinary_error_is_absorbed() -> None:
    problem = Problem(logits=float_array([[0, 20]], "float32"), targets=np.array([1]))
    accurate = judged(problem, observe(RIGHT["with_log1p"], problem))
    ordinary = judged(problem, observe(RIGHT["shifted"], problem))
    assert (accurate.grade, accurate.verdict) == (Grade.A, Verdict.PASS)
    assert (ordinary.grade, ordinary.verdict, ordinary.absorbed) == (Grade.B_PLUS, Verdict.ABSORBED, 1)


def test_a_common_offset_distinguishes_grade_c_from_b() -> None:
    problem = Problem(logits=float_array([[1e6, 1e6, 1e6, 1e6 + 1]], "float32"), targets=np.array([3]))
    judgement = judged(problem, observe(WRONG["separate_logsumexp"], problem))
    assert judgement.grade is Grade.C
    assert causes(judgement) == {"separate_logsumexp"}


def test_the_mechanism_is_named_by_its_bits() -> None:
    problem = Problem(logits=float_array([[100, 0, 0, 0]], "float32"), targets=np.array([1]))  # p is subnormal
    judgement = judged(problem, observe(WRONG["log_of_softmax"], problem))
    assert causes(judgement) == {"mechanism:log_of_softmax"}


@pytest.mark.parametrize("name", RIGHT)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_false_alarm_on_drawn_problems(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(list(FLOAT_DTYPES)))
    classes = data.draw(st.integers(1, 9))
    scale = data.draw(st.sampled_from([2.0**-10, 1.0, 8.0, 64.0]))
    grid = data.draw(st.lists(st.integers(-40, 40), min_size=classes, max_size=classes))
    logits = float_array(np.array([grid], np.float64) * scale / 4, dtype)
    problem = Problem(logits=logits, targets=np.array([data.draw(st.integers(0, classes - 1))]))
    judgement = judged(problem, observe(RIGHT[name], problem))
    assert not [f for f in judgement.findings if f.severity is not Severity.NOTE], judgement.findings


def masked_mean(value: float) -> tuple[Problem, Answered]:
    problem = Problem(
        logits=float_array([[0, 1], [1, 1]], "float32"),
        targets=np.array([1, -100]),
        reduction="mean",
        ignore_index=-100,
    )
    return problem, Answered(np.array(value, np.float32))


def test_a_mean_over_all_rows_is_named() -> None:
    problem, outcome = masked_mean(0.31326166 / 2)
    judgement = judged(problem, outcome, gradients=frozenset())
    assert causes(judgement) == {"convention:mean_denominator=rows"}
    assert judgement.findings[0].severity is Severity.DIFFERENCE


def test_a_declared_difference_from_the_portable_convention_is_reported() -> None:
    problem, outcome = masked_mean(0.31326166 / 2)
    judgement = judged(problem, outcome, PORTABLE.but(mean_denominator="rows"), gradients=frozenset())
    assert causes(judgement) == {"convention:mean_denominator=rows"}
    assert judgement.grade in (Grade.A, Grade.B_PLUS)


def test_a_documented_claim_that_is_false_is_a_bug() -> None:
    problem, outcome = masked_mean(0.31326166 / 2)
    claiming = replace(subject(gradients=frozenset()), docs={"mean_denominator": "https://example.org/mean"})
    (finding,) = Judge().judge(problem, claiming, outcome).findings
    assert (finding.kind, finding.severity) == (Kind.CLAIM, Severity.BUG)


BAD_LABEL = Problem(logits=float_array([[0, 1, 2]], "float32"), targets=np.array([-1]))


def test_an_exception_for_a_bad_label_is_right() -> None:
    assert judged(BAD_LABEL, Raised("IndexError", "Target -1 is out of bounds.")).verdict is Verdict.PASS


def test_a_plausible_number_for_a_bad_label_is_a_hazard() -> None:
    wrapped = observe(RIGHT["shifted"], BAD_LABEL.but(targets=np.array([2])))
    (finding,) = judged(BAD_LABEL, wrapped).findings
    assert (finding.cause, finding.severity) == ("accepted:label_negative=wrap", Severity.HAZARD)


def test_an_exception_on_a_valid_question_is_a_bug() -> None:
    problem = rows_of("seed", "float32")
    (finding,) = judged(problem, Raised("ValueError", "no")).findings
    assert (finding.kind, finding.severity) == (Kind.CONTRACT, Severity.BUG)


@pytest.mark.parametrize(("outcome", "kind"), [(Crashed("SIGSEGV"), Kind.CRASH), (TimedOut(3.0), Kind.TIMEOUT)])
def test_a_crash_or_timeout_is_a_finding(outcome: Outcome, kind: Kind) -> None:
    (finding,) = judged(rows_of("seed", "float32"), outcome).findings
    assert finding.kind is kind


def test_not_run_is_neither_passed_nor_failed() -> None:
    judgement = judged(rows_of("seed", "float32"), NotRun("no device"))
    assert (judgement.verdict, judgement.grade, judgement.findings) == (Verdict.NOT_RUN, None, ())


def test_writing_into_the_logits_is_found() -> None:
    problem = rows_of("seed", "float32")
    outcome = replace(observe(RIGHT["shifted"], problem), written=("logits",))
    assert "wrote_into:logits" in causes(judged(problem, outcome))


def test_overflow_is_judged_by_the_rounding_image() -> None:
    wide = Problem(logits=float_array([[60000, -60000]], "float16"), targets=np.array([1]))
    gradient = float_array([[1, -1]], "float16")
    right = judged(wide, Answered(float_array([np.inf], "float16"), gradient))
    saturated = judged(wide, Answered(float_array([65504], "float16"), gradient))
    assert right.verdict is Verdict.PASS
    assert "saturated" in causes(saturated)


def test_half_precision_that_stores_sums_in_half_is_a_false_claim_of_float32() -> None:
    problem = Problem(logits=float_array([[8, *[0] * 9]], "bfloat16"), targets=np.array([0]))
    gradient = observe(RIGHT["shifted"], problem).grad_logits
    judgement = judged(problem, Answered(float_array([0.0], "bfloat16"), gradient))
    assert causes(judgement) == {"effective_precision:storage=bfloat16,arithmetic=float32"}
    assert judgement.findings[0].kind is Kind.CLAIM


@pytest.mark.parametrize("choice", ["nan", "nan_where_met"])
@pytest.mark.parametrize("classes", [1, 3])
def test_a_nan_gradient_of_an_ignored_row_is_no_matter_of_infinite_logits(classes: int, choice: str) -> None:
    logits = np.zeros((2, classes), np.float32)
    logits[0, 0] = np.inf
    problem = Problem(logits=logits, targets=np.array([-100, 0]), ignore_index=-100)
    gradient = np.full((2, classes), 1 / classes, np.float32)
    gradient[1, 0] -= 1
    gradient[0] = np.nan
    outcome = Answered(np.array([0, np.log(classes)], np.float32), gradient)
    (finding,) = judged(problem, outcome, PORTABLE.but(infinite_logits=choice)).findings
    assert (finding.cause, finding.part) == ("convention:ignored_row=nan_leaks", "grad_logits")
