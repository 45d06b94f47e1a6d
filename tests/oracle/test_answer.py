"""The oracle: its enclosures contain the true value, are narrow, and follow the limits at infinities."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from independent import BITS, evaluate

from logitmus import Convention, Problem, reference
from logitmus.core.floats import FLOAT_DTYPES, float_array
from logitmus.core.parameters import Parameters
from logitmus.oracle.answer import ARB_BITS, FAST, WIDE, UnanswerableError
from logitmus.oracle.enclosure import Enclosure
from logitmus.oracle.softmax import DOUBLE, EXTENDED, trustworthy

SCALES = [2.0**-130, 2.0**-20, 2.0**-3, 1.0, 3.0, 40.0, 700.0, 1e4]
DTYPES = ["float32", "float64", "bfloat16", "float16"]


@st.composite
def finite_problems(draw: st.DrawFn) -> Problem:
    dtype = draw(st.sampled_from(DTYPES))
    rows, classes = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    values = st.integers(-16, 16)
    scale, offset = draw(st.sampled_from(SCALES)), draw(st.sampled_from([0.0, 0.0, 1e3, -3e4]))
    grid = np.array(draw(st.lists(values, min_size=rows * classes, max_size=rows * classes)), np.float64)
    logits = float_array((grid * scale / 4 + offset).reshape(rows, classes), dtype)
    reduction = draw(st.sampled_from(["none", "sum", "mean"]))
    more: dict[str, object] = {
        "reduction": reduction,
        "label_smoothing": draw(st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0])),
    }
    if draw(st.booleans()):
        more["weight"] = float_array(
            np.array(draw(st.lists(st.integers(1, 9), min_size=classes, max_size=classes))) / 4, dtype
        )
    shape = (rows,) if reduction == "none" else ()
    if draw(st.booleans()):
        more["cotangent"] = float_array(np.full(shape, draw(st.sampled_from([-1.5, 0.25, 3.0]))), dtype)
    if draw(st.booleans()):
        targets = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)))
        if rows > 1 and draw(st.booleans()) and (targets[1:] != targets[0]).all():
            more["ignore_index"] = int(targets[0])
    else:
        parts = draw(st.lists(st.integers(-1, 8), min_size=rows * classes, max_size=rows * classes))
        targets = float_array(np.array(parts, np.float64).reshape(rows, classes) / 4, dtype)
    assume(bool(np.isfinite(logits.astype(np.float64)).all()))
    return Problem(logits=logits, targets=targets, **more)


def contains(enclosure: Enclosure, index: tuple[int, ...], true: object) -> bool:
    with mp.workprec(BITS):
        distance = abs(mp.mpf(float(enclosure.mid[index])) + mp.mpf(float(enclosure.rest[index])) - true)
        own_error = mp.mpf(2) ** (-BITS // 2) * (1 + abs(true))  # of the independent evaluation itself
        return bool(distance <= mp.mpf(float(enclosure.radius[index])) + own_error)


def narrow(enclosure: Enclosure, scale: float) -> bool:
    return bool((enclosure.radius <= 2.0**-40 * np.maximum(np.abs(enclosure.mid), scale)).all())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(finite_problems(), st.sampled_from([FAST, WIDE, ARB_BITS[0], ARB_BITS[1]]))
def test_enclosures_contain_the_independent_value_and_are_narrow(problem: Problem, bits: int) -> None:
    answer = reference(problem, bits=bits)
    loss, by_logits, by_target = evaluate(problem)
    if problem.reduction == "none":
        for n, true in enumerate(loss):
            assert contains(answer.loss, (n,), true), (problem, n)
    else:
        assert contains(answer.loss, (), loss), problem
    for n in range(problem.rows):
        for k in range(problem.classes):
            assert contains(answer.grad_logits, (n, k), by_logits[n][k]), (problem, n, k)
            assert contains(answer.grad_targets, (n, k), by_target[n][k]), (problem, n, k)
    magnitude = float(np.abs(problem.logits.astype(np.float64)).max()) + 1.0
    weights = 1.0 if problem.weight is None else float(np.abs(problem.weight.astype(np.float64)).max())
    targets = 1.0 if problem.target_kind == "labels" else float(np.abs(problem.targets.astype(np.float64)).max())
    assert narrow(answer.loss, problem.rows * problem.classes * weights * max(targets, 1.0) * magnitude)


OWN = [
    Parameters(),
    Parameters(temperature=0.7),
    Parameters(z_loss=1e-4),
    Parameters(factor=-0.3),
    Parameters(label_smoothing=0.1, temperature=3.0, z_loss=0.01, factor=2.5),
]


@given(finite_problems(), st.sampled_from([FAST, WIDE]), st.sampled_from(OWN))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_tiers_agree(problem: Problem, bits: int, own: Parameters) -> None:
    convention = Convention(parameters=own)
    fast, slow = reference(problem, convention, bits=bits), reference(problem, convention)
    assert fast.answer.working is not None
    for part in ("loss", "grad_logits", "grad_targets"):
        left, right = getattr(fast, part), getattr(slow, part)
        apart = np.abs((left.mid - right.mid) - (right.rest - left.rest))
        assert (apart <= left.radius + right.radius).all(), part


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_rows_that_recur_are_answered_as_often_as_they_occur(reduction: str) -> None:
    """Arb computes each kind of row once; the fast tier computes all of them."""
    rows = np.array([0, 1, 0, 2, 1, 0, 0])
    problem = Problem(
        logits=np.array([[1.0, 0.0, 2.0], [1.0, 0.0, 2.0], [0.0, 0.5, 0.0]])[rows],
        targets=np.array([2, 0, 1])[rows],
        reduction=reduction,
        cotangent=np.array([1.0, 1.0, 0.5, 1.0, 2.0, 1.0, 1.0]) if reduction == "none" else None,
    )
    fast, slow = reference(problem, bits=FAST), reference(problem)
    assert slow.answer.question.kinds_of_rows[2].tolist().count(1) == (4 if reduction == "none" else 1)
    for part in ("loss", "grad_logits"):
        np.testing.assert_allclose(getattr(fast, part).mid, getattr(slow, part).mid, rtol=1e-14)


@pytest.mark.skipif(WIDE == FAST, reason="this machine has no extended precision: Arb does its work")
def test_extended_precision_judges_float64_to_a_tenth_of_its_roundoff() -> None:
    rng = np.random.default_rng(3)
    problem = Problem(logits=rng.normal(0, 9, (64, 40)), targets=rng.integers(0, 40, 64), label_smoothing=0.1)
    for reduction in ("none", "mean"):
        loss = reference(problem.but(reduction=reduction), bits=WIDE).loss
        assert (loss.radius <= 2.0**-53 / 10 * np.abs(loss.mid)).all()


def test_this_machine_keeps_the_assumptions_of_the_float64_tier() -> None:
    assert trustworthy(DOUBLE)
    assert EXTENDED is None or trustworthy(EXTENDED)


def test_an_error_of_one_part_in_2_to_the_45_is_outside_the_enclosure() -> None:
    seed = Problem(logits=np.array([[0, 0, 0, 1.0]], np.float32), targets=np.array([3]))
    for bits in (FAST, WIDE, ARB_BITS[0]):
        loss = reference(seed, bits=bits).loss
        true = math.log(3 + math.e) - 1
        assert loss.contains(true, (0,))
        assert not loss.contains(true * (1 + 2.0**-45), (0,))


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("bits", [FAST, WIDE, ARB_BITS[0]])
@pytest.mark.parametrize(
    ("logits", "target", "loss", "gradient"),
    [
        ([0, -INF, 0], 0, math.log(2), [-0.5, 0, 0.5]),
        ([0, -INF, 0], 1, INF, [0.5, -1, 0.5]),
        ([0, -INF, -INF], 0, 0.0, [0, 0, 0]),
        ([0, INF, 0], 1, 0.0, [0, 0, 0]),
        ([0, INF, 0], 0, INF, [-1, 1, 0]),
        ([INF, INF, 0], 0, NAN, [NAN] * 3),
        ([-INF, -INF], 0, NAN, [NAN] * 2),
        ([NAN, 0], 1, NAN, [NAN] * 2),
        ([5], 0, 0.0, [0]),
    ],
)
def test_limits(logits: list[float], target: int, loss: float, gradient: list[float], bits: int) -> None:
    answer = reference(Problem(logits=np.array([logits], np.float32), targets=np.array([target])), bits=bits)
    assert answer.loss.contains(loss, (0,))
    for k, expected in enumerate(gradient):
        assert answer.grad_logits.contains(expected, (0, k)), k


@pytest.mark.parametrize("bits", [FAST, WIDE, ARB_BITS[0]])
def test_a_masked_class_of_target_probability_zero(bits: int) -> None:
    problem = Problem(logits=np.array([[0, -INF]], np.float32), targets=np.array([[1, 0]], np.float32))
    assert reference(problem, bits=bits).loss.contains(0.0, (0,))
    assert reference(problem, Convention(zero_times_infinity="nan"), bits=bits).loss.contains(NAN, (0,))


@pytest.mark.parametrize("bits", [FAST, WIDE, ARB_BITS[0]])
def test_an_ignored_row_is_not_read(bits: int) -> None:
    problem = Problem(
        logits=np.array([[NAN, 0], [0, 0]], np.float32), targets=np.array([7, 0]), ignore_index=7, reduction="mean"
    )
    answer = reference(problem, bits=bits)
    assert answer.loss.contains(math.log(2))
    assert answer.grad_logits.contains(0.0, (0, 0))


def test_probabilities_as_inputs_answer_the_seed_question_with_zero() -> None:
    seed = Problem(logits=np.array([[0, 0, 0, 1]], np.float32), targets=np.array([3]))
    assert reference(seed, Convention(inputs="probabilities")).loss.contains(0.0, (0,))
    clipped = reference(seed, Convention(inputs="probabilities", probability_clip="1e-7")).loss
    assert clipped.rounded("float64")[0] == -math.log1p(-1e-7)


def test_a_label_out_of_range_is_refused_or_follows_the_convention() -> None:
    problem = Problem(logits=np.array([[0, 1, 2]], np.float32), targets=np.array([-1]))
    with pytest.raises(UnanswerableError, match="negative label"):
        reference(problem)
    wrapped = reference(problem, Convention(label_negative="wrap"))
    assert wrapped.loss.contains(math.log(1 + math.exp(-1) + math.exp(-2)), (0,))


def test_spatial_problems_are_rows() -> None:
    logits = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3) % 5
    labels = np.arange(8).reshape(2, 2, 2) % 3
    spatial = reference(Problem(logits=logits, targets=labels))
    flat = reference(Problem(logits=logits.reshape(8, 3), targets=labels.reshape(8)))
    assert spatial.loss.mid.shape == labels.shape
    assert (spatial.loss.mid.ravel() == flat.loss.mid).all()
    assert (spatial.grad_logits.mid == flat.grad_logits.mid.reshape(logits.shape)).all()
    assert reference(Problem(logits=logits, targets=labels, reduction="mean")).loss.mid.shape == ()
    assert reference(Problem(logits=logits[0, 0, 0], targets=labels[0, 0, 0])).loss.mid.shape == ()


def test_float64_results_are_enclosed_well_below_their_ulp() -> None:
    problem = Problem(logits=np.array([[0.1, 0.7, -1.3]]), targets=np.array([1]))
    loss = reference(problem).loss
    assert float(loss.radius[0]) < 2.0**-100
    assert loss.decided("float64").all()


@example("float16")
@given(st.sampled_from(list(FLOAT_DTYPES)))
@settings(deadline=None)
def test_a_correctly_rounded_value_in_every_dtype(dtype: str) -> None:
    problem = Problem(logits=np.array([[0, 0, 0, 1.0]], np.float32), targets=np.array([3]))
    loss = reference(problem).loss
    assert loss.decided(dtype).all()
    assert loss.rounded(dtype).dtype == FLOAT_DTYPES[dtype]
