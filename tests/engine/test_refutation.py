"""A claim about the arithmetic of a whole function falls where its results contradict it; a true claim stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from implementations import Rows, observe, separate_logsumexp, shifted, subject

from logitmus.cases.suite import suite
from logitmus.core.causes import Cause
from logitmus.core.convention import PORTABLE
from logitmus.core.events import BackendReady, Event, Judged, Settled
from logitmus.core.finding import Finding, Grade, Judgement, Kind, Severity, Verdict
from logitmus.core.floats import FLOAT_DTYPES, Array
from logitmus.core.observation import Answered, Raised
from logitmus.core.problem import ONCE, Problem
from logitmus.core.subject import Precision, Subject
from logitmus.engine.refutation import Refutations
from logitmus.engine.settling import Settlement
from logitmus.judging.judge import Judge
from logitmus.results.summary import Summary

SUBJECT = subject(PORTABLE.but(infinite_logits="nan_where_met"))
STORES_BFLOAT16 = Precision("bfloat16", "bfloat16", "float32")


def in_float32(x: Array, labels: Array) -> tuple[Array, Array]:
    loss, gradient = shifted(x.astype(np.float32), labels)
    return loss.astype(x.dtype), gradient.astype(x.dtype)


def plain(dtype: str) -> list[Problem]:
    """Problems of labels without arguments, whose logits are finite."""
    return [
        problem
        for problem in suite("default", seed=0)
        if problem.dtype == dtype
        and problem.manner == ONCE
        and problem.target_kind == "labels"
        and not problem.options
        and problem.logits.ndim == 2
        and 1 < problem.logits.size <= 512
        and problem.reduction == "none"
        and problem.has_valid_labels
        and np.isfinite(problem.logits).all()
        and np.abs(problem.logits).max() < 1e5
        and SUBJECT.why_not(problem) is None
    ]


def events(function: Callable[[Problem], Rows], problems: Sequence[Problem], of: Subject = SUBJECT) -> list[Event]:
    judge = Judge()
    judged = [Judged(p, judge.judge(p, of, observe(function(p), p))) for p in problems]
    settlement = Settlement()
    seen = [*settlement.watching([BackendReady("test", (of,), {}, 0), *judged])]
    return [*seen, *settlement.settled()]


def causes(found: Sequence[Event]) -> dict[Cause, int]:
    """The causes that a report shows, with the number of results."""
    summary = Summary()
    for event in found:
        summary.add(event)
    return {group.finding.cause: group.count for group in summary.groups()}


def unshifted(x: Array, labels: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):
        loss = np.log(np.exp(x).sum(axis=1)) - x[np.arange(len(labels)), labels]
    return loss, shifted(x, labels)[1]


def in_float32_at_the_end(x: Array, labels: Array) -> tuple[Array, Array]:
    """The logits are used as they are; their softmax and its logarithm go on in float32."""
    shares = (x - x.max(axis=1, keepdims=True)).astype(np.float32)
    loss, gradient = shifted(shares, labels)
    return loss.astype(x.dtype), gradient.astype(x.dtype)


FALSE = {
    "separate_logsumexp": ("float32", separate_logsumexp, "unexplained_within_c"),
    "convention:wide_inputs=narrowed": ("float64", in_float32, "unexplained"),
}


@pytest.mark.parametrize("claim", FALSE)
def test_a_claim_from_one_result_of_many_is_refuted(claim: str) -> None:
    dtype, faulty, instead = FALSE[claim]
    problems = plain(dtype)
    with_claim = [
        p for p in problems if {f.cause for f in Judge().judge(p, SUBJECT, observe(faulty, p)).findings} == {claim}
    ]
    chosen = {problem.id for problem in with_claim[:1]}
    assert chosen
    found = events(lambda problem: faulty if problem.id in chosen else shifted, problems)
    judged = [f.id for e in found if isinstance(e, Judged) for f in e.judgement.findings]
    settled = next(event for event in found if isinstance(event, Settled))
    assert settled.of.cause == claim
    assert settled.of.id in judged
    assert settled.finding is not None
    assert (settled.finding.cause, settled.finding.problem) == (instead, settled.of.problem)
    assert set(causes(found)) == {instead}


@pytest.mark.parametrize("claim", FALSE)
def test_a_claim_from_all_results_stands(claim: str) -> None:
    dtype, faulty, _ = FALSE[claim]
    found = events(lambda _: faulty, plain(dtype))
    assert not [event for event in found if isinstance(event, Settled) and event.of.cause == claim]
    assert claim in causes(found)


@pytest.mark.parametrize(("faulty", "narrows"), [(in_float32_at_the_end, False), (in_float32, True)])
def test_arithmetic_in_float32_is_told_from_logits_rounded_to_float32(faulty: Rows, narrows: bool) -> None:
    """Most results fit both; logits with a common offset tell them apart."""
    rng = np.random.default_rng(0)
    offset = [
        Problem(logits=rng.normal(size=(2, 3)) + 1e6, targets=np.array([0, 1]), reduction="none", family="f")
        for _ in range(40)
    ]
    found = causes(events(lambda _: faulty, [*plain("float64"), *offset]))
    assert ("convention:wide_inputs=narrowed" in found, "float32_arithmetic" in found) == (narrows, not narrows), found


UNDERFLOWING = Problem(
    logits=np.array([[-95.0, -95.5]], np.float32), targets=np.array([0]), reduction="none", family="f"
)


@pytest.mark.parametrize(("everywhere", "cause"), [(False, "unexplained"), (True, "mechanism:no_max_shift")])
def test_a_mechanism_that_one_result_has_by_chance_is_refuted(everywhere: bool, cause: str) -> None:
    """The exponentials of these logits are subnormal, with few digits: the bits of the loss are no accident."""
    found = events(
        lambda problem: unshifted if everywhere or problem is UNDERFLOWING else shifted,
        [UNDERFLOWING, *plain("float32")],
    )
    assert {f.cause for e in found[1:2] if isinstance(e, Judged) for f in e.judgement.findings} == {
        "mechanism:no_max_shift"
    }
    assert cause in causes(found)
    assert ("mechanism:no_max_shift" in causes(found)) is everywhere


def with_another_formula(x: Array, labels: Array) -> tuple[Array, Array]:
    loss, gradient = shifted(x, labels)
    return loss * np.float32(1.3) + np.float32(0.01), gradient * np.float32(1.3)


def ascending(x: Array, labels: Array) -> tuple[Array, Array]:
    loss, gradient = shifted(x, labels)
    return loss, -gradient


def in_bits(x: Array, labels: Array) -> tuple[Array, Array]:
    loss, gradient = shifted(x.astype(np.float64), labels)
    return (loss / np.log(2)).astype(x.dtype), (gradient / np.log(2)).astype(x.dtype)


@pytest.mark.parametrize(
    ("claim", "like_it"),
    [("convention:log_base=2", in_bits), ("mechanism:no_max_shift", unshifted), ("gradient:negated", ascending)],
    ids=["convention", "mechanism", "gradient"],
)
def test_a_claim_that_fits_a_few_results_of_an_unknown_formula_is_refuted(claim: str, like_it: Rows) -> None:
    """A function that is otherwise as declared may follow a convention: what is right may be right by both."""
    problems = [UNDERFLOWING, *plain("float32")]
    judged = [{f.cause for f in Judge().judge(p, SUBJECT, observe(like_it, p)).findings} for p in problems]
    chosen = {p.id for p, named in zip(problems, judged, strict=True) if named == {claim}}
    chosen = set(sorted(chosen)[:2])
    assert chosen
    unknown = causes(events(lambda p: like_it if p.id in chosen else with_another_formula, problems))
    assert claim not in unknown
    assert unknown["unexplained"] > 40
    declared = causes(events(lambda p: like_it if p.id in chosen else shifted, problems))
    assert claim not in declared if claim.startswith("mechanism") else set(declared) == {claim}


@pytest.mark.parametrize(("within_its_budget", "refuted"), [(0, True), (2, False)])
def test_a_mechanism_is_known_from_results_within_its_own_budget_too(within_its_budget: int, refuted: bool) -> None:
    mechanism = Cause.of("mechanism", "logsumexp_formed_and_then_subtracted")
    found = [mechanism, *[Cause("separate_logsumexp")] * within_its_budget, *[Cause("unexplained")] * 12]
    refutations = Refutations()
    for cause, problem in zip(found, plain("float32"), strict=False):
        place = {"subject": SUBJECT.id, "problem": problem.id, "family": problem.family, "dtype": problem.dtype}
        finding = Finding(kind=Kind.ACCURACY, severity=Severity.BUG, part="loss", summary="", cause=cause, **place)
        refutations.add(problem, Judgement(**place, verdict=Verdict.FINDING, grade=Grade.F, findings=(finding,)))
    assert refutations.refuted(SUBJECT, "float32", mechanism) is refuted


def nothing_kept(ignored: int) -> Problem:
    targets = np.array([ignored] * 2)
    return Problem(
        logits=np.zeros((2, 3), np.float32), targets=targets, ignore_index=ignored, reduction="mean", family="f"
    )


@pytest.mark.parametrize(
    ("refused", "cause"), [([2, 7], "convention:all_ignored_mean=error"), ([7], "raised:IndexError")]
)
def test_a_refused_mean_of_nothing_is_a_convention_only_if_all_are_refused(refused: list[int], cause: str) -> None:
    judge, judged = Judge(), []
    for problem in map(nothing_kept, (2, 7)):
        raises = problem.ignore_index in refused
        zeros = np.zeros((2, 3), np.float32)
        outcome = Raised("IndexError", "7 is out of bounds") if raises else Answered(np.float32("nan"), zeros)
        judged.append(Judged(problem, judge.judge(problem, SUBJECT, outcome)))
    settlement = Settlement()
    seen = [*settlement.watching([BackendReady("test", (SUBJECT,), {}, 0), *judged])]
    assert causes([*seen, *settlement.settled()]) == {cause: len(refused)}


def rounded(values: Array) -> Array:
    return values.astype(FLOAT_DTYPES["bfloat16"]).astype(values.dtype)


def stored_in_bfloat16(x: Array, labels: Array) -> tuple[Array, Array]:
    """The logsumexp is formed and then the logit is subtracted; every step is rounded to bfloat16."""
    largest = x.max(axis=1)
    total = rounded(rounded(np.exp(rounded(x - largest[:, None]))).sum(axis=1))
    return rounded(rounded(np.log(total)) + largest) - x[np.arange(len(labels)), labels], shifted(x, labels)[1]


def computed_in_bfloat16(x: Array, labels: Array) -> tuple[Array, Array]:
    loss, gradient = shifted(x.astype(FLOAT_DTYPES["bfloat16"]), labels)
    return loss.astype(x.dtype), gradient.astype(x.dtype)


@pytest.mark.parametrize(
    ("function", "cause", "other"),
    [
        (stored_in_bfloat16, "separate_logsumexp", "effective_precision:storage=bfloat16,arithmetic=bfloat16"),
        (computed_in_bfloat16, "effective_precision:storage=bfloat16,arithmetic=bfloat16", "separate_logsumexp"),
    ],
)
def test_a_coarser_precision_is_no_second_cause_of_what_a_subtraction_explains(
    function: Rows, cause: str, other: str
) -> None:
    declared = replace(SUBJECT, precision={**SUBJECT.precision, "bfloat16": STORES_BFLOAT16})
    found = events(lambda _: function, plain("bfloat16"), declared)
    judged = [f for event in found if isinstance(event, Judged) for f in event.judgement.findings]
    assert any(other in (f.cause, *f.alternatives) for f in judged) is (cause == "separate_logsumexp")
    shown = causes(found)
    assert cause in shown
    assert other not in shown
